"""Sandboxes of real users: a state folder for each module, nothing left behind, nothing skipped in CI."""

from __future__ import annotations

import os
from collections.abc import Generator, Iterator
from pathlib import Path

import pytest

from tests.e2e.support import User


@pytest.fixture(scope="module")
def user(tmp_path_factory: pytest.TempPathFactory) -> Iterator[User]:
    """Give a user whose sandboxes live as long as the module's tests: never two modules' at once."""
    one = User(tmp_path_factory.mktemp("u"))
    with pytest.MonkeyPatch.context() as patch, one.leaving_nothing():
        # For what a test asks of the library instead of the command line.
        patch.setenv("XDG_STATE_HOME", str(one.state))
        yield one


HERE = Path(__file__).parent
IN_DOCKER = (HERE / "kind", HERE / "cluster")


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Say what one worker of pytest-xdist has to do by itself: a file's sandboxes, or all that is in Docker."""
    for item in items:
        if HERE in item.path.parents:
            in_docker = any(folder in item.path.parents for folder in IN_DOCKER)
            item.add_marker(pytest.mark.xdist_group("docker" if in_docker else item.path.stem))


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport() -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Turn a skipped test into a failed one in CI: what was not shown does not count as shown."""
    report = yield
    if report.skipped and not hasattr(report, "wasxfail") and os.environ.get("CI") == "true":
        report.outcome = "failed"
        report.longrepr = f"skipped in CI: {report.longrepr}"
    return report
