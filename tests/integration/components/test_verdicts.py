"""Verdicts of Applications against a real API server; Argo CD and the controllers are played by hand."""

from __future__ import annotations

import copy
import datetime as dt
import secrets
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, cast

import pytest

from sandbox.components.argocd.home import ARGOCD_API
from sandbox.components.base import ARGOCD_NAMESPACE, Context
from sandbox.core.conditions import Observation, State
from sandbox.core.timeline import Timeline
from sandbox.engines.embedded import Embedded
from sandbox.gitops.application import Application
from sandbox.gitops.cluster import TRACKING, Cluster
from sandbox.gitops.moment import Moment
from sandbox.gitops.repositories import EnvironmentRepo
from sandbox.kube.api import KubeApi
from sandbox.toolchain import ensure_tools
from tests.integration.components.conftest import Bring

REVISION, OTHER = "a" * 40, "b" * 40


@dataclass
class Commits:
    """What each commit renders to: the only thing that a verdict asks of an environment repository."""

    manifests: dict[str, list[dict[str, Any]]] = field(default_factory=dict)
    argocd_namespace: str = ARGOCD_NAMESPACE

    def overlay(self, environment: str) -> str:
        """Give a folder."""
        return f"overlays/{environment}"

    def rendered(self, revision: str, path: str) -> list[dict[str, Any]]:
        """Give what a commit renders to."""
        assert path == "overlays/dev"
        return copy.deepcopy(self.manifests[revision])


@pytest.fixture(scope="module")
def cluster(brought_up: Bring) -> Iterator[Context]:
    # The seed brings Argo CD's own types.
    Embedded().ensure_seed(ensure_tools(Embedded.tools), Timeline())
    with brought_up("etcd", "kube-apiserver-bootstrap", tools=Embedded.tools) as context:
        yield context


class Stage:
    """One Application, what its commits say, and hands to play Argo CD and the controllers."""

    def __init__(self, api: KubeApi) -> None:
        self.api = api
        self.name = f"test-{secrets.token_hex(4)}"
        self.commits = Commits({REVISION: [self.deployment(2), self.config("1")], OTHER: [self.config("2")]})
        self.application = Application(api, self.name, "dev", cast(EnvironmentRepo, self.commits))
        api.create({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": self.name}})

    def deployment(self, replicas: int) -> dict[str, Any]:
        """Describe a Deployment as a commit does, without a namespace."""
        labels = {"app": "greeter"}
        container = {"name": "greeter", "image": "registry.invalid/greeter:1"}
        return {
            "apiVersion": "apps/v1",
            "kind": "Deployment",
            "metadata": {"name": "greeter"},
            "spec": {
                "replicas": replicas,
                "selector": {"matchLabels": labels},
                "template": {"metadata": {"labels": labels}, "spec": {"containers": [container]}},
            },
        }

    def config(self, value: str, name: str = "settings") -> dict[str, Any]:
        """Describe a ConfigMap as a commit does."""
        return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name}, "data": {"key": value}}

    def live(self, *manifests: dict[str, Any]) -> None:
        """Apply objects as Argo CD does."""
        for manifest in manifests:
            self.api.apply({**manifest, "metadata": {**manifest["metadata"], "namespace": self.name}})

    def roll_out(self, **status: int) -> None:
        """Report a rollout as the Deployment controller does."""
        path = self.api.resource("apps/v1", "Deployment").path(self.name, "greeter")
        generation = self.api.request("GET", path)["metadata"]["generation"]
        complete = {"observedGeneration": generation, "replicas": 2, "updatedReplicas": 2, "availableReplicas": 2}
        body = {"status": {**complete, "readyReplicas": status.get("availableReplicas", 2), **status}}
        self.api.request("PATCH", f"{path}/status", body=body, content_type="application/merge-patch+json")

    def synced(self, revision: str, phase: str = "Succeeded", *, ago: int = 0, **result: Any) -> None:
        """Report an operation as Argo CD does."""
        stamp = (dt.datetime.now(dt.UTC) - dt.timedelta(seconds=ago)).strftime("%Y-%m-%dT%H:%M:%SZ")
        destination = {"server": "https://kubernetes.default.svc", "namespace": self.name}
        source = {"repoURL": "http://git.invalid/environment.git", "path": "overlays/dev"}
        operation = {
            "operation": {},
            "phase": phase,
            "message": f"it is {phase}",
            "startedAt": stamp,
            "finishedAt": stamp,
            "syncResult": {"revision": revision, "source": source, **result},
        }
        self.api.apply(
            {
                "apiVersion": ARGOCD_API,
                "kind": "Application",
                "metadata": {"name": self.name, "namespace": "argocd"},
                "spec": {"project": "default", "source": source, "destination": destination},
                "status": {"operationState": operation},
            }
        )

    def whole(self) -> None:
        """Have the commit live."""
        self.live(*self.commits.manifests[REVISION])
        self.roll_out()
        self.synced(REVISION)


@pytest.fixture
def stage(cluster: Context) -> Iterator[Stage]:
    api = KubeApi(cluster.folder / "kubeconfig")
    yield Stage(api)
    api.close()


def lives(stage: Stage, since: Moment | None = None) -> Observation:
    return stage.application.lives(REVISION, since or Moment(dt.datetime.now(dt.UTC) - dt.timedelta(seconds=60)))()


class PendingWith:
    """Equals an observation that is pending and says some text."""

    def __init__(self, text: str) -> None:
        self._text = text

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Observation) and other.state is State.PENDING and self._text in other.seen

    def __hash__(self) -> int:
        return hash(self._text)

    def __repr__(self) -> str:
        return f"pending with {self._text!r}"


