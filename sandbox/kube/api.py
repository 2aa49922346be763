"""The Kubernetes API as the sandbox uses it: objects are plain JSON, waits are watches.

Objects are addressed by ``apiVersion`` and ``kind`` through discovery: whatever a user renders can be looked up.
"""

from __future__ import annotations

import functools
import json
import urllib.parse
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from urllib3 import Retry, Timeout
from urllib3.exceptions import HTTPError

from sandbox.core.errors import UnavailableError
from sandbox.kube.resources import AGGREGATED, Resource, Target, described
from sandbox.kube.streams import Ending
from sandbox.kube.tls import share_context

__all__ = ["Endpoint", "KubeApi", "KubeError", "Resource", "shared_api"]

FIELD_MANAGER = "gitops-sandbox"
# A handshake that hangs is given up sooner, for another connection.
_SECONDS = Timeout(connect=5.0, total=20.0)
_SECONDS_OF_A_STREAM = Timeout(connect=5.0, read=660.0)
# A connection that was kept may be closed by now, and a server with too much to do says when to come again. Who waits
# for a server that is not there yet asks again without this: it would ask four times for each time.
_AGAIN = Retry(3, connect=0, read=1, other=0, retry_after_max=5)
_NOT_FOUND, _NOT_MODIFIED = 404, 304
_JSON = "application/json"
_METADATA = f"{_JSON};as=PartialObjectMetadataList;g=meta.k8s.io;v=v1"


class KubeError(UnavailableError):
    """The API server refused a request.

    Attributes:
        status: The HTTP status.
        reason: The ``reason`` of the Status object, such as NotFound or Invalid.
    """

    def __init__(self, request: str, status: int, body: str) -> None:
        try:
            answer = json.loads(body)
            message, reason = str(answer.get("message", body)), str(answer.get("reason", ""))
        except (ValueError, AttributeError):
            message, reason = body, ""
        super().__init__(f"the API server answered {status} to {request}", why=message[:2000])
        self.status = status
        self.reason = reason


@dataclass(frozen=True, slots=True)
class Endpoint:
    """Where an API server is, and how it is known: what another identity's kubeconfig says of the same cluster.

    Attributes:
        server: Its URL.
        authority: The certificates that vouch for it, as PEM; None where those of the machine do.
        server_name: The name that its certificate must have, where that is not the one in the URL.
        proxy: The URL of the proxy on the way to it; empty for none.
        verified: Whether its certificate is looked at.
    """

    server: str
    authority: str | None
    server_name: str
    proxy: str
    verified: bool


