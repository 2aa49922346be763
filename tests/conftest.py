"""What holds for every test: its own state folder, no process left behind, and none skipped in CI."""

from __future__ import annotations

import os
import secrets
from collections.abc import Callable, Generator, Iterator
from contextlib import AbstractContextManager, contextmanager

import hypothesis
import pytest

from sandbox.core.conditions import Deadline
from sandbox.core.processes import end_marked

# A machine that is busy with other things must fail no test: time is measured by `bench`.
hypothesis.settings.register_profile(
    "sandbox", max_examples=60, deadline=None, suppress_health_check=[hypothesis.HealthCheck.too_slow]
)
hypothesis.settings.load_profile("sandbox")


@pytest.fixture(scope="session", autouse=True)
def own_state(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Keep the tests away from the sandboxes of whoever runs them."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_STATE_HOME", str(tmp_path_factory.mktemp("state")))
        yield


@contextmanager
def _marked_run() -> Iterator[str]:
    mark = f"test-{secrets.token_hex(8)}"
    try:
        yield mark
    finally:
        left = end_marked(mark, Deadline.after(10))
    assert left == 0, f"{left} processes were left behind"


@pytest.fixture(scope="session")
def marked_run() -> Callable[[], AbstractContextManager[str]]:
    """Make run ids; the test fails when a process that carries one is left at the end."""
    return _marked_run


@pytest.fixture
def run_id() -> Iterator[str]:
    """Give a run id for one test, which fails when it leaves a process that carries it."""
    with _marked_run() as mark:
        yield mark


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport() -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Turn a skipped test into a failed one in CI: what was not shown does not count as shown."""
    report = yield
    if report.skipped and not hasattr(report, "wasxfail") and os.environ.get("CI") == "true":
        report.outcome = "failed"
        report.longrepr = f"skipped in CI: {report.longrepr}"
    return report
