from __future__ import annotations

import os
from pathlib import Path

import pytest

from sandbox.core.errors import UnavailableError
from sandbox.kube.api import shared_api
from tests.unit.kube.clusters import kubeconfig


def test_all_who_use_one_kubeconfig_share_its_connections_and_nobody_elses(tmp_path: Path) -> None:
    first = kubeconfig(tmp_path / "first", "http://127.0.0.1:1")
    second = kubeconfig(tmp_path / "second", "http://127.0.0.1:1")
    assert shared_api(first) is shared_api(first)
    assert shared_api(first) is not shared_api(second)


def test_a_sandbox_that_came_up_anew_at_the_same_place_is_not_taken_for_the_one_before(tmp_path: Path) -> None:
    path = kubeconfig(tmp_path / "config", "http://127.0.0.1:1")
    before = shared_api(path)
    kubeconfig(path, "http://127.0.0.1:2")
    os.utime(path, ns=(0, path.stat().st_mtime_ns + 1))
    after = shared_api(path)
    assert after is not before
    assert after.endpoint().server == "http://127.0.0.1:2"


def test_a_kubeconfig_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(UnavailableError, match="absent"):
        shared_api(tmp_path / "absent")
