"""The moment of a cluster: which of its objects belong to it, and how it is brought back to one.

Some objects are no state but signs of life, which whoever writes them goes on writing: they are
brought back where they are missing and taken away where they are new, and otherwise left alone.
Events are neither: they tell of what happened, and what happened after the moment is taken back.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path

from sandbox.components.base import Context
from sandbox.components.etcd_store import ClusterObjects, EtcdStore
from sandbox.core.conditions import Deadline, Observation, met, pending, wait_for
from sandbox.core.files import read_json, write_json
from sandbox.kube.custom_types import served_as_defined

__all__ = ["AUTHORITY", "CERTIFICATE", "KEY", "ClusterState", "etcd_of", "put_back", "stated"]

AUTHORITY, CERTIFICATE, KEY = "etcd-ca.crt", "apiserver-etcd-client.crt", "apiserver-etcd-client.key"
"""What the API server knows etcd by and is known to it by, among the sandbox's certificates."""

_OBJECTS = "objects.json"

_REST_SECONDS = 30.0
_QUIET_SECONDS = 0.5
"""What is under way shows within a fraction of this: each controller takes up at once what another left."""

_EVENTS = "/registry/events/"
# API servers, which tell one another where they are; bound to leases of etcd's own.
_NEVER = re.compile(r"/registry/(masterleases|peerserverleases)/.*")
_ALIVE = re.compile(
    # Heartbeats of nodes and of Kubernetes' own components; an operator's lease in a namespace of its own is not.
    r"/registry/leases/(kube-system|kube-node-lease)/.*"
    # The authority of the API server, which kube-controller-manager writes into each namespace, and writes again.
    r"|/registry/configmaps/[^/]+/kube-root-ca\.crt"
    # Where the API server is, which it writes itself: a node that was started again may have another address.
    r"|/registry/(services/endpoints|endpointslices)/default/kubernetes"
)


def stated(objects: ClusterObjects) -> dict[str, str]:
    """Give the objects that are of the moment, without what only tells of what happened."""
    return {key: value for key, value in objects.items() if not key.startswith(_EVENTS) and not _NEVER.fullmatch(key)}


def put_back(store: EtcdStore, saved: Mapping[str, str]) -> int:
    """Bring the cluster's objects back to what was saved.

    Returns:
        How many had to be put or removed; 0 where all was as it was saved.

    Raises:
        UnavailableError: etcd does not answer, or refuses.
    """
    now = store.read()
    changed = {key: value for key, value in saved.items() if now.get(key) != value}
    puts = {key: value for key, value in changed.items() if key not in now or not _ALIVE.fullmatch(key)}
    removals = [key for key in now if key not in saved and not _NEVER.fullmatch(key)]
    if puts or removals:
        store.write(puts, removals)
    # An event that came meanwhile is no sign that anything is at work still.
    return len(puts) + sum(not key.startswith(_EVENTS) for key in removals)


def _come_to_rest(store: EtcdStore) -> None:
    found: dict[str, str] = {}

    def looked() -> Observation:
        nonlocal found
        before, found = found, stated(store.read())
        changed = {key for key in before.keys() | found.keys() if before.get(key) != found.get(key)}
        moving = sorted(key for key in changed if not _ALIVE.fullmatch(key))
        return pending(f"changed: {', '.join(moving[:5])}") if moving else met("nothing changed")

    wait_for(
        looked,
        Deadline.after(_REST_SECONDS),
        wanted="the cluster to come to rest",
        hint="try again when what is being deployed lives, or is gone",
        every=_QUIET_SECONDS,
    )


class ClusterState:
    """What an etcd of the sandbox's own holds, as its part of a snapshot (sandbox.components.state)."""

    starts_empty = False

    def settle(self, context: Context) -> None:
        """Wait until no object changes any more: a cluster put back to where it was not at rest leaves that at once.

        Raises:
            DeadlineError: Something goes on changing; names it.
            UnavailableError: etcd does not answer.
        """
        _come_to_rest(etcd_of(context))

    def save(self, context: Context, into: Path) -> None:
        """Keep the objects of the cluster, all as of one revision."""
        write_json(into / _OBJECTS, stated(etcd_of(context).read()))

    def load(self, context: Context, saved: Path) -> int:
        """Bring the objects of the cluster back, while the API server runs."""
        objects = {key: str(value) for key, value in read_json(saved / _OBJECTS).items()}
        return put_back(etcd_of(context), objects)

    def resting(self, context: Context) -> Observation:
        """It rests when the API server has followed it: whoever begins anew would else not find a type again."""
        return served_as_defined(context.api())

    def origin(self, context: Context) -> str:
        """Name the authority that etcd is known by: made with each cluster, and with no other."""
        return etcd_of(context).origin()


def etcd_of(context: Context) -> EtcdStore:
    """Give the etcd of a sandbox that has one of its own."""
    # The API server's own certificate: there is no other client, and it needs no second one that could be lost.
    return EtcdStore(context.address("etcd"), *map(context.pki, (AUTHORITY, CERTIFICATE, KEY)))
