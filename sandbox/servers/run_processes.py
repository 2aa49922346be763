"""The processes of one workflow run: found by a variable in their environment, which no step can shake off by chance.

act starts each step in a session of its own, so that neither its process group nor its session leads to them.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from pathlib import Path

from sandbox.core.conditions import Deadline, Observation, met, pending, wait_for
from sandbox.core.processes import Process

__all__ = ["RUN_FOLDER_VARIABLE", "end_run_processes", "run_processes"]

RUN_FOLDER_VARIABLE = "GITOPS_SANDBOX_CI_RUN"


def run_processes(folder: Path) -> Iterator[Process]:
    """Find every process of this user that belongs to the run in ``folder``."""
    mark = f"{RUN_FOLDER_VARIABLE}={folder}".encode()
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit() or int(entry.name) == os.getpid():
            continue
        try:
            environment = (entry / "environ").read_bytes().split(b"\0")
        except (PermissionError, FileNotFoundError, ProcessLookupError):
            continue  # Another user's, or it has just ended.
        if mark in environment and (process := Process.of(int(entry.name))):
            yield process


def end_run_processes(folder: Path, *, seconds: float = 5) -> None:
    """Kill every process of the run in ``folder`` until none is left.

    Raises:
        DeadlineError: Some could not be ended within ``seconds``.
    """

    def none_left() -> Observation:
        left = list(run_processes(folder))
        for process in left:
            process.send(signal.SIGKILL)
        return pending(f"running: {[process.pid for process in left]}") if left else met()

    wait_for(none_left, Deadline.after(seconds), wanted="every process of the workflow run to end", every=0.01)
