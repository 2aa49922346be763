from __future__ import annotations

from typing import Any

import pytest

from sandbox.components.kind_cluster import node_names
from sandbox.components.node_pods import not_since

STARTED = {"one": "2026-01-01T10:00:00.5Z", "two": "2026-01-01T12:00:00.5Z"}


def pod(node: str, begun: str) -> dict[str, Any]:
    state = {"running": {"startedAt": begun}} if begun else {"waiting": {}}
    return {
        "metadata": {"name": f"on-{node}"},
        "spec": {"nodeName": node},
        "status": {"phase": "Running", "containerStatuses": [{"state": state}]},
    }


def test_nodes_are_named_as_kind_names_them() -> None:
    assert node_names("box", 1) == ["gitops-sandbox-box-control-plane"]
    assert node_names("box", 4)[1:] == [
        "gitops-sandbox-box-worker",
        "gitops-sandbox-box-worker2",
        "gitops-sandbox-box-worker3",
    ]


@pytest.mark.parametrize(
    ("node", "begun", "old"),
    [
        ("one", "2026-01-01T11:00:00Z", []),
        ("one", "2026-01-01T10:00:00Z", []),
        ("two", "2026-01-01T11:00:00Z", ["on-two"]),
        ("one", "", ["on-one"]),
        ("gone", "2026-01-01T13:00:00Z", ["on-gone"]),
    ],
)
def test_a_pod_counts_when_it_runs_since_its_own_node_does(node: str, begun: str, old: list[str]) -> None:
    assert not_since(STARTED, [pod(node, begun)]) == old
