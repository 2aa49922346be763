"""The project's Invoke tasks: the product's verbs, and what its contributors need beside them."""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path

from invoke.context import Context
from invoke.exceptions import Exit

from sandbox.cli.program import product, verb
from sandbox.core.names import check_choice

ROOT = Path(__file__).resolve().parent

CHECKS: dict[str, list[list[str]]] = {
    "lint": [
        ["ruff", "check", "."],
        ["ruff", "format", "--check", "."],
        ["mypy"],
        ["importlinter.cli", "lint"],
    ],
    "unit": [["pytest", "tests/unit"]],
    "integration": [["pytest", "tests/integration"]],
    "e2e": [["pytest", "tests/e2e"]],
}
"""What `test` runs, in this order: module and arguments of each."""


@verb(
    positional=["suite"],
    help={"suite": f"Only this one: {', '.join(CHECKS)}.", "select": "Only tests whose name matches (pytest -k)."},
)
def test(_: Context, suite: str = "", select: str = "") -> None:
    """Check the project: lint, unit, integration and e2e tests, in this order.

    Examples: test; test unit; test e2e --select core
    """
    suites = [check_choice("suite", suite, CHECKS)] if suite else list(CHECKS)
    for each in suites:
        for words in CHECKS[each]:
            began = time.monotonic()
            command = [sys.executable, "-m", *words, *(["-k", select] if select and words[0] == "pytest" else [])]
            print(f"==> {' '.join(command[2:])}", flush=True)  # noqa: T201  # says which check speaks
            done = subprocess.run(command, cwd=ROOT, check=False)
            print(f"    {time.monotonic() - began:.1f} s", flush=True)  # noqa: T201
            if done.returncode:
                raise Exit(f"{words[0]} of {each} found something", code=1)


@verb()
def fix(_: Context) -> None:
    """Format the code and mend what the linter can mend."""
    for words in (["ruff", "check", "--fix", "."], ["ruff", "format", "."]):
        subprocess.run([sys.executable, "-m", *words], cwd=ROOT, check=False)


@verb()
def lock(_: Context) -> None:
    """Resolve the dependencies of pyproject.toml anew and write requirements.lock; needs uv on the PATH."""
    command = ["uv", "pip", "compile", "--universal", "--python-version", "3.11", "--generate-hashes"]
    command += ["--group", "dev", "pyproject.toml", "--output-file", "requirements.lock", "--upgrade"]
    raise Exit(code=subprocess.run(command, cwd=ROOT, check=False).returncode)


namespace = product()
for _task in (test, fix, lock):
    namespace.add_task(_task)
