"""What etcd holds of the cluster's objects: read as of one moment, and brought back to it while everything runs.

By etcd's documented JSON gateway ("gRPC gateway", etcd 3.6), with the API server's own certificate.
The API server and all that watch it see ordinary changes, each with a version higher than the last;
nothing goes backwards, so nothing has to be started again to believe it.
"""

from __future__ import annotations

import base64
import itertools
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import requests

from sandbox.core.errors import UnavailableError
from sandbox.core.proxies import direct_session

__all__ = ["ClusterObjects", "EtcdStore"]

_SECONDS = 20.0
_PREFIX, _END = "/registry/", "/registry0"
# Both below what etcd takes unless told otherwise: 128 operations, 1.5 MiB (--max-txn-ops, --max-request-bytes).
_MOST_OPERATIONS = 100
_MOST_BYTES = 1024 * 1024
# What makes other things goes before what it makes, and a namespace before what would be made in it again.
_FIRST = ("/registry/argoproj.io/applicationsets/", "/registry/argoproj.io/applications/", "/registry/namespaces/")

ClusterObjects = Mapping[str, str]
"""Key to value, as etcd has them; values in base64. How a value is encoded is the API server's business."""


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
        with self._session() as session:
            found = self._ask(session, "range", {"key": _encoded(_PREFIX), "range_end": _encoded(_END)})
        return {base64.b64decode(each["key"]).decode(): each.get("value", "") for each in found.get("kvs", ())}

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
        with self._session() as session:
            for first in (*_FIRST, ""):
                now = {key: operations.pop(key) for key in [*operations] if key.startswith(first)}
                for batch in _batches(now):
                    self._ask(session, "txn", {"success": batch})

    def _session(self) -> requests.Session:
        session = direct_session()
        session.verify = str(self.authority)
        session.cert = (str(self.certificate), str(self.key))
        return session

    def _ask(self, session: requests.Session, what: str, body: Mapping[str, Any]) -> dict[str, Any]:
        try:
            answer = session.post(f"https://{self.address}/v3/kv/{what}", json=body, timeout=_SECONDS)
        except requests.RequestException as error:
            raise UnavailableError("etcd does not answer", why=str(error)) from error
        if not answer.ok:
            raise UnavailableError(f"etcd refuses a {what}", why=answer.text[:500])
        return dict(answer.json())


def _encoded(key: str) -> str:
    return base64.b64encode(key.encode()).decode()


def _batches(operations: Mapping[str, Mapping[str, Any]]) -> Iterator[list[Mapping[str, Any]]]:
    """Share operations out, so that no two of one batch are on one resource and none is larger than etcd takes."""
    by_resource: dict[str, list[Mapping[str, Any]]] = defaultdict(list)
    for key, operation in operations.items():
        by_resource[_resource_of(key)].append(operation)
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


def _resource_of(key: str) -> str:
    """Give what a key says of the resource: all of built-in kinds, group and kind of custom ones."""
    parts = key.split("/")
    # /registry/pods/..., or /registry/argoproj.io/applications/...: a group has a dot, a built-in resource none.
    return "/".join(parts[2:4] if "." in parts[2] else parts[2:3])
