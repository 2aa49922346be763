from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, cast

import pytest

from sandbox.components.etcd_store import EtcdStore
from sandbox.components.written import Revision, Written
from sandbox.kube.resources import Resource

PODS = Resource("v1", "Pod", "pods", namespaced=True)
SERVICES = Resource("v1", "Service", "services", namespaced=True)
ENDPOINTS = Resource("v1", "Endpoints", "endpoints", namespaced=True)
INGRESSES = Resource("networking.k8s.io/v1", "Ingress", "ingresses", namespaced=True)
SERVICES_OF_APIS = Resource("apiregistration.k8s.io/v1", "APIService", "apiservices", namespaced=False)
TOYS = Resource("example.com/v1", "Toy", "toys", namespaced=True)
OWN = [PODS, SERVICES, ENDPOINTS, INGRESSES, SERVICES_OF_APIS]


@dataclass
class Told:
    """An etcd that tells what it is told to."""

    keys: list[str] = field(default_factory=list)
    asked: list[int] = field(default_factory=list)

    def origin(self) -> str:
        """Name the only cluster."""
        return "this"

    def written_after(self, revision: int) -> list[str]:
        """Give the keys."""
        self.asked.append(revision)
        return [f"/registry/{key}" for key in self.keys]


def since(store: Told, *kinds: Resource, origin: str = "this") -> list[Resource]:
    return Written(cast("EtcdStore", cast("Any", store))).since(Revision(origin, 7), kinds)


@pytest.mark.parametrize(
    ("key", "found"),
    [
        ("pods/default/one", [PODS]),
        ("services/specs/default/one", [SERVICES, ENDPOINTS]),
        ("services/endpoints/default/one", [SERVICES, ENDPOINTS]),
        ("ingress/default/one", [INGRESSES]),
        ("apiregistration.k8s.io/apiservices/v1.apps", [SERVICES_OF_APIS]),
        ("ranges/serviceips", []),
    ],
)
def test_a_kind_is_told_by_where_its_objects_are(key: str, found: list[Resource]) -> None:
    store = Told([key])
    assert since(store, *OWN) == found
    assert store.asked == [7]


def test_where_nothing_was_written_no_kind_of_kubernetes_is_given() -> None:
    assert since(Told(), *OWN) == []


def test_a_kind_that_another_server_may_keep_is_always_given() -> None:
    assert since(Told(), *OWN, TOYS) == [TOYS]


def test_something_of_no_known_kind_has_all_kinds_given() -> None:
    assert since(Told(["wonders/default/one"]), *OWN) == OWN


def test_of_another_cluster_all_kinds_are_given() -> None:
    assert since(Told(), *OWN, origin="another") == OWN
