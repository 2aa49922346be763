"""Sandboxes of real users: a state folder for each module, nothing left behind, nothing skipped in CI."""

from __future__ import annotations

import os
from collections.abc import Generator, Iterator

import pytest
from xdist.remote import Producer  # type: ignore[import-untyped]  # it has no annotations for others
from xdist.scheduler import LoadScopeScheduling  # type: ignore[import-untyped]  # as above

from tests.e2e.support import User


@pytest.fixture(scope="module")
def user(tmp_path_factory: pytest.TempPathFactory) -> Iterator[User]:
    """Give a user whose sandboxes live as long as the module's tests: never two modules' at once."""
    one = User(tmp_path_factory.mktemp("u"))
    with pytest.MonkeyPatch.context() as patch, one.leaving_nothing():
        # For what a test asks of the library instead of the command line.
        patch.setenv("XDG_STATE_HOME", str(one.state))
        yield one


IN_DOCKER = ("tests/e2e/kind/", "tests/e2e/cluster/")


class _ByPlace(LoadScopeScheduling):  # type: ignore[misc]  # as above
    """Gives a worker a file's tests, and one of them all that is in Docker: of that daemon there is only one."""

    def _split_scope(self, nodeid: str) -> str:
        file = nodeid.partition("::")[0]
        return "docker" if file.startswith(IN_DOCKER) else file


def pytest_xdist_make_scheduler(config: pytest.Config, log: Producer) -> _ByPlace:
    """Say what one worker has to do by itself (a hook of pytest-xdist)."""
    return _ByPlace(config, log)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport() -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Turn a skipped test into a failed one in CI: what was not shown does not count as shown."""
    report = yield
    if report.skipped and not hasattr(report, "wasxfail") and os.environ.get("CI") == "true":
        report.outcome = "failed"
        report.longrepr = f"skipped in CI: {report.longrepr}"
    return report
