"""Sandboxes of real users: a state folder for each module, nothing left behind, nothing skipped in CI."""

from __future__ import annotations

import os
from collections.abc import Generator, Iterator

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


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport() -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Turn a skipped test into a failed one in CI: what was not shown does not count as shown."""
    report = yield
    if report.skipped and not hasattr(report, "wasxfail") and os.environ.get("CI") == "true":
        report.outcome = "failed"
        report.longrepr = f"skipped in CI: {report.longrepr}"
    return report
