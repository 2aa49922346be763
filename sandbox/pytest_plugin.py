"""The pytest plugin: a sandbox for tests of your own GitOps repositories.

    def test_the_environment_works(environment_repo):
        repo = environment_repo("https://git.example.com/team/environment.git")
        eventually(repo.works())

Whoever has it installed and uses none of its fixtures pays for this file alone: everything else is imported when a
test asks for it.
"""

from __future__ import annotations

import contextlib
import inspect
import os
import secrets
import sys
from collections.abc import Callable, Generator, Iterator
from typing import TYPE_CHECKING, Any

import pytest

from sandbox.core.errors import SandboxError

if TYPE_CHECKING:
    from sandbox.engines.access import Access
    from sandbox.gitops.world import World
    from sandbox.testing.repositories import Taking
    from sandbox.testing.runs import Run
    from sandbox.testing.settings import Settings
    from sandbox.testing.told import ToldTest

_RUN = pytest.StashKey[tuple[str, int]]()
_USED = pytest.StashKey[bool]()
_TOLD: pytest.StashKey[ToldTest] = pytest.StashKey()
_KEPT = pytest.StashKey[str]()
_WORKER_INPUT = "gitops_sandbox_run"
_SKIPPED = "gitops_skipped"


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the options, each with an ini setting of its name."""
    group = parser.getgroup("gitops-sandbox", "tests in a GitOps sandbox")
    texts = {
        "engine": ("NAME", "where the sandbox lives: embedded (the default) or kind"),
        "name": ("NAME", "use this sandbox, which is there, and leave it standing"),
        "keep": ("WHEN", "what is kept for you to look at: failure, always or never (the default)"),
        "reports": ("FOLDER", "where the reports of failed tests go (by default into pytest's cache)"),
    }
    for name, (metavar, text) in texts.items():
        group.addoption(f"--gitops-{name}", metavar=metavar, default=None, help=text)
        parser.addini(f"gitops_{name}", text, default="")
    strict = "fail what the engine can't show, instead of skipping it"
    group.addoption("--gitops-strict", action="store_true", default=None, help=strict)
    parser.addini("gitops_strict", strict, type="bool", default=False)


def pytest_configure(config: pytest.Config) -> None:
    """Name the run: alike in all of its workers."""
    config.addinivalue_line(
        "markers",
        "gitops_needs(capability, ...): what the engine must be able to do (containers, ...); skipped aloud elsewhere",
    )
    given = getattr(config, "workerinput", {}).get(_WORKER_INPUT)
    config.stash[_RUN] = tuple(given) if given else (secrets.token_hex(4), os.getpid())


@pytest.hookimpl(optionalhook=True)
def pytest_configure_node(node: Any) -> None:
    """Tell a worker of pytest-xdist which run it belongs to."""
    node.workerinput[_WORKER_INPUT] = list(node.config.stash[_RUN])


def _settings(config: pytest.Config) -> Settings:
    from sandbox.testing.settings import Settings  # noqa: PLC0415  # paid for by tests that use it

    return Settings.of(config)


def _run(config: pytest.Config) -> Run:
    from sandbox.testing.runs import Run  # noqa: PLC0415  # paid for by tests that use it

    return Run.of(*config.stash[_RUN])


@pytest.fixture(scope="session")
def sandbox(request: pytest.FixtureRequest) -> Iterator[Access]:
    """Give the way into the run's sandbox, which all workers share and the first test that asks brings up."""
    from sandbox.testing.session import sandbox_of  # noqa: PLC0415  # paid for by tests that use it

    config = request.config
    with _told_plainly():
        settings = _settings(config)
        config.stash[_USED] = True
        with sandbox_of(settings, _run(config), _speaker(config)) as access:
            yield access


@pytest.fixture
def story(request: pytest.FixtureRequest, sandbox: Access) -> Iterator[World]:
    """Give a tenant of the test's own, with nothing in it: repositories, Applications, namespaces, an AppProject.

    The words of the language (``sandbox.gitops.story``) speak to it: ``eventually(story.dev.lives(revision))``.
    """
    from sandbox.testing.session import told_test  # noqa: PLC0415  # paid for by tests that use it

    item, settings = request.node, _settings(request.config)
    worker = getattr(request.config, "workerinput", {}).get("workerid", "")
    told = told_test(sandbox, item, _run(request.config), worker)
    item.stash[_TOLD] = told
    with _told_plainly(), told.open(settings.keeps):
        yield told.world


@pytest.fixture
def environment_repo(request: pytest.FixtureRequest, sandbox: Access, story: World) -> Iterator[Taking]:
    """Give what mirrors a repository of yours into the test's tenant and creates its Applications.

    ``environment_repo(path or address)`` gives the repository as it is in the sandbox: ``eventually(repo.works())``.
    """
    from sandbox.testing.repositories import taking  # noqa: PLC0415  # paid for by tests that use it

    took = request.node.stash[_TOLD].repositories
    with _told_plainly(), taking(sandbox, story.tenant.name, request.config.rootpath, took) as take:
        yield take


@contextlib.contextmanager
def _told_plainly() -> Iterator[None]:
    """Turn an error for people into a failure without a traceback."""
    try:
        yield
    except SandboxError as error:
        raise pytest.fail.Exception(str(error), pytrace=False) from None


