"""The project's Invoke tasks: the product's verbs, and what its contributors need beside them."""

from __future__ import annotations

import contextlib
import itertools
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

from invoke.context import Context
from invoke.exceptions import Exit
from rich.console import RenderableType
from rich.table import Table

from benchmarks import run
from sandbox.cli.output import Output
from sandbox.cli.program import product
from sandbox.cli.session import bring_up, narrated
from sandbox.cli.verb import TerminatedError, verb
from sandbox.containers.described import NAME_LABEL
from sandbox.core.errors import DeadlineError, UnavailableError, UsageError
from sandbox.core.names import check_choice
from sandbox.engines import sandboxes
from sandbox.engines.sandboxes import UpOptions
from sandbox.gitops.story import tell
from sandbox.gitops.tenant import Tenant
from sandbox.gitops.world import World
from sandbox.report import closing_table, record_svg
from sandbox.report import narrated as narrated_lines
from sandbox.toolchain.progress import show_progress
from scenarios import catalogue

ROOT = Path(__file__).resolve().parent
PROGRAMS = Path(sys.executable).parent
PICTURE = "picture"
COLUMNS = 112

_EMBEDDED = ["tests/e2e", "--ignore=tests/e2e/kind", "--ignore=tests/e2e/cluster"]
_MANY = "tests/e2e/test_many_manifests.py"
_KIND, _HA = "tests/e2e/kind", "tests/e2e/kind/test_ha.py"
_CLUSTER, _GUEST = "tests/e2e/cluster", "tests/e2e/cluster/test_guest.py"
_ALWAYS, _BY_NIGHT = ("-m", "not nightly"), ("-m", "nightly")
_BY_FILE = ("-n", "2", "--dist", "loadfile")
# pytest.ExitCode.NO_TESTS_COLLECTED: to import pytest for it would take a tenth of every command.
_NO_TESTS = 5
_ENDING_SECONDS = 180.0
_LONGEST_FIRST = (*_BY_FILE, "--no-loadscope-reorder")

CHECKS: dict[str, list[list[str]]] = {
    "lint": [
        ["ruff", "check", "."],
        ["ruff", "format", "--check", "."],
        ["mypy"],
        ["lint-imports"],
    ],
    "unit": [["pytest", "tests/unit", "-n", "2"]],
    "integration": [["pytest", "tests/integration", *_ALWAYS, *_BY_FILE]],
    # Each file has sandboxes of its own; two keep two cores busy.
    "e2e": [["pytest", *_EMBEDDED, *_ALWAYS, *_LONGEST_FIRST, "--durations", "30"]],
    # After them: a cluster of containers keeps two cores busy by itself.
    "kind": [["pytest", _KIND, *_ALWAYS, "--durations", "15"]],
    "cluster": [["pytest", _CLUSTER, *_ALWAYS, "--durations", "5"]],
}
"""What `test` runs, in this order: program and arguments of each."""

PARTS: dict[str, list[list[str]]] = {
    "many": [["pytest", _MANY]],
    "ha": [["pytest", _HA]],
    "guest": [["pytest", _GUEST]],
}
"""Whose sandboxes fill a small machine alone; a part of `nightly`."""

NIGHTLY: dict[str, list[list[str]]] = {
    "nightly": [
        ["pytest", "tests/integration", *_BY_NIGHT],
        ["pytest", *_EMBEDDED, f"--ignore={_MANY}", *_BY_NIGHT, *_LONGEST_FIRST, "--durations", "15"],
        ["pytest", _KIND, f"--ignore={_HA}", *_BY_NIGHT, "--durations", "15"],
        ["pytest", _CLUSTER, f"--ignore={_GUEST}", *_BY_NIGHT, "--durations", "5"],
        *itertools.chain.from_iterable(PARTS.values()),
    ],
}
"""What it runs every night, after what `test` runs: the cases and the long ones that are left out there."""

NEEDS = {
    "integration": ("embedded", "kind"),
    "e2e": ("embedded",),
    "many": ("embedded",),
    "kind": ("kind",),
    "ha": ("kind",),
    "cluster": ("kind", "cluster"),
    "guest": ("kind", "cluster"),
    "nightly": ("embedded", "kind", "cluster"),
}
"""Whose tools a suite needs: to build them takes longer than any test may."""


@verb(
    words="suite",
    help={
        "suite": f"Only this one: {', '.join(CHECKS | NIGHTLY | PARTS)}.",
        "select": "Only tests whose name matches (pytest -k).",
    },
)
def test(_: Context, suite: str = "", select: str = "") -> None:
    """Check the project: lint, unit, integration and e2e tests, and those in real clusters, in this order.

    Examples: test; test nightly; test unit; test kind; test many; test ha; test guest; test e2e --select core
    """
    known = CHECKS | NIGHTLY | PARTS
    suites = [check_choice("suite", suite, known)] if suite else list(CHECKS)
    for each in suites:
        for engine in NEEDS.get(each, ()):
            _fetch(engine)
        # All of a suite, also after one has found something: a night is told as a whole.
        codes = [(words[0], _run(words, select)) for words in known[each]]
        found = dict.fromkeys(name for name, code in codes if code not in (0, _NO_TESTS))
        if found:
            raise Exit(f"{', '.join(found)} of {each} found something", code=1)
        if all(code == _NO_TESTS for _, code in codes):
            raise UsageError(
                f"{each} has no test that matches {select!r}",
                why="a part of a test's name, or an expression of such parts, is looked for (pytest -k)",
                hint=f"test {each} --select a_part_of_its_name",
            )


