"""What is defined, what discovery tells of and what is answered, each asked of an API server that is made up."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, cast

import pytest

from sandbox.core.conditions import Observation, State
from sandbox.core.errors import UnavailableError
from sandbox.kube.api import KubeApi, KubeError
from sandbox.kube.custom_types import served_as_defined
from sandbox.kube.resources import Resource

_TOY = Resource("example.com/v1", "Toy", "toys", namespaced=False)
_DEPLOYMENT = Resource("apps/v1", "Deployment", "deployments", namespaced=True)
_METRICS = Resource("metrics.k8s.io/v1beta1", "NodeMetrics", "nodes", namespaced=False)
_API_SERVICE = Resource("apiregistration.k8s.io/v1", "APIService", "apiservices", namespaced=False)
_SERVICES: list[dict[str, Any]] = [
    {"name": "v1.apps", "labels": {"kube-aggregator.kubernetes.io/automanaged": "onstart"}},
    {"name": "v1beta1.metrics.k8s.io"},
    {"name": "v1.example.com", "labels": {"kube-aggregator.kubernetes.io/automanaged": "true"}},
]


@dataclass
class Server:
    """An API server on its way from one set of definitions to another."""

    defined: list[str]
    told: list[Resource]
    services: list[dict[str, Any]] = field(default_factory=lambda: _SERVICES)
    accepted: str = "True"
    status: int = 200

    def metadata(self, resource: Resource) -> list[dict[str, Any]]:
        """Give what is defined, or by whom each group is served."""
        return self.services if resource.plural == "apiservices" else [{"name": name} for name in self.defined]

    def kinds(self) -> list[Resource]:
        """Tell of the kinds."""
        return [_DEPLOYMENT, _METRICS, _API_SERVICE, *self.told]

    def get(self, *_: str) -> dict[str, Any]:
        """Give a definition."""
        return {"status": {"conditions": [{"type": "NamesAccepted", "status": self.accepted}]}}

    def request(self, method: str, path: str) -> None:
        """Answer for toys."""
        assert path == "/apis/example.com/v1/toys?limit=1"
        if self.status != 200:
            raise KubeError(f"{method} {path}", self.status, "it said")


def look(server: Server) -> Observation:
    return served_as_defined(cast("KubeApi", server))


def test_a_type_that_is_defined_told_of_and_answered_is_served() -> None:
    assert look(Server(["toys.example.com"], [_TOY])).state is State.MET


@pytest.mark.parametrize(
    ("server", "said"),
    [
        (Server(["toys.example.com"], []), "toys.example.com is defined and not told of"),
        (Server([], [_TOY]), "toys.example.com is told of and not defined"),
        (Server([], [_TOY], services=_SERVICES[:2]), "toys.example.com is told of and not defined"),
        (Server(["toys.example.com"], [_TOY], status=404), "toys.example.com is not served"),
        (Server(["toys.example.com"], [_TOY], status=503), "the API server answered 503"),
    ],
    ids=["new", "gone", "gone with its group", "not yet answered", "not ready"],
)
def test_what_the_api_server_has_yet_to_follow_is_named(server: Server, said: str) -> None:
    seen = look(server)
    assert seen.state is State.PENDING
    assert said in seen.seen


def test_a_definition_whose_names_another_has_taken_is_not_waited_for() -> None:
    assert look(Server(["toys.example.com"], [], accepted="False")).state is State.MET


def test_an_api_server_that_does_not_answer_is_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    def silent(_: Server) -> list[Resource]:
        raise UnavailableError("the API server does not answer")

    monkeypatch.setattr(Server, "kinds", silent)
    assert look(Server([], [])).state is State.PENDING
