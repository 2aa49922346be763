"""Running a program that takes minutes: its last line is told as it goes, and it ends with whoever asked for it."""

from __future__ import annotations

import os
import signal
import subprocess
import threading
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from sandbox.core.commands import CommandError
from sandbox.core.conditions import Deadline, Observation, met, pending, wait_for
from sandbox.toolchain.leash import leashed

__all__ = ["run_followed"]

_KEPT_LINES = 400
_EVERY = 0.1


def run_followed(
    argv: Sequence[str],
    follow: Callable[[str], None],
    *,
    seconds: float,
    wanted: str,
    env: Mapping[str, str],
    cwd: Path | None = None,
) -> None:
    """Run a program to its end, on a leash, and tell what it has written last.

    Args:
        argv: The program and its arguments; never a secret, since every user can see them.
        follow: Called ten times a second with its last line.
        seconds: Until it is killed, with all that it started.
        wanted: A sentence: what is waited for.
        env: The whole environment.
        cwd: The folder to run in.

    Raises:
        CommandError: It failed; carries its last lines.
        DeadlineError: It took longer than ``seconds``.
    """
    # A session of its own, so that an interrupted build's compilers can be ended all at once.
    process = subprocess.Popen(
        leashed([*argv]),
        cwd=cwd,
        env=env,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
        start_new_session=True,
    )
    lines: deque[str] = deque(maxlen=_KEPT_LINES)
    reader = threading.Thread(target=lambda: lines.extend(line.rstrip() for line in process.stdout or ()), daemon=True)
    reader.start()

    def ended() -> Observation:
        if process.poll() is not None:
            return met()
        last = lines[-1] if lines else "starting"
        follow(last)
        return pending(last)

    try:
        wait_for(ended, Deadline.after(seconds), wanted=wanted, every=_EVERY)
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
        reader.join(timeout=5)
        for stream in (process.stdin, process.stdout):
            if stream:
                stream.close()
    if process.returncode != 0:
        raise CommandError(argv, process.returncode, "\n".join(lines))
