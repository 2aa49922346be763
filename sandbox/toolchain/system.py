"""Programs that the machine already has, taken only when they are new enough."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

from sandbox.core.commands import run
from sandbox.core.errors import SandboxError
from sandbox.core.files import writing_errors
from sandbox.toolchain.sources import SourceError
from sandbox.toolchain.store import Made
from sandbox.toolchain.versions import SystemSource, ToolDescription

__all__ = ["fill_from_system", "version_key"]

_ASK_SECONDS = 10.0


def version_key(version: str) -> tuple[int, ...]:
    """Give a version's numbers, so that versions can be compared; trailing zeros do not count."""
    numbers = [int(number) for number in re.findall(r"\d+", version)]
    while numbers and numbers[-1] == 0:
        numbers.pop()
    return tuple(numbers)


def fill_from_system(tool: ToolDescription, source: SystemSource, folder: Path) -> Made:
    """Link a program on PATH into ``folder``.

    Raises:
        SourceError: There is none, it does not tell its version, or is older than the stated minimum.
        UnavailableError: The folder can't be written.
    """
    path = shutil.which(source.program)
    if path is None:
        raise SourceError(f"there is no {source.program} on PATH")
    try:
        answer = run([path, *source.arguments], timeout=_ASK_SECONDS)
    except SandboxError as error:
        raise SourceError(f"{path} does not tell its version: {error.what}") from error
    told = re.search(source.pattern, answer)
    if told is None:
        raise SourceError(f"{path} does not tell its version: it says {answer.strip()[:80]!r}")
    version = told[1].rstrip(".")
    if version_key(version) < version_key(source.minimum):
        raise SourceError(f"{path} has version {version}, and at least {source.minimum} is needed")
    with writing_errors(folder):
        (folder / "bin" / tool.binary).symlink_to(Path(path).absolute())
    return Made(path, version)
