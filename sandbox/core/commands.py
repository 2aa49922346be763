"""Running a program to its end: an argv list, a deadline, and an error that can be pasted into a shell."""

from __future__ import annotations

import shlex
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path

from sandbox.core.errors import DeadlineError, UnavailableError

__all__ = ["CommandError", "run"]

_TAIL = 2000


class CommandError(UnavailableError):
    """A program ended with another exit code than zero.

    Attributes:
        returncode: Its exit code; negative for a signal.
        output: All that it wrote to stderr and stdout, stderr first.
    """

    def __init__(self, argv: Sequence[str], returncode: int, output: str) -> None:
        super().__init__(
            f"`{shlex.join(argv)}` ended with exit code {returncode}", why=output.strip()[-_TAIL:] or "it said nothing"
        )
        self.returncode = returncode
        self.output = output


def run(
    argv: Sequence[str | Path],
    *,
    timeout: float,
    cwd: Path | None = None,
    env: Mapping[str, str] | None = None,
    stdin: str | None = None,
) -> str:
    """Run a program and return what it wrote to stdout.

    Args:
        argv: The program and its arguments; never a secret, since every user can see them.
        timeout: Seconds until the program is killed.
        cwd: The folder to run in.
        env: The whole environment; the caller's own when left out.
        stdin: Text to give it; the program otherwise finds its input closed.

    Raises:
        CommandError: The program failed; carries its output.
        DeadlineError: It ran longer than ``timeout`` seconds.
        UnavailableError: There is no such program.
    """
    words = [str(word) for word in argv]
    try:
        done = subprocess.run(
            words,
            cwd=cwd,
            env=env,
            input=stdin,
            stdin=subprocess.DEVNULL if stdin is None else None,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=timeout,
            check=False,
        )
    except subprocess.TimeoutExpired as error:
        raise DeadlineError(f"`{shlex.join(words)}` did not end within {timeout:g} s") from error
    except OSError as error:
        raise UnavailableError(f"can't run {words[0]}", why=error.strerror or str(error)) from error
    if done.returncode != 0:
        raise CommandError(words, done.returncode, done.stderr + done.stdout)
    return done.stdout