def _run(words: list[str], select: str) -> int:
    began = time.monotonic()
    command = [str(PROGRAMS / words[0]), *words[1:], *(["-k", select] if select and words[0] == "pytest" else [])]
    print(f"==> {' '.join(words)}", flush=True)  # noqa: T201  # says which check speaks
    # In a group of its own, so that it hears of an interruption once, whether a terminal or `kill` has told us.
    program = subprocess.Popen(command, cwd=ROOT, stdin=subprocess.DEVNULL, process_group=0)
    try:
        program.wait()
    except (KeyboardInterrupt, TerminatedError):
        _interrupt(program)
        raise
    print(f"    {time.monotonic() - began:.1f} s", flush=True)  # noqa: T201
    return program.returncode


def _interrupt(program: subprocess.Popen[bytes]) -> None:
    """Have a check end as by Ctrl-C, with the time to take down what its tests have brought up."""
    try:
        os.killpg(program.pid, signal.SIGINT)
        program.wait(_ENDING_SECONDS)
    except subprocess.TimeoutExpired as error:
        raise DeadlineError(
            f"the tests did not end within {_ENDING_SECONDS:g} s and were killed",
            why="what they had brought up may be there still",
            hint=f"docker ps --all --filter label={NAME_LABEL}; ps ax",
        ) from error
    finally:
        # Too late, or interrupted once more; those that have ended are not there to be killed.
        with contextlib.suppress(ProcessLookupError):
            os.killpg(program.pid, signal.SIGKILL)
        program.wait()


def _fetch(engine: str) -> None:
    output = Output(as_json=False)
    try:
        with show_progress(output.console) as progress:
            sandboxes.ENGINES[engine].fetch(None, progress)
    except UnavailableError as error:
        # The suite itself says what can't be shown without, and in CI fails for it.
        output.note(f"{error.what}: {error.why}")


@verb(
    help={
        "parts": f"Which, joined by commas: {', '.join(run.PARTS)}; soak and those of kind only when named.",
        "runs": "How many runs each.",
        "json": "The report as one JSON object on stdout.",
    }
)
def bench(_: Context, *, parts: str = "", runs: int = 20, json: bool = False) -> None:
    """Measure how fast it is and write the raw data to benchmarks/results/.

    Examples: bench; bench --parts up,changes --runs 5; bench --parts kind-up,kind-changes --runs 10
    """
    output = Output(as_json=json)
    chosen = [check_choice("part", each, run.PARTS) for each in parts.split(",") if each] or run.USUAL
    path, report = run.run(chosen, runs, output.note)
    table = Table("measure", "runs", "p50", "p95", "aim", "met", box=None, pad_edge=False)
    for each in report["series"]:
        aim = ", ".join(f"{key} {limit:g}" for key, limit in each["aim"].items())
        table.add_row(
            each["name"], str(each["runs"]), str(each["p50"]), str(each["p95"]), aim, "yes" if each["met"] else "NO"
        )
    output.result(report, table, f"raw data: {path}")


@verb(help={"path": "Where the picture goes."})
def picture(_: Context, *, path: str = "docs/demo.svg") -> None:
    """Draw the README's picture from a real run of the demo in a sandbox of its own.

    Example: picture
    """
    output = Output(as_json=False)
    began = time.monotonic()
    access, timeline = bring_up(output, PICTURE, UpOptions())
    up_seconds = round(time.monotonic() - began, 1)
    try:
        with narrated(output) as told:
            result = tell(catalogue()["core"], World(access, Tenant("core")), told)
        events = [*timeline.events, *told.events]
        seconds = {"up": up_seconds, "story": result.seconds}
        shown: list[RenderableType] = [
            *narrated_lines(events, COLUMNS),
            closing_table([each.to_json() for each in result.steps], seconds),
        ]
        output.note(f"drawn: {record_svg(shown, './inv demo', ROOT / path, width=COLUMNS)}")
    finally:
        sandboxes.down(PICTURE)


@verb()
def docs(_: Context) -> None:
    """Make the reference below docs/reference/ anew from docstrings and from the command line's help."""
    from docs import generate  # noqa: PLC0415  # its libraries would cost every other task a fifth of a second

    for path in generate.write(product()):
        print(f"written: {path.relative_to(ROOT)}")  # noqa: T201  # says what was done


@verb()
def fix(_: Context) -> None:
    """Format the code and mend what the linter can mend."""
    for words in (["ruff", "check", "--fix", "."], ["ruff", "format", "."]):
        subprocess.run([str(PROGRAMS / words[0]), *words[1:]], cwd=ROOT, check=False)


@verb()
def lock(_: Context) -> None:
    """Resolve the dependencies of pyproject.toml anew and write requirements.lock; needs uv on the PATH."""
    command = ["uv", "pip", "compile", "--universal", "--python-version", "3.11", "--generate-hashes"]
    command += ["--group", "dev", "pyproject.toml", "--output-file", "requirements.lock", "--upgrade"]
    raise Exit(code=subprocess.run(command, cwd=ROOT, check=False).returncode)


namespace = product()
for _task in (test, bench, picture, docs, fix, lock):
    namespace.add_task(_task)
