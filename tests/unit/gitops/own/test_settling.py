"""Where an Application has come to, by what Argo CD says of it."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from typing import Any, Self

import pytest

from sandbox.core.conditions import Deadline
from sandbox.gitops.own import settling
from sandbox.gitops.own.member import End, Patience
from sandbox.gitops.own.settling import Settling

LATER = "2999-01-01T00:00:00Z"
EARLIER = "2000-01-01T00:00:00Z"
LOOK = 0.02
ROOT = {("Application", "web"): "web.yaml"}

Json = dict[str, Any]


class Often(threading.Event):
    """Says so often that something has changed that no look waits long for the next."""

    def wait(self, timeout: float | None = None) -> bool:
        """Wait a moment."""
        return super().wait(min(timeout or LOOK, LOOK))


class Watch:
    """Watches nothing, and wakes whoever waits all the more often."""

    def __init__(self, _api: Any) -> None:
        self.changed = Often()

    def add(self, _kinds: Any) -> None:
        """Watch no more than before."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        pass


@pytest.fixture(autouse=True)
def often_woken(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(settling, "Watch", Watch)


class Cluster:
    """A cluster with Applications, which remembers what is done to them and answers as it was told to.

    The looks at it are what these tests are about; Argo CD itself answers in the end-to-end tests.
    """

    def __init__(self, *applications: Json, sets: tuple[Json, ...] = ()) -> None:
        self.objects = {"Application": list(applications), "ApplicationSet": list(sets)}
        self.patches: list[tuple[str, Json]] = []
        self.then: dict[str, Json] = {}

    def list(self, _api: str, kind: str, _namespace: str) -> Sequence[Json]:
        """Give what there is."""
        return self.objects[kind]

    def merge(self, _api: str, kind: str, name: str, _namespace: str, patch: Json) -> Json:
        """Remember a patch, and answer to a sync."""
        self.patches.append((name, patch))
        if "operation" in patch and name in self.then:
            [found] = [each for each in self.objects[kind] if each["metadata"]["name"] == name]
            found["status"] = self.then[name]
        return {}

    def tree(self, _name: str) -> Sequence[Json]:
        """Give no objects."""
        return []

    def started(self) -> Sequence[str]:
        """Give the Applications that were synced."""
        return [name for name, patch in self.patches if "operation" in patch]


def application(name: str = "web", *, automated: bool = False, **status: Any) -> Json:
    policy = {"automated": {}, "syncOptions": ["A=b"]} if automated else {"syncOptions": ["A=b"]}
    return {
        "kind": "Application",
        "metadata": {"name": name, "namespace": "argocd"},
        "spec": {"syncPolicy": policy},
        "status": {"reconciledAt": EARLIER, **status},
    }


def operation(phase: str, *, at: str = LATER, **more: Any) -> Json:
    return {"phase": phase, "finishedAt": at, **more}


SYNCED: Json = {"sync": {"status": "Synced"}, "health": {"status": "Healthy"}}
OUT: Json = {"sync": {"status": "OutOfSync"}, "health": {"status": "Missing"}}


def settled(cluster: Cluster, *, roots: Any = None, seconds: float = 10.0, still: float = 0.3) -> dict[str, End | None]:
    patience = Patience(wrong=0.05, still=still)
    fake: Any = cluster
    settling = Settling(fake, fake, roots or ROOT, "argocd", patience, lambda _: None)
    return {name: member.end for name, member in settling.settled(Deadline.after(seconds)).items()}


def test_one_that_is_synced_and_stays_healthy_needs_no_sync() -> None:
    cluster = Cluster(application(**SYNCED))
    assert settled(cluster) == {"web": End.HEALTHY}
    assert cluster.started() == []


def test_one_that_does_not_sync_by_itself_is_synced_with_its_own_options() -> None:
    cluster = Cluster(application(**OUT))
    cluster.then["web"] = {"reconciledAt": LATER, **SYNCED, "operationState": operation("Succeeded")}
    assert settled(cluster) == {"web": End.HEALTHY}
    [(_, patch)] = [each for each in cluster.patches if "operation" in each[1]]
    assert patch["operation"]["sync"]["syncOptions"] == ["A=b"]


def test_one_that_syncs_by_itself_is_left_to_and_ends_where_its_sync_waits_in_vain() -> None:
    running = {"operationState": {"phase": "Running", "message": "waiting for completion of hook"}, **OUT}
    cluster = Cluster(application(automated=True, **running))
    assert settled(cluster) == {"web": End.STUCK}
    assert cluster.started() == []


def test_a_comparison_that_is_asked_for_after_a_long_sync_has_its_time_anew() -> None:
    """It awaits one before its sync and another after it, which is not to have waited all the while."""
    web = application(**OUT)
    awaiting = {"metadata": {**web["metadata"], "annotations": {"argocd.argoproj.io/refresh": "hard"}}}
    running = application(operationState={"phase": "Running", "message": "applying"}, **OUT)
    acts = iter([*[awaiting] * 2, *[running] * 30, *[awaiting] * 5, *[application(**SYNCED)] * 1000])
    cluster = Cluster(web)
    patience = Patience(wrong=0.05, still=LOOK * 20)

    def look(_api: str, kind: str, _namespace: str) -> Sequence[Json]:
        if kind == "Application":
            web.update(next(acts, {}))
        return cluster.objects[kind]

    fake: Any = cluster
    fake.list = look
    [member] = Settling(fake, fake, ROOT, "argocd", patience, lambda _: None).settled(Deadline.after(30)).values()
    assert member.end is End.HEALTHY


def test_one_whose_manifests_can_not_be_made_is_looked_at_once_more_before_that_counts() -> None:
    errors = [{"type": "ComparisonError", "message": "broken"}]
    cluster = Cluster(application(conditions=errors))
    assert settled(cluster) == {"web": End.UNRENDERED}
    assert len([patch for _, patch in cluster.patches if "metadata" in patch]) == 2


def test_one_whose_sync_fails_is_refused() -> None:
    cluster = Cluster(application(operationState=operation("Failed", message="no"), **OUT))
    assert settled(cluster) == {"web": End.REFUSED}


def test_a_sync_that_failed_before_this_check_says_nothing() -> None:
    cluster = Cluster(application(operationState=operation("Failed", at=EARLIER), **OUT))
    cluster.then["web"] = {"reconciledAt": LATER, **SYNCED, "operationState": operation("Succeeded")}
    assert settled(cluster) == {"web": End.HEALTHY}


def test_one_that_failed_is_tried_again_when_another_got_further_since() -> None:
    lacking = application("web", operationState=operation("Failed"), **OUT)
    bringing = application("definitions", **OUT)
    cluster = Cluster(lacking, bringing)
    cluster.then["definitions"] = {"reconciledAt": LATER, **SYNCED, "operationState": operation("Succeeded")}
    cluster.then["web"] = dict(cluster.then["definitions"])
    roots = {("Application", "web"): "a", ("Application", "definitions"): "b"}
    assert settled(cluster, roots=roots) == {"web": End.HEALTHY, "definitions": End.HEALTHY}


def test_one_that_only_repeats_itself_ends_with_the_others_and_not_with_the_time() -> None:
    repeating = {"phase": "Running", "message": "no; Retrying attempt #2", "retryCount": 2}
    assert settled(Cluster(application(operationState=repeating, **OUT)), seconds=60) == {"web": End.REFUSED}


def test_one_that_is_out_of_sync_after_its_sync_is_compared_anew_before_that_counts() -> None:
    cluster = Cluster(application(operationState=operation("Succeeded"), **OUT))
    assert settled(cluster) == {"web": End.OUT_OF_SYNC}
    assert len([patch for _, patch in cluster.patches if "metadata" in patch]) == 2


def test_one_that_lacks_nothing_but_pruning_is_in_sync() -> None:
    left = [{"status": "OutOfSync", "requiresPruning": True}]
    status = {**OUT, "health": {"status": "Healthy"}, "resources": left}
    assert settled(Cluster(application(**status))) == {"web": End.HEALTHY}


@pytest.mark.parametrize(("health", "end"), [("Degraded", End.UNHEALTHY), ("Progressing", End.STUCK)])
def test_one_that_does_not_get_healthy_ends_all_the_same(health: str, end: End) -> None:
    assert settled(Cluster(application(sync={"status": "Synced"}, health={"status": health}))) == {"web": end}


def test_argo_cd_is_asked_to_look_again_until_it_sees_what_has_become_healthy() -> None:
    web = application(sync={"status": "Synced"}, health={"status": "Progressing"})
    cluster = Cluster(web)
    asked: list[Json] = []

    def merge(_api: str, _kind: str, _name: str, _namespace: str, patch: Json) -> Json:
        asked.append(patch)
        if len(asked) == 4:  # the first is that of the beginning
            web["status"]["health"] = {"status": "Healthy"}
        return {}

    fake: Any = cluster
    fake.merge = merge
    # Patient enough for a machine on which each look takes long.
    assert settled(cluster, still=8.0) == {"web": End.HEALTHY}


def test_that_it_is_asked_to_look_again_gives_one_that_is_stuck_no_more_time() -> None:
    web = application(sync={"status": "Synced"}, health={"status": "Progressing"})
    cluster = Cluster(web)
    looks: list[bool] = []

    def merge(_api: str, _kind: str, _name: str, _namespace: str, _patch: Json) -> Json:
        web["metadata"]["annotations"] = {"argocd.argoproj.io/refresh": "hard"}
        return {}

    def look(_api: str, kind: str, _namespace: str) -> Sequence[Json]:
        if kind == "Application":
            looks.append("annotations" in web["metadata"])
            if looks[-2:] == [True, True]:
                web["metadata"].pop("annotations")
        return cluster.objects[kind]

    fake: Any = cluster
    fake.merge, fake.list = merge, look
    still = 25
    settling = Settling(fake, fake, ROOT, "argocd", Patience(wrong=LOOK * 2, still=LOOK * still), lambda _: None)
    [member] = settling.settled(Deadline.after(30)).values()
    assert member.end is End.STUCK
    # With its time anew each time that it was asked, there would be sixty; no two are closer than one takes.
    assert len(looks) < still + 10


def test_what_is_under_way_when_the_time_is_over_is_late() -> None:
    running = application(operationState={"phase": "Running", "message": "applying"}, **OUT)
    assert settled(Cluster(running), seconds=0.05) == {"web": End.LATE}
