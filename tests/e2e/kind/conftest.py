"""One sandbox in a real cluster for the whole suite; where there can be none, the suite is skipped, once and loudly."""

from __future__ import annotations

import json
from collections.abc import Generator, Iterator
from pathlib import Path
from typing import Any

import pytest

from sandbox.core.errors import SandboxError
from sandbox.core.folders import cache_root
from sandbox.engines import sandboxes
from tests.e2e.kind.machine import COLD_SECONDS, NAME, demand_images, executed, held, is_ready, node, record
from tests.e2e.support import BEHIND_A_PROXY, User

_LINES = 150
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


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Show what may tell why a test failed before the sandbox is gone: some trouble comes once in hundreds of runs."""
    report = yield
    found = getattr(item, "funcargs", {})
    if report.failed and report.when == "call" and "standing" in found:
        report.sections.extend(_seen(found["user"]))
    return report


def _seen(user: User) -> Iterator[tuple[str, str]]:
    """Give the shared sandbox's diagnostics, as far as a page of each tells."""
    try:
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv("XDG_STATE_HOME", str(user.state))
            folder = sandboxes.diagnose(NAME)
        pods = json.loads((folder / "pods.json").read_text())
        # The kernel's word for where a process waits tells one that is frozen from one that has nothing to do.
        processes = executed(node(), "ps", "axf", "-o", "pid,stat,etimes,wchan:32,args")
    except (SandboxError, OSError) as error:
        yield "diagnostics that could not be had", str(error)
        return
    yield "pods", "\n".join(f"{each['metadata']['name']}: {each['status']}" for each in pods if not is_ready(each))
    yield "processes", processes
    for log in sorted(folder.glob("*.pods.log")):
        yield log.name, "\n".join(log.read_text().splitlines()[-_LINES:])
