"""What etcd holds of the cluster's objects: read as of one moment, and brought back to it while everything runs.

By etcd's documented JSON gateway ("gRPC gateway", etcd 3.6), with the API server's own certificate.
The API server and all that watch it see ordinary changes, each with a version higher than the last;
nothing goes backwards, so nothing has to be started again to believe it.
"""

from __future__ import annotations

import base64
import functools
import itertools
import json
import ssl
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from urllib3 import HTTPSConnectionPool, Timeout
from urllib3.exceptions import HTTPError

from sandbox.core.errors import UnavailableError
from sandbox.core.files import digest
from sandbox.kube.tls import client_context

__all__ = ["ClusterObjects", "EtcdStore", "resource_of"]

_SECONDS = 20.0
# Of stories that are told at once; one too many would be thrown away after its request, with a warning.
_CONNECTIONS = 8
_OK = 200
# Both below what etcd takes unless told otherwise: 128 operations, 1.5 MiB (--max-txn-ops, --max-request-bytes).
_MOST_OPERATIONS = 100
_MOST_BYTES = 1024 * 1024
# What makes other things goes before what it makes, and a namespace before what would be made in it again.
_FIRST = ("/registry/argoproj.io/applicationsets/", "/registry/argoproj.io/applications/", "/registry/namespaces/")

ClusterObjects = Mapping[str, str]
"""Key to value, as etcd has them; values in base64. How a value is encoded is the API server's business."""


_EVERYTHING = {"key": base64.b64encode(b"/registry/").decode(), "range_end": base64.b64encode(b"/registry0").decode()}


@dataclass(frozen=True, slots=True)
class EtcdStore:
    """One etcd.

    Attributes:
        address: ``host:port``.
        authority: The certificate that vouches for it.
        certificate: A client's certificate that it takes.
        key: The key of that.
    """

    address: str
    authority: Path
    certificate: Path
    key: Path

    def read(self) -> dict[str, str]:
        """Give every object of the cluster, all as of one revision.

        Raises:
            UnavailableError: etcd does not answer, or refuses.
        """
        found = self._ask("range", _EVERYTHING)
        return {_key(each): each.get("value", "") for each in found.get("kvs", ())}

    def revision(self) -> int:
        """Say how often it has been written so far.

        Raises:
            UnavailableError: etcd does not answer, or refuses.
        """
        return int(self._ask("range", {**_EVERYTHING, "count_only": True})["header"]["revision"])

    def written_after(self, revision: int) -> list[str]:
        """Give the keys of the objects that there are and that were written after a revision.

        Raises:
            UnavailableError: etcd does not answer, or refuses.
        """
        asked = {**_EVERYTHING, "keys_only": True, "min_mod_revision": str(revision + 1)}
        return [_key(each) for each in self._ask("range", asked).get("kvs", ())]

    def origin(self) -> str:
        """Name the authority that it is known by: made with each cluster, and with no other.

        Raises:
            UnavailableError: There is none any more.
        """
        try:
            return digest(self.authority)
        except OSError as error:
            raise UnavailableError("the cluster's etcd is known by no certificate", why=str(error)) from error

    def write(self, puts: ClusterObjects, removals: Iterable[str]) -> None:
        """Put objects as they are given and remove others, by as few transactions as can be.

        Of each resource, one transaction changes one object: a revision that changed two would be told to a
        watch as two events of one version, of which one that begins in between would miss the second.

        Raises:
            UnavailableError: etcd does not answer, or refuses.
        """
        operations = {
            **{key: {"request_delete_range": {"key": _encoded(key)}} for key in removals},
            **{key: {"request_put": {"key": _encoded(key), "value": value}} for key, value in puts.items()},
        }
        for first in (*_FIRST, ""):
            now = {key: operations.pop(key) for key in [*operations] if key.startswith(first)}
            for batch in _batches(now):
                self._ask("txn", {"success": batch})

    def _ask(self, what: str, body: Mapping[str, Any]) -> dict[str, Any]:
        try:
            pool = _pool(self.address, client_context(self.authority, self.certificate, self.key))
            answer = pool.request("POST", f"/v3/kv/{what}", body=json.dumps(body))
        except (HTTPError, OSError) as error:
            raise UnavailableError("etcd does not answer", why=str(error)) from error
        if answer.status != _OK:
            raise UnavailableError(f"etcd refuses a {what}", why=answer.data.decode(errors="replace")[:500])
        return dict(json.loads(answer.data))


@functools.lru_cache(maxsize=16)
def _pool(address: str, context: ssl.SSLContext) -> HTTPSConnectionPool:
    """Give the connections to an etcd, which last: to shake hands takes longer than most questions."""
    host, _, port = address.rpartition(":")
    timeout = Timeout(total=_SECONDS)
    return HTTPSConnectionPool(host, int(port), timeout=timeout, maxsize=_CONNECTIONS, ssl_context=context)


def _encoded(key: str) -> str:
    return base64.b64encode(key.encode()).decode()


def _key(entry: Mapping[str, Any]) -> str:
    return base64.b64decode(entry["key"]).decode()


def _batches(operations: Mapping[str, Mapping[str, Any]]) -> Iterator[list[Mapping[str, Any]]]:
    """Share operations out, so that no two of one batch are on one resource and none is larger than etcd takes."""
    by_resource: dict[str, list[Mapping[str, Any]]] = defaultdict(list)
    for key, operation in operations.items():
        by_resource[resource_of(key)].append(operation)
    for row in itertools.zip_longest(*by_resource.values()):
        batch: list[Mapping[str, Any]] = []
        size = 0
        for operation in filter(None, row):
            length = len(operation.get("request_put", {}).get("value", ""))
            if batch and (len(batch) == _MOST_OPERATIONS or size + length > _MOST_BYTES):
                yield batch
                batch, size = [], 0
            batch.append(operation)
            size += length
        if batch:
            yield batch


def resource_of(key: str) -> str:
    """Give what a key says of the resource: all of built-in kinds, group and kind of custom ones."""
    parts = key.split("/")
    # /registry/pods/..., or /registry/argoproj.io/applications/...: a group has a dot, a built-in resource none.
    return "/".join(parts[2:4] if "." in parts[2] else parts[2:3])
