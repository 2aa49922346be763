from __future__ import annotations

from typing import Any

import pytest

from sandbox.components.kind.cluster import node_names
from sandbox.components.kind.node_images import too_much
from sandbox.components.kind.node_pods import not_running, untold


def pod(*containers: str, **metadata: str) -> dict[str, Any]:
    """Give a pod with one container of each id; an empty one waits."""
    statuses = [
        {"containerID": f"containerd://{each}", "state": {"running": {}} if each else {"waiting": {}}}
        for each in containers
    ]
    status = {"phase": "Running", "containerStatuses": statuses}
    return {"metadata": {"name": "one", **metadata}, "status": status}


def test_nodes_are_named_as_kind_names_them() -> None:
    assert node_names("box", 1) == ["gitops-sandbox-box-control-plane"]
    assert node_names("box", 4)[1:] == [
        "gitops-sandbox-box-worker",
        "gitops-sandbox-box-worker2",
        "gitops-sandbox-box-worker3",
    ]


@pytest.mark.parametrize(
    ("seen", "named"),
    [
        (pod("a", "b"), []),
        (pod("a", ""), ["one"]),
        (pod(), ["one"]),
        (pod("", deletionTimestamp="now"), []),
        ({**pod(""), "status": {"phase": "Succeeded"}}, []),
    ],
    ids=["all run", "one waits", "none is told of", "it is going", "it has ended"],
)
def test_a_pod_is_named_of_which_a_container_does_not_run(seen: dict[str, Any], named: list[str]) -> None:
    assert not_running([seen]) == named


@pytest.mark.parametrize(
    ("pods", "running", "said"),
    [
        ([pod("a"), pod("b", "")], {"a", "b"}, []),
        ([pod("a")], {"b"}, ["have ended: one", "1 containers run"]),
        ([pod("a"), pod("b", name="two")], {"a"}, ["have ended: two"]),
        ([], {"a", "b"}, ["2 containers run"]),
    ],
    ids=["as told", "begun anew", "ended", "of no pod"],
)
def test_it_is_said_where_other_containers_run_than_the_api_server_tells_of(
    pods: list[dict[str, Any]], running: set[str], said: list[str]
) -> None:
    told = untold(pods, running)
    assert len(told) == len(said)
    assert all(part in whole for part, whole in zip(said, told, strict=True))


def test_containers_that_begin_before_the_others_of_their_pod_are_told_of_too() -> None:
    beside = pod("a")
    beside["status"]["initContainerStatuses"] = pod("b")["status"]["containerStatuses"]
    assert untold([beside], {"a", "b"}) == []


def test_an_image_goes_from_a_node_when_its_name_is_new_or_was_another_images() -> None:
    kept = {"sha256:1": "sha256:1", "app:1": "sha256:1", "app:2": "sha256:1", "gone": "sha256:3"}
    now = {"sha256:1": "sha256:1", "app:1": "sha256:1", "sha256:2": "sha256:2", "app:2": "sha256:2", "new": "sha256:1"}
    assert too_much(kept, now) == ["app:2", "new", "sha256:2"]