def _speaker(config: pytest.Config) -> Callable[[str], None]:
    def say(text: str) -> None:
        capture = config.pluginmanager.getplugin("capturemanager")
        with capture.global_and_fixture_disabled():
            print(f"\ngitops-sandbox: {text}", file=sys.stderr, flush=True)  # noqa: T201  # whoever waits wants to know

    return say


def pytest_runtest_setup(item: pytest.Item) -> None:
    """Skip what the engine can't show, or fail it where nothing may be left out."""
    marks = list(item.iter_markers("gitops_needs"))
    if not marks:
        return
    from sandbox.testing.session import lacking  # noqa: PLC0415  # paid for by tests that use it

    with _told_plainly():
        reason = lacking(_settings(item.config), [need for mark in marks for need in mark.args])
    if reason:
        item.user_properties.append((_SKIPPED, reason))
        if _settings(item.config).strict:
            pytest.fail(f"{reason}, and nothing may be left out (--gitops-strict)", pytrace=False)
        pytest.skip(reason)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call(item: pytest.Item) -> Generator[None, object, object]:
    """Tell the test's body as a story."""
    __tracebackhide__ = True
    told = item.stash.get(_TOLD, None)
    if told is None:
        return (yield)
    from sandbox.testing.sections import own_lines  # noqa: PLC0415  # imported already: there is a story
    from sandbox.testing.session import take_body  # noqa: PLC0415  # as above

    try:
        with take_body(told, strict=_settings(item.config).strict):
            return (yield)
    except SandboxError as error:
        # The lines of the test are all that tells its author anything; the rest is in the sections.
        raise error.with_traceback(own_lines(error)) from None


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Put what may tell why a test failed into its report, and what it proved into its properties."""
    told = item.stash.get(_TOLD, None)
    if told is None or call.when != "call":
        return (yield)
    from sandbox.testing.session import folder_of, properties, sections_of  # noqa: PLC0415  # imported already

    failed = call.excinfo is not None and told.failed
    shown = sections_of(told, call.excinfo.value, folder_of(item.config)) if failed and call.excinfo else []
    item.user_properties.extend(properties(told))
    report = yield
    if report.failed:
        report.sections.extend(shown)
    return report


@pytest.hookimpl(tryfirst=True)
def pytest_pycollect_makeitem(collector: pytest.Collector, name: str, obj: object) -> pytest.Item | None:
    """Take a function that is marked by ``@story`` and called ``test_...`` for a test."""
    module = sys.modules.get("sandbox.gitops.story")
    # Where that was never imported, there is none.
    if module is None or not isinstance(obj, module.Story) or not isinstance(collector, pytest.Module | pytest.Class):
        return None
    if not collector.funcnamefilter(name):
        return None

    def told(story: World) -> None:
        obj.play(story)

    # Its place and its name are those of the story; its argument is the fixture.
    told.__wrapped__ = obj.play  # type: ignore[attr-defined]  # as functools.wraps has it
    told.__signature__ = inspect.Signature(  # type: ignore[attr-defined]  # PEP 362
        [inspect.Parameter("story", inspect.Parameter.POSITIONAL_OR_KEYWORD)]
    )
    item: pytest.Item = pytest.Function.from_parent(collector, name=name, callobj=told)
    return item


@pytest.hookimpl(wrapper=True, trylast=True)
def pytest_sessionfinish(session: pytest.Session) -> Generator[None, None, None]:
    """Take the run's sandbox down when its workers have ended, in the process that ends last."""
    yield
    config = session.config
    if hasattr(config, "workerinput") or not _was_used(config):
        return
    from sandbox.testing.session import finish  # noqa: PLC0415  # paid for by runs that used it

    said, well = finish(_settings(config), _run(config), failed=bool(session.testsfailed))
    config.stash[_KEPT] = said
    if not well and session.exitstatus == pytest.ExitCode.OK:
        session.exitstatus = pytest.ExitCode.INTERNAL_ERROR


def _was_used(config: pytest.Config) -> bool:
    if config.stash.get(_USED, False):
        return True
    if not config.pluginmanager.hasplugin("dsession"):
        return False
    if config.getoption("gitops_name") or config.getini("gitops_name"):
        return True
    # Workers that were killed can't say whether they used it; the folder can.
    from sandbox.core.folders import state_path  # noqa: PLC0415  # paid for by runs with workers

    return (state_path() / f".pytest-{config.stash[_RUN][0]}").exists()


def pytest_terminal_summary(terminalreporter: Any, config: pytest.Config) -> None:
    """Count what the engine could not show, and say what was kept."""
    counted: dict[str, int] = {}
    for reports in terminalreporter.stats.values():
        for report in reports:
            if getattr(report, "when", "") != "teardown":
                continue
            for name, value in report.user_properties:
                if name == _SKIPPED:
                    counted[str(value)] = counted.get(str(value), 0) + 1
    kept = config.stash.get(_KEPT, "")
    if counted or kept:
        terminalreporter.section("gitops-sandbox")
    for reason, number in sorted(counted.items()):
        terminalreporter.write_line(f"not shown, {number} times: {reason}")
    if kept:
        terminalreporter.write_line(kept)
