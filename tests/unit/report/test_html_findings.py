from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sandbox.report.blocking import of_application, of_deliveries, of_objects
from sandbox.report.differing import leaf_differences


def strict(said: Any, lives: Any) -> str | None:
    return None if said == lives else "differs"


def test_every_field_that_differs_is_named_with_both_values() -> None:
    said = {
        "kind": "Deployment",
        "metadata": {"labels": {"app.kubernetes.io/name": "a"}},
        "spec": {"replicas": 1, "containers": [{"image": "one", "args": ["a"]}], "empty": {}},
    }
    lives = {
        "kind": "Deployment",
        "metadata": {"labels": {"app.kubernetes.io/name": "b"}, "uid": "x"},
        "spec": {"replicas": 5, "containers": [{"image": "two", "args": ["a", "b"]}], "empty": {}},
    }
    assert list(leaf_differences(said, lives, strict)) == [
        ("metadata.labels.app.kubernetes.io/name", "a", "b"),
        ("spec.replicas", "1", "5"),
        ("spec.containers[0].image", "one", "two"),
        ("spec.containers[0].args", "['a']", "['a', 'b']"),
    ]


_JSON = st.recursive(
    st.none() | st.integers() | st.text(max_size=3),
    lambda part: st.lists(part, max_size=4) | st.dictionaries(st.text(max_size=3), part, max_size=4),
    max_leaves=20,
)


@given(st.dictionaries(st.text(max_size=3), _JSON, max_size=4))
def test_an_object_does_not_differ_from_itself(said: dict[str, Any]) -> None:
    assert list(leaf_differences(said, said, strict)) == []


def application(**status: Any) -> dict[str, Any]:
    automated = {"selfHeal": False, "prune": True}
    return {
        "kind": "Application",
        "metadata": {"name": "dev"},
        "spec": {"syncPolicy": {"automated": automated}},
        "status": status,
    }


def test_a_setting_that_differs_from_git_is_named() -> None:
    said = {"spec": {"syncPolicy": {"automated": {"selfHeal": True, "prune": True}}}}
    (found,) = of_application(application(), said)
    assert found.why == "spec.syncPolicy.automated.selfHeal is false, Git says true"


def test_an_application_that_is_passed_over_is_named() -> None:
    paused = application()
    paused["metadata"]["annotations"] = {"argocd.argoproj.io/skip-reconcile": "true"}
    assert [each.kind for each in of_application(paused, {})] == ["setting"]


def test_the_hook_the_resource_and_the_complaint_that_hold_a_sync_up_are_named() -> None:
    operation = {
        "phase": "Running",
        "message": "waiting for completion of hook batch/Job/migrate",
        "syncResult": {
            "resources": [
                {
                    "kind": "Job",
                    "name": "migrate",
                    "hookType": "PreSync",
                    "hookPhase": "Running",
                    "message": "1 active",
                },
                {"kind": "Service", "name": "greeter", "status": "SyncFailed", "message": "port is invalid"},
                {"kind": "ConfigMap", "name": "fine", "status": "Synced"},
            ]
        },
    }
    conditions = [{"type": "ComparisonError", "message": "no such path"}]
    resources = [{"kind": "Deployment", "name": "greeter", "health": {"status": "Degraded", "message": "it is late"}}]
    found = of_application(application(operationState=operation, conditions=conditions, resources=resources), {})
    assert [(each.kind, each.thing, each.why) for each in found] == [
        ("Application", "dev", "ComparisonError: no such path"),
        ("sync", "Application dev", "Running: waiting for completion of hook batch/Job/migrate"),
        ("hook", "Job migrate", "PreSync Running: 1 active"),
        ("resource", "Service greeter", "port is invalid"),
        ("resource", "Deployment greeter", "it is late"),
    ]


@pytest.mark.parametrize("place", ["metadata", "spec"])
def test_the_finalizer_that_holds_a_deletion_is_named(place: str) -> None:
    item: dict[str, Any] = {"kind": "Namespace", "metadata": {"name": "dev", "deletionTimestamp": "now"}, "spec": {}}
    item[place]["finalizers"] = ["example.com/hold"]
    (found,) = of_objects([item])
    assert (found.kind, found.thing) == ("finalizer", "example.com/hold")
    assert "Namespace dev" in found.why
    del item["metadata"]["deletionTimestamp"]
    assert list(of_objects([item])) == []


def test_pods_and_rollouts_that_do_not_get_on_are_named() -> None:
    pending = {"type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": "too big"}
    late = {"type": "Progressing", "status": "False", "reason": "ProgressDeadlineExceeded", "message": "late"}
    quota = {"type": "ReplicaFailure", "status": "True", "reason": "FailedCreate", "message": "quota"}
    waiting = [{"state": {"waiting": {"reason": "ImagePullBackOff", "message": "no such image"}}}]
    starting = [{"state": {"waiting": {"reason": "ContainerCreating"}}}]
    items = [
        {"kind": "Pod", "metadata": {"name": "a"}, "status": {"conditions": [pending]}},
        {"kind": "Deployment", "metadata": {"name": "b"}, "status": {"conditions": [late, quota]}},
        {"kind": "Pod", "metadata": {"name": "c"}, "status": {"containerStatuses": waiting}},
        {"kind": "Pod", "metadata": {"name": "d"}, "status": {"containerStatuses": starting}},
    ]
    assert [each.why for each in of_objects(items)] == [
        "Unschedulable: too big",
        "ProgressDeadlineExceeded: late",
        "FailedCreate: quota",
        "ImagePullBackOff: no such image",
    ]


def test_a_webhook_that_was_not_delivered_is_named() -> None:
    entries = [
        {"url": "https://argo/x", "after": "ab" * 20, "delivered": False, "status": 401, "error": ""},
        {"url": "http://ci/x", "after": "ab" * 20, "delivered": False, "status": 0, "error": "refused"},
        {"url": "http://ci/x", "after": "ab" * 20, "delivered": True, "status": 200, "error": ""},
    ]
    assert [(each.thing, each.why) for each in of_deliveries(entries, {"https://argo": "Argo CD"})] == [
        ("Argo CD", "was not told of abababab: it answered 401"),
        ("http://ci/x", "was not told of abababab: refused"),
    ]
