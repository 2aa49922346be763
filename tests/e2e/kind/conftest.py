"""One sandbox in a real cluster for the whole suite; where there can be none, the suite is skipped, once and loudly."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from sandbox.core.folders import cache_root
from tests.e2e.kind.machine import COLD_SECONDS, NAME, demand_images, held, record
from tests.e2e.support import BEHIND_A_PROXY, User

KUBECONFIG = json.dumps({"apiVersion": "v1", "kind": "Config", "current-context": "precious"})


@pytest.fixture(scope="session")
def reachable() -> None:
    """Demand a Docker daemon that has the images, or a machine that can assemble them."""
    demand_images("KIND")


@pytest.fixture(scope="session")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Give the home of somebody who has another cluster."""
    folder = tmp_path_factory.mktemp("home")
    config = folder / ".kube" / "config"
    config.parent.mkdir()
    config.write_text(KUBECONFIG)
    return folder


@pytest.fixture(scope="session")
def user(reachable: None, home: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[User]:
    """Give the user whose sandbox the suite shares: a cluster takes half a minute, and two are a crowd."""
    del reachable
    changes = {
        "HOME": str(home),
        "KUBECONFIG": str(home / ".kube" / "config"),
        "XDG_CACHE_HOME": str(cache_root().parent),
        **BEHIND_A_PROXY,
    }
    one = User(tmp_path_factory.mktemp("k"), changes=changes)
    with one.leaving_nothing():
        yield one
    assert held(NAME) == []


@pytest.fixture(scope="module")
def other(reachable: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[User]:
    """Give another user of the same Docker."""
    del reachable
    one = User(tmp_path_factory.mktemp("o"))
    with one.leaving_nothing():
        yield one


@pytest.fixture
def standing(user: User) -> dict[str, Any]:
    """Give the shared sandbox, up, whatever the test before did to it."""
    return user.ok("up", "--engine", "kind", "--name", NAME, seconds=COLD_SECONDS)


@pytest.fixture
def run_id(user: User, standing: dict[str, Any]) -> str:
    """Give the mark of the shared sandbox."""
    return str(record(user, standing["name"])["run_id"])
