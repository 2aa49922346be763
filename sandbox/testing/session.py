"""What the plugin's hooks and fixtures do, once a test of the run has asked for a sandbox."""

from __future__ import annotations

import contextlib
import inspect
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from sandbox.core.errors import SandboxError, UsageError
from sandbox.core.folders import sandbox_dir
from sandbox.core.names import check_choice
from sandbox.core.timeline import Timeline
from sandbox.engines import sandboxes
from sandbox.engines.access import Access
from sandbox.gitops.tenant import Tenant
from sandbox.report.access import access_commands
from sandbox.testing.runs import Run, abandoned_runs, take_down
from sandbox.testing.sections import failure_of, said_of_steps, sections
from sandbox.testing.settings import Settings
from sandbox.testing.told import ToldTest, clear_abandoned, leased_tenants
from sandbox.toolchain import Progress

__all__ = ["finish", "folder_of", "lacking", "properties", "sandbox_of", "sections_of", "take_body", "told_test"]

_REPORTS = "gitops-reports"
SKIPPED = "gitops_skipped"
"""The property of a test that says what the engine could not show."""


class _Saying(Progress):
    """Says which tools have to be made: whoever waits for a first run wants to know."""

    def __init__(self, say: Callable[[str], None]) -> None:
        self._say = say

    def begin(self, tool: str, provider: str, estimate_seconds: float | None) -> None:
        """Say so."""
        about = f", about {estimate_seconds:.0f} s" if estimate_seconds else ""
        self._say(f"making {tool}, once: from {provider}{about}")

    def update(self, tool: str, done_fraction: float | None, note: str) -> None:
        """Say nothing more."""

    def end(self, tool: str, seconds: float) -> None:
        """Say nothing more."""


@contextlib.contextmanager
def sandbox_of(settings: Settings, run: Run, say: Callable[[str], None]) -> Iterator[Access]:
    """Give the sandbox that the run's tests are to use.

    Args:
        settings: What is asked for.
        run: Which run.
        say: Told what takes long.

    Raises:
        SandboxError: It can't be had.
    """
    if settings.name:
        access = _standing(settings.name, settings.engine)
        _sweep(access, say)
        yield access
        return
    for lease in abandoned_runs():
        left = lease.path.parent.name.removeprefix(".")
        say(f"taking down {left}, whose run was killed")
        try:
            take_down(lease)
        except SandboxError as error:
            # What another run has left must not fail this one.
            say(f"{left} could not be taken down: {error}")
    with run.entered(sandboxes.UpOptions(engine=settings.engine), _Saying(say)) as access:
        _sweep(access, say)
        yield access


def _standing(name: str, engine: str | None) -> Access:
    if sandboxes.status(name)["state"] != "up":
        sandboxes.start(name, Timeline())
    access = sandboxes.access(name)
    if engine not in (None, access.engine):
        raise UsageError(f"sandbox {name} lives on the engine {access.engine}", hint="leave --gitops-engine out")
    return access


def _sweep(access: Access, say: Callable[[str], None]) -> None:
    for name in clear_abandoned(access):
        say(f"cleared {name}, whose worker was killed")


def told_test(access: Access, item: pytest.Item, run: Run, worker: str) -> ToldTest:
    """Make the story of a test: a tenant that no other test of any run has, and the test's own words."""
    name = item.name.removeprefix("test_")
    doc = inspect.getdoc(getattr(item, "function", None)) or ""
    sentence = doc.partition("\n")[0] or name.replace("_", " ")
    return ToldTest(access, Tenant.called(name, item.nodeid, run.id, worker), item.name, sentence)


@contextlib.contextmanager
def take_body(told: ToldTest, *, strict: bool) -> Iterator[None]:
    """Take a test's body as a story's.

    Raises:
        StoryFailedError: Something that it demands does not come true.
        pytest.fail.Exception: It held, but the engine could not show all of it, and nothing may be left out.
    """
    outcome: BaseException | None = None
    with told.taken():
        try:
            yield
        except (pytest.skip.Exception, pytest.xfail.Exception) as error:
            # Skipped or expected to fail: that says nothing of the system.
            outcome = error
    if outcome is not None:
        raise outcome
    left_out = [step for step in told.steps if step.status == "skipped"]
    if strict and left_out:
        said = "; ".join(f"{step.name}: {step.reason}" for step in left_out)
        pytest.fail(f"{said}, and nothing may be left out (--gitops-strict)", pytrace=False)


def lacking(settings: Settings, needs: list[str]) -> str:
    """Say what the run's engine lacks of what a test needs; empty when it has all of it.

    Raises:
        UsageError: No engine has anything of that name.
    """
    name = settings.engine or sandboxes.DEFAULT_ENGINE
    engine = sandboxes.engine_of(settings.name) if settings.name else sandboxes.ENGINES[name]
    known = frozenset[str]().union(*(each.capabilities for each in sandboxes.ENGINES.values()))
    missing = sorted({check_choice("capability", need, known) for need in needs} - engine.capabilities)
    return f"the engine {engine.name} has no {', '.join(missing)}" if missing else ""


def properties(told: ToldTest) -> Iterator[tuple[str, str]]:
    """Give what JUnit shows of a test beside its outcome."""
    access = told.world.access
    known = {
        "gitops.engine": access.engine,
        "gitops.sandbox": access.name,
        "gitops.tenant": told.world.tenant.name,
        "gitops.versions": ", ".join(f"{name} {tool.version}" for name, tool in sorted(access.tools.items())),
        "gitops.environment_commit": told.revision(),
        "gitops.steps": said_of_steps(told.steps),
        "gitops.report": str(told.report or ""),
    }
    yield from ((name, value) for name, value in known.items() if value)
    yield from ((SKIPPED, step.reason) for step in told.steps if step.status == "skipped")


def sections_of(told: ToldTest, error: BaseException, folder: Path) -> list[tuple[str, str]]:
    """Write the report of a failed test, and give the sections that pytest shows; what can't be had is named."""
    failure = failure_of(error, told.step.name)
    try:
        report = told.write_report(failure, folder)
    except (SandboxError, OSError) as trouble:
        return [("gitops: no report could be written", str(trouble))]
    return list(sections(report, told.report))


def folder_of(config: pytest.Config) -> Path:
    """Give the folder of the run's reports."""
    asked = Settings.of(config).reports
    if asked is not None:
        return asked
    # Where pytest was told to keep nothing, beside the tests.
    cache = getattr(config, "cache", None)
    return Path(cache.mkdir(_REPORTS)) if cache is not None else config.rootpath / _REPORTS


def finish(settings: Settings, run: Run, *, failed: bool) -> tuple[str, bool]:
    """Take down what the run has brought up, or say how to get into what is kept.

    Returns:
        What to say, and whether all went well.
    """
    try:
        if settings.name:
            if leased_tenants(sandbox_dir(settings.name)):
                clear_abandoned(sandboxes.access(settings.name))
            return "", True
        if not settings.keeps(failed):
            run.end()
            return "", True
        run.keep()
        found = sandboxes.status(run.sandbox)
    except SandboxError as error:
        return str(error), False
    commands = [f"  {command.line}" for command in access_commands(found)]
    return "\n".join(
        [f"sandbox {run.sandbox} is kept; to end it: gitops-sandbox down --name {run.sandbox}", *commands]
    ), True
