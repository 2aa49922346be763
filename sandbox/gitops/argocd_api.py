"""Argo CD's own API, for what the cluster does not keep: rendered manifests, and how each object is."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import requests

from sandbox.core.errors import UnavailableError
from sandbox.core.proxies import direct_session
from sandbox.engines.access import Access

__all__ = ["ArgocdApi", "ArgocdError"]

_SECONDS = 60.0


class ArgocdError(UnavailableError):
    """Argo CD refused a request; carries its own words."""


class ArgocdApi:
    """A session of the administrator; the token stays in this process.

    Args:
        access: The way into the sandbox.

    Raises:
        ArgocdError: The login was refused.
        UnavailableError: Argo CD does not answer.
    """

    def __init__(self, access: Access) -> None:
        self._url = access.argocd.url
        self._session = direct_session()
        self._session.verify = str(access.argocd_ca)
        login = {"username": access.argocd.user, "password": access.argocd.password()}
        token = self._request("POST", "session", json=login)["token"]
        self._session.headers["Authorization"] = f"Bearer {token}"

    def _request(self, method: str, path: str, **options: Any) -> dict[str, Any]:
        try:
            answer = self._session.request(method, f"{self._url}/api/v1/{path}", timeout=_SECONDS, **options)
            said = answer.json()
        except (requests.RequestException, ValueError) as error:
            raise UnavailableError("Argo CD does not answer", why=f"{method} {path}: {error}") from error
        if not answer.ok:
            raise ArgocdError(f"Argo CD answered {answer.status_code} to {method} {path}", why=str(said.get("message")))
        return dict(said)

    def manifests(self, application: str) -> list[dict[str, Any]]:
        """Give what the repo-server renders of an Application; the values of Secrets are hidden by Argo CD.

        Raises:
            ArgocdError: It can't be rendered.
        """
        found = self._request("GET", f"applications/{application}/manifests")
        return [json.loads(each) for each in found.get("manifests") or ()]

    def tree(self, application: str) -> list[dict[str, Any]]:
        """Give every object of an Application, those that its own objects have made too, each with its health."""
        return list(self._request("GET", f"applications/{application}/resource-tree").get("nodes") or ())

    def difference(self, application: str, kind: str, name: str) -> str:
        """Say how Argo CD finds an object to differ from Git, by the first field; empty where it finds nothing."""
        for item in self._request("GET", f"applications/{application}/managed-resources").get("items") or ():
            if (item.get("kind"), item.get("name")) == (kind, name):
                live, wanted = (
                    json.loads(item.get(key) or "null") for key in ("normalizedLiveState", "predictedLiveState")
                )
                return next(_differences(wanted, live, ""), "")
        return ""

    def close(self) -> None:
        """Close the connections."""
        self._session.close()


def _differences(wanted: Any, live: Any, place: str) -> Iterator[str]:
    if isinstance(wanted, dict) and isinstance(live, dict):
        for key in sorted({*wanted, *live}):
            yield from _differences(wanted.get(key), live.get(key), f"{place}.{key}" if place else key)
            if key in wanted and key not in live and wanted[key] is None:
                yield f"{place}.{key} is null in Git, which the API server does not keep"
    elif isinstance(wanted, list) and isinstance(live, list) and len(wanted) == len(live):
        for index, (one, other) in enumerate(zip(wanted, live, strict=True)):
            yield from _differences(one, other, f"{place}[{index}]")
    elif wanted != live:
        yield f"{place} is {json.dumps(live)[:200]}, Git has {json.dumps(wanted)[:200]}"
