"""The shells that run a workflow's steps, each of which stays until what a failed step wrote has been read.

act (0.2.89, ``exec`` in ``pkg/container/host_environment.go``) closes a step's terminal as soon as the step's shell
has ended with a failure; what it has not read by then is lost, and that is what the step said last. So the shell
says that it has ended, as the last thing in the terminal, and waits until the runner has seen that.
"""

from __future__ import annotations

import contextlib
import os
import re
import shutil
from pathlib import Path

from sandbox.core.files import write_file

__all__ = ["answer", "lay_out_shells", "split_ending"]

_SHELL = Path(__file__).with_name("step_shell")
_INTERPRETER = Path("/bin/bash")
# What act runs steps by (``shell``), and the actions that are programs for Node.
_NAMES = ("bash", "sh", "python", "python3", "pwsh", "node")
_PROGRAM = 0o700
_ENDING = re.compile(r"\[gitops-sandbox: shell ([0-9]{1,10}) failed\]$")


def lay_out_shells(folder: Path, path: str) -> None:
    """Put a shell into ``folder``, which is to be searched before ``path``, for each of these that is there.

    Nothing is put there on a host without bash, by which they work.

    Raises:
        UnavailableError: It can't be written.
    """
    if _INTERPRETER.exists():
        for name in _NAMES:
            if shutil.which(name, path=path):
                write_file(folder / name, _SHELL.read_text(), mode=_PROGRAM)


def split_ending(line: str) -> tuple[str, str]:
    """Give what a step wrote in a line, and the shell that says there that it has ended; empty where none does."""
    found = _ENDING.search(line)
    return (line[: found.start()], found[1]) if found else (line, "")


def answer(folder: Path, shell: str) -> None:
    """Let a shell end whose ending was seen; one that is gone by now is no error.

    Args:
        folder: Where the shells were laid out.
        shell: As ``split_ending`` gives it.
    """
    # A step can write such a line itself: there may be no such file, nobody who reads it, or a link to another.
    with contextlib.suppress(OSError):
        waiting = os.open(folder / shell, os.O_WRONLY | os.O_NONBLOCK | os.O_NOFOLLOW)
        try:
            os.write(waiting, b"\n")
        finally:
            os.close(waiting)
