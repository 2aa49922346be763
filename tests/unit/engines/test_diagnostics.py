from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, cast

import pytest

from sandbox.components.base import Context
from sandbox.core.supervision import SupervisorClient
from sandbox.core.timeline import Timeline
from sandbox.engines.diagnostics import _objects, collect
from sandbox.kube.api import KubeApi
from sandbox.report.scrubbing import Scrubber


@pytest.fixture
def context(state: Path) -> Callable[[str], Context]:
    """Make the context of a sandbox that nothing of runs."""
    return lambda name: Context(name, "unit", state / name, {}, {}, 1, SupervisorClient(state / name))


def test_of_each_sandbox_the_newest_five_collections_are_kept(state: Path, context: Callable[[str], Context]) -> None:
    others = collect(context("box-20260101"), [], Timeline())
    folders = [collect(context("box"), [], Timeline()) for _ in range(7)]

    assert others.exists()
    assert [folder.exists() for folder in folders] == [False] * 2 + [True] * 5
    assert len(list((state / ".diagnostics").iterdir())) == 6


def test_what_could_not_be_had_is_named_with_the_reason(context: Callable[[str], Context]) -> None:
    folder = collect(context("box"), [], Timeline())

    assert sorted(path.name for path in folder.iterdir()) == ["missing.txt", "timeline.json"]
    assert "objects of the cluster: " in (folder / "missing.txt").read_text()


def test_the_account_of_a_proxy_that_a_pod_names_is_not_kept(tmp_path: Path) -> None:
    class Cluster:
        def list(self, *_: object) -> list[dict[str, Any]]:
            return [{"spec": {"env": [{"name": "HTTP_PROXY", "value": "http://ann:hunter22@proxy.test:3128"}]}}]

    assert list(_objects(cast("KubeApi", Cluster()), (), Scrubber({}), tmp_path)) == []
    kept = (tmp_path / "pods.json").read_text()
    assert "proxy.test:3128" in kept
    assert "hunter22" not in kept