def test_a_commit_lives_when_everything_is_as_it_says(stage: Stage) -> None:
    stage.whole()
    seen = lives(stage)
    assert (seen.state, seen.seen) == (State.MET, "2 objects are as aaaaaaaa says")


def test_without_an_operation_of_that_commit_nothing_is_proved(stage: Stage) -> None:
    assert lives(stage) == PendingWith(f"there is no Application {stage.name}")
    stage.whole()
    stage.synced(OTHER)
    assert lives(stage) == PendingWith("the last sync was of bbbbbbbb")
    stage.synced(REVISION, "Running")
    assert lives(stage) == PendingWith("the sync of aaaaaaaa is Running: it is Running")
    stage.synced(REVISION, "Failed")
    assert lives(stage) == PendingWith("Failed")


def test_an_operation_from_before_the_action_proves_nothing(stage: Stage) -> None:
    stage.whole()
    stage.synced(REVISION, ago=30)
    assert lives(stage, Moment.now()) == PendingWith("is older than the action")
    stage.synced(REVISION)
    assert lives(stage, Moment(dt.datetime.now(dt.UTC) - dt.timedelta(seconds=5))).state is State.MET


def test_synced_alone_proves_nothing(stage: Stage) -> None:
    stage.synced(REVISION)
    assert lives(stage) == PendingWith("Deployment greeter does not exist")
    stage.live(stage.deployment(3))
    assert lives(stage) == PendingWith("Deployment greeter: spec.replicas is 3, the commit says 2")
    stage.live(stage.deployment(2), stage.config("9"))
    assert lives(stage) == PendingWith("ConfigMap settings: data.key is '9', the commit says '1'")
    stage.live(stage.config("1"))
    assert lives(stage) == PendingWith("Deployment greeter: the controller has not seen the change yet")
    stage.roll_out(availableReplicas=1)
    assert lives(stage) == PendingWith("Deployment greeter: 1 of 2 replicas are available")
    stage.roll_out(replicas=3)
    assert lives(stage) == PendingWith("1 replicas of the revision before are still there")
    stage.roll_out()
    assert lives(stage).state is State.MET


def test_what_stands_in_no_commit_and_claims_to_belong_to_the_application_is_seen(stage: Stage) -> None:
    stage.whole()
    Cluster(stage.api).smuggle(stage.name, stage.name, "smuggled")
    assert lives(stage) == PendingWith("not in the commit, but alive: ConfigMap smuggled")
    stage.api.delete("v1", "ConfigMap", "smuggled", stage.name)
    assert lives(stage).state is State.MET


def test_what_belongs_to_others_is_left_alone(stage: Stage) -> None:
    stage.whole()
    unclaimed = stage.config("1", "unclaimed")
    # A copy of an object carries the annotation of the one that it was copied from.
    copied = stage.config("1", "copied")
    copied["metadata"]["annotations"] = {TRACKING: f"{stage.name}:/ConfigMap:{stage.name}/settings"}
    others = stage.config("1", "others")
    others["metadata"]["annotations"] = {TRACKING: f"another:/ConfigMap:{stage.name}/others"}
    stage.live(unclaimed, copied, others)
    assert lives(stage).state is State.MET


def test_a_change_by_hand_is_healed_when_nothing_of_it_is_left(stage: Stage) -> None:
    stage.whole()
    since = Moment(dt.datetime.now(dt.UTC) - dt.timedelta(seconds=5))
    change = Cluster(stage.api).scale(stage.name, "greeter", 5)
    assert stage.application.heals(change, REVISION, since)() == PendingWith("is still scaled to 5 by hand")
    stage.api.merge("apps/v1", "Deployment", "greeter", stage.name, {"spec": {"replicas": 4}})
    assert stage.application.heals(change, REVISION, since)() == PendingWith("spec.replicas is 4")
    stage.api.merge("apps/v1", "Deployment", "greeter", stage.name, {"spec": {"replicas": 2}})
    stage.roll_out()
    assert stage.application.heals(change, REVISION, since)().state is State.MET


def test_a_deleted_object_is_healed_by_another_one(stage: Stage) -> None:
    stage.whole()
    since = Moment(dt.datetime.now(dt.UTC) - dt.timedelta(seconds=5))
    change = Cluster(stage.api).delete("v1", "ConfigMap", stage.name, "settings")
    assert stage.application.heals(change, REVISION, since)() == PendingWith("ConfigMap settings is still missing")
    stage.live(stage.config("1"))
    assert stage.application.heals(change, REVISION, since)().state is State.MET


def test_a_refusal_is_read_from_the_operation_of_that_very_commit(stage: Stage) -> None:
    entry = {
        "group": "apps",
        "version": "v1",
        "kind": "Deployment",
        "namespace": stage.name,
        "name": "greeter",
        "status": "SyncFailed",
        "message": "selector is wrong",
    }
    stage.synced(OTHER, "Failed", resources=[entry])
    assert stage.application.refuses(REVISION)() == PendingWith("the last sync was of bbbbbbbb")
    stage.synced(REVISION, "Running")
    assert stage.application.refuses(REVISION)() == PendingWith("Running")
    stage.synced(REVISION, "Failed", resources=[entry])
    seen = stage.application.refuses(REVISION)()
    assert (seen.state, seen.seen) == (State.MET, "Deployment greeter: selector is wrong")
    stage.synced(REVISION, resources=[])
    assert stage.application.refuses(REVISION)().state is State.FAILED