class KubeApi:
    """One identity's view of one cluster.

    Args:
        kubeconfig: Who speaks, and to which cluster; several files are joined as KUBECONFIG joins them.
        context: Which context of it; the file's current one when left out.

    Raises:
        UnavailableError: The file is missing or names no cluster.
    """

    def __init__(self, kubeconfig: Path | str, context: str | None = None) -> None:
        from sandbox.kube.client import client_of  # noqa: PLC0415  # paid for by whoever speaks to a cluster

        self._client: Any = client_of(kubeconfig, context)
        manager, host = self._client.rest_client.pool_manager, str(self._client.configuration.host)
        share_context(manager.connection_pool_kw)
        # Requests go to its pool: wrapped by the client, each would cost a quarter more.
        self._pool: Any = manager.connection_from_url(host)
        place = urllib.parse.urlsplit(host)
        # Of a proxy everything but a tunnel is asked by the whole URL (RFC 9112, 3.2.2).
        self._root = (host if self._pool.proxy and place.scheme == "http" else place.path).rstrip("/")
        self._resources: dict[tuple[str, str], Resource] = {}
        self._discovered: dict[str, tuple[str, tuple[Resource, ...]]] = {}

    def _open(
        self,
        method: str,
        path: str,
        *,
        body: Any = None,
        content_type: str = _JSON,
        timeout: Timeout = _SECONDS,
        accept: str = _JSON,
        known: str = "",
    ) -> Any:
        # Of a client certificate the pool knows; a token may be a program's, and is asked for anew when it is old.
        token = self._client.configuration.auth_settings().get("BearerToken", {}).get("value")
        headers = {"Accept": accept, "Content-Type": content_type}
        headers |= {"Authorization": token} if token else {}
        headers |= {"If-None-Match": known} if known else {}
        text = None if body is None else json.dumps(body)
        try:
            return self._pool.urlopen(
                method,
                self._root + path,
                body=text,
                headers=headers,
                timeout=timeout,
                retries=_AGAIN,
                preload_content=False,
                # The pool is that of the way there, which may be a proxy's.
                assert_same_host=False,
            )
        except (HTTPError, OSError) as error:
            raise UnavailableError("the API server does not answer", why=f"{method} {path}: {error}") from error

    def request(
        self, method: str, path: str, *, body: Any = None, content_type: str = _JSON, accept: str = _JSON
    ) -> Any:
        """Send one request and return the JSON of the answer.

        Raises:
            KubeError: The API server refused it.
            UnavailableError: It does not answer.
        """
        text = self._text(method, path, body=body, content_type=content_type, accept=accept)
        return json.loads(text) if text.startswith("{") else text

    def text(self, path: str) -> str:
        """Get what is no JSON object even where it begins like one: logs, which may be lines of JSON.

        Raises:
            KubeError: The API server refused it.
            UnavailableError: It does not answer.
        """
        return self._text("GET", path, body=None, content_type=_JSON, accept=_JSON)

    def _text(self, method: str, path: str, *, body: Any, content_type: str, accept: str) -> str:
        answer = self._open(method, path, body=body, content_type=content_type, accept=accept)
        return _read(answer, f"{method} {path}")

    def resource(self, api_version: str, kind: str) -> Resource:
        """Look up how a kind is addressed, once for each group and version.

        Raises:
            KubeError: The API server does not serve that kind.
        """
        if (api_version, kind) not in self._resources:
            root = f"/api/{api_version}" if "/" not in api_version else f"/apis/{api_version}"
            for entry in self.request("GET", root)["resources"] or ():
                if "/" not in entry["name"]:
                    self._resources[api_version, entry["kind"]] = Resource(
                        api_version, entry["kind"], entry["name"], entry["namespaced"]
                    )
        try:
            return self._resources[api_version, kind]
        except KeyError:
            raise KubeError(f"GET {api_version}", _NOT_FOUND, f"no kind {kind} in {api_version}") from None

    def kinds(self) -> list[Resource]:
        """Give every kind that the API server serves, each in the version that its group prefers.

        By the aggregated discovery (``apidiscovery.k8s.io/v2``): two requests, however many groups there are.

        Raises:
            KubeError: The API server refused it.
            UnavailableError: It does not answer.
        """
        return [resource for root in ("/api", "/apis") for resource in self._described(root)]

    def _described(self, root: str) -> tuple[Resource, ...]:
        """Read what a root serves; what has not changed since it was last read is not sent again (RFC 9110, ETag)."""
        known, found = self._discovered.get(root, ("", ()))
        answer = self._open("GET", root, accept=AGGREGATED, known=known)
        text = _read(answer, f"GET {root}")
        if answer.status != _NOT_MODIFIED:
            found = tuple(described(json.loads(text)))
            self._discovered[root] = answer.headers.get("ETag", ""), found
        return found

    def metadata(self, resource: Resource) -> list[dict[str, Any]]:
        """Give the metadata of all objects of a kind, in all namespaces, and nothing else of them.

        Raises:
            KubeError: The API server refused it.
            UnavailableError: It does not answer.
        """
        # An empty list of some kinds is null.
        return [item["metadata"] for item in self.request("GET", resource.path(), accept=_METADATA)["items"] or ()]

    def get(self, api_version: str, kind: str, name: str, namespace: str | None = None) -> dict[str, Any] | None:
        """Give one object; None when there is none."""
        try:
            found = self.request("GET", self.resource(api_version, kind).path(namespace, name))
        except KubeError as error:
            if error.status == _NOT_FOUND:
                return None
            raise
        return dict(found)

    def list(
        self, api_version: str, kind: str, namespace: str | None = None, *, labels: str = ""
    ) -> list[dict[str, Any]]:
        """Give all objects of a kind, in one namespace or in all; ``labels`` is a label selector."""
        query = "?" + urllib.parse.urlencode({"labelSelector": labels}) if labels else ""
        answer = self.request("GET", self.resource(api_version, kind).path(namespace) + query)
        # Items of a list carry neither field; what is addressed by them later must.
        return [{"apiVersion": api_version, "kind": kind, **item} for item in answer["items"]]

    def create(self, manifest: Mapping[str, Any]) -> dict[str, Any]:
        """Create an object; a clash with one that exists is an error (reason AlreadyExists)."""
        resource, namespace, _ = self._address(manifest)
        return dict(self.request("POST", resource.path(namespace), body=manifest))

    def apply(self, manifest: Mapping[str, Any], *, manager: str = FIELD_MANAGER, dry_run: bool = False) -> Any:
        """Apply an object on the server's side, taking over fields that another manager holds.

        Args:
            manifest: What must be; its ``metadata.name`` says which object.
            manager: The field manager, as ``managedFields`` will show it.
            dry_run: Whether the server only says what would come of it.

        Returns:
            The object as the server has it, or would have it.
        """
        resource, namespace, name = self._address(manifest)
        query = f"?fieldManager={manager}&force=true" + ("&dryRun=All" if dry_run else "")
        path = resource.path(namespace, name) + query
        return self.request("PATCH", path, body=manifest, content_type="application/apply-patch+yaml")

    def merge(
        self, api_version: str, kind: str, name: str, namespace: str | None, patch: Mapping[str, Any]
    ) -> dict[str, Any]:
        """Change fields of an object as ``kubectl patch --type merge`` does."""
        path = self.resource(api_version, kind).path(namespace, name) + "?fieldManager=kubectl-patch"
        return dict(self.request("PATCH", path, body=patch, content_type="application/merge-patch+json"))

    def delete(self, api_version: str, kind: str, name: str, namespace: str | None = None) -> None:
        """Delete an object, its dependents in the background; nothing happens when it is absent."""
        path = self.resource(api_version, kind).path(namespace, name)
        try:
            self.request("DELETE", path, body={"kind": "DeleteOptions", "propagationPolicy": "Background"})
        except KubeError as error:
            if error.status != _NOT_FOUND:
                raise

    def delete_all(
        self, api_version: str, kind: str, namespace: str, *, labels: str = "", names: Sequence[str] = ()
    ) -> None:
        """Delete every object of a kind in a namespace, at once; nothing happens when there is none.

        Args:
            api_version: Of the objects.
            kind: Of the objects.
            namespace: Where.
            labels: A label selector; only what it selects is deleted.
            names: The names of objects that stay.
        """
        fields = ",".join(f"metadata.name!={name}" for name in names)
        query = urllib.parse.urlencode({"labelSelector": labels, "fieldSelector": fields})
        path = f"{self.resource(api_version, kind).path(namespace)}?{query}"
        self.request("DELETE", path, body={"kind": "DeleteOptions", "gracePeriodSeconds": 0})

    def _address(self, manifest: Mapping[str, Any]) -> tuple[Resource, str | None, str]:
        metadata = manifest["metadata"]
        resource = self.resource(manifest["apiVersion"], manifest["kind"])
        return resource, metadata.get("namespace"), metadata["name"]

    def events(self, target: Target, ending: Ending) -> Iterator[dict[str, Any]]:
        """Stream watch events of a target from now on, until the server closes the stream or ``ending`` does.

        Raises:
            KubeError: The API server refused the watch.
            UnavailableError: The stream broke.
        """
        path = target.path()
        answer = self._open("GET", path, timeout=_SECONDS_OF_A_STREAM)
        try:
            if answer.status // 100 != 2:  # noqa: PLR2004  # the class of success
                raise KubeError(f"watch {path}", answer.status, answer.read().decode())
            rest = b""
            with ending.of(answer):
                for chunk in answer.stream(None):
                    *lines, rest = (rest + chunk).split(b"\n")
                    for line in lines:
                        yield json.loads(line)
        except (HTTPError, OSError) as error:
            raise UnavailableError("a watch broke off", why=str(error)) from error
        finally:
            answer.close()

    def endpoint(self) -> Endpoint:
        """Say where the API server is, for the kubeconfig of another identity.

        Raises:
            UnavailableError: The file of its authority can't be read.
        """
        settings = self._client.configuration
        try:
            authority = Path(settings.ssl_ca_cert).read_text() if settings.ssl_ca_cert else None
        except OSError as error:
            raise UnavailableError("can't read the authority of the API server", why=str(error)) from error
        return Endpoint(
            str(settings.host),
            authority,
            str(settings.tls_server_name or ""),
            str(settings.proxy or ""),
            bool(settings.verify_ssl),
        )

    def close(self) -> None:
        """Close the connections."""
        self._client.rest_client.pool_manager.clear()


def _read(answer: Any, request: str) -> str:
    """Read an answer to its end, give its connection back, and demand that it is none of refusal."""
    try:
        text = str(answer.read().decode())
    except HTTPError as error:
        raise UnavailableError("the API server broke off its answer", why=f"{request}: {error}") from error
    finally:
        answer.release_conn()
    if answer.status // 100 != 2 and answer.status != _NOT_MODIFIED:  # noqa: PLR2004  # the class of success
        raise KubeError(request, answer.status, text)
    return text


def shared_api(kubeconfig: Path) -> KubeApi:
    """Give the one view of a cluster that all in this process share: its connections last from story to story.

    Raises:
        UnavailableError: The file is missing or names no cluster.
    """
    # A sandbox that was taken down and came up again has other certificates at the same place.
    return _shared(kubeconfig, kubeconfig.stat().st_mtime_ns if kubeconfig.exists() else 0)


@functools.lru_cache(maxsize=16)
def _shared(kubeconfig: Path, written: int) -> KubeApi:
    del written
    return KubeApi(kubeconfig)
