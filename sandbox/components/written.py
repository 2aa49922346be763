"""Of which kinds objects have been written since: where nothing was written, nothing need be looked for.

There are some sixty kinds, of which a story writes ten. Where an object is in etcd follows from its kind (Kubernetes,
``pkg/kubeapiserver/default_storage_factory_builder.go`` and ``pkg/registry``).
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

from sandbox.components.etcd_store import EtcdStore, resource_of
from sandbox.kube.resources import Resource

__all__ = ["Revision", "Written"]

# Those that have other names in etcd than in the API, or are there together.
_OTHERWISE = {
    ("v1", "nodes"): "minions",
    ("v1", "endpoints"): "services",
    ("v1", "replicationcontrollers"): "controllers",
    ("networking.k8s.io/v1", "ingresses"): "ingress",
}
# What API servers note for themselves, and serve to nobody.
_OF_NO_KIND = frozenset({"masterleases", "peerserverleases", "ranges"})


@dataclass(frozen=True, slots=True)
class Revision:
    """How far a cluster was.

    Attributes:
        origin: Which cluster.
        number: How often its etcd had been written.
    """

    origin: str
    number: int


@dataclass(frozen=True, slots=True)
class Written:
    """What an etcd tells of what was written.

    Attributes:
        store: The etcd.
    """

    store: EtcdStore

    def revision(self) -> Revision:
        """Say how far the cluster is.

        Raises:
            UnavailableError: etcd does not answer.
        """
        return Revision(self.store.origin(), self.store.revision())

    def since(self, revision: Revision, kinds: Sequence[Resource]) -> list[Resource]:
        """Give those kinds of which there may be objects that were written after a revision.

        All of them are given when the cluster has become another, or when something is found that is of no known kind.
        A kind of a group that is not Kubernetes' own is always given: another server may keep its objects elsewhere.

        Args:
            revision: The revision.
            kinds: All kinds that the API server serves.

        Raises:
            UnavailableError: etcd does not answer.
        """
        if self.store.origin() != revision.origin:
            return list(kinds)
        by_place: dict[str, list[Resource]] = defaultdict(list)
        for kind in kinds:
            for place in _places(kind):
                by_place[place].append(kind)
        written = {resource_of(key) for key in self.store.written_after(revision.number)} - _OF_NO_KIND
        if not written <= by_place.keys():
            return list(kinds)
        found = {kind for place in written for kind in by_place[place]}
        return [kind for kind in kinds if kind in found or not _of_kubernetes(kind)]


def _places(kind: Resource) -> list[str]:
    """Give where objects of a kind may be in etcd: built-in ones below their name, custom ones below their group's."""
    group = kind.api_version.rpartition("/")[0]
    return [_OTHERWISE.get((kind.api_version, kind.plural), kind.plural), f"{group}/{kind.plural}"]


def _of_kubernetes(kind: Resource) -> bool:
    group = kind.api_version.rpartition("/")[0]
    return "." not in group or group.endswith(".k8s.io")
