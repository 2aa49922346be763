from __future__ import annotations

import datetime as dt
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, cast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sandbox.gitops.application import Application, _is_ready, _troubles
from sandbox.gitops.moment import Moment
from sandbox.kube.rollout import rollout_waits_for

if TYPE_CHECKING:
    from sandbox.gitops.repositories import EnvironmentRepo
    from sandbox.kube.api import KubeApi


def deployment(generation: int = 2, **status: int) -> dict[str, Any]:
    complete = {"observedGeneration": 2, "updatedReplicas": 3, "availableReplicas": 3, "replicas": 3}
    return {"metadata": {"generation": generation}, "spec": {"replicas": 3}, "status": {**complete, **status}}


def test_a_rollout_is_complete_when_all_replicas_are_new_and_available_and_no_old_one_is_left() -> None:
    assert rollout_waits_for(deployment()) is None


@pytest.mark.parametrize(
    ("live", "reason"),
    [
        (deployment(generation=3), "the controller has not seen the change yet"),
        (deployment(updatedReplicas=1), "1 of 3 replicas are updated"),
        (deployment(availableReplicas=0), "0 of 3 replicas are available"),
        (deployment(replicas=5), "2 replicas of the revision before are still there"),
        ({}, "0 of 1 replicas are updated"),
        ({"spec": {"replicas": 2}, "status": {}}, "0 of 2 replicas are updated"),
    ],
)
def test_a_rollout_that_is_not_complete_says_what_it_waits_for(live: dict[str, Any], reason: str) -> None:
    assert rollout_waits_for(live) == reason


def test_a_deployment_scaled_to_nothing_is_complete_without_replicas() -> None:
    assert (
        rollout_waits_for({"metadata": {"generation": 1}, "spec": {"replicas": 0}, "status": {"observedGeneration": 1}})
        is None
    )


@given(st.datetimes(dt.datetime(2000, 1, 1), dt.datetime(2100, 1, 1)), st.integers(-5, 5))  # noqa: DTZ001  # drawn plain
def test_a_moment_precedes_whatever_is_not_older(at: dt.datetime, seconds: int) -> None:
    moment = Moment(at.replace(microsecond=0, tzinfo=dt.UTC))
    stamp = (moment.at + dt.timedelta(seconds=seconds)).strftime("%Y-%m-%dT%H:%M:%SZ")
    assert moment.precedes(stamp) == (seconds >= 0)


def test_an_operation_that_has_not_ended_is_not_later_than_any_moment() -> None:
    assert not Moment.now().precedes(None)
    assert Moment.now().precedes(dt.datetime.now(dt.UTC).strftime("%Y-%m-%dT%H:%M:%SZ"))
    assert not Moment.now().precedes("2020-01-01T00:00:00Z")


def pod(*, ready: str = "True", **metadata: str) -> dict[str, Any]:
    return {"metadata": {"name": "a", **metadata}, "status": {"conditions": [{"type": "Ready", "status": ready}]}}


def test_a_pod_that_is_being_deleted_is_not_ready() -> None:
    assert _is_ready(pod())
    assert not _is_ready(pod(ready="False"))
    assert not _is_ready(pod(deletionTimestamp="2026-01-01T00:00:00Z"))
    assert not _is_ready({"metadata": {"name": "a"}})


def test_what_argo_cd_complains_of_is_given_in_its_own_words() -> None:
    assert _troubles({}) == ""
    assert _troubles({"status": {"operationState": {"phase": "Succeeded", "message": "done"}}}) == ""
    complaint = {"conditions": [{"message": "no such path"}], "operationState": {"phase": "Error", "message": "boom"}}
    assert _troubles({"status": complaint}) == "; Argo CD says: no such path; boom"


class Server:
    """An API server that has at most one object, and counts how often it is asked."""

    def __init__(self, held: dict[str, Any] | None) -> None:
        self.held = held
        self.asked = 0

    def get(self, *_: object) -> dict[str, Any] | None:
        """Give it."""
        self.asked += 1
        return self.held


def followed(server: Server) -> Application:
    repository = SimpleNamespace(argocd_namespace="argocd", overlay=lambda environment: environment)
    return Application(cast("KubeApi", server), "app", "dev", cast("EnvironmentRepo", repository))


def synced(revision: str) -> dict[str, Any]:
    operation = {"phase": "Succeeded", "finishedAt": "2030-01-01T00:00:00Z", "syncResult": {"revision": revision}}
    return {"status": {"operationState": operation}}


def test_while_a_watch_tells_of_another_commit_the_api_server_is_not_asked_and_once_only() -> None:
    server = Server(synced("old"))
    application = followed(server)
    lives = application.lives("new", Moment.now())
    application.hear(synced("old"))
    assert "the last sync was of old" in lives().seen
    assert server.asked == 0
    lives()
    assert server.asked == 1


def test_what_a_watch_tells_proves_nothing() -> None:
    server = Server(None)
    application = followed(server)
    application.hear(synced("new"))
    assert application.lives("new", Moment.now())().seen == "there is no Application app"
    server.held = synced("old")
    application.hear(synced("new"))
    assert "the last sync was of old" in application.lives("new", Moment.now())().seen
