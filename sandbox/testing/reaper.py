"""The reaper of a pytest run: waits until the run's first process is gone, however it ended, and cleans up then.

Started as ``python -m sandbox.testing.reaper LEASE`` beside the run; where the run ends well there is nothing
left for it to do.
"""

from __future__ import annotations

import os
import select
import sys
from pathlib import Path

from sandbox.core.conditions import Deadline, Observation, met, pending, wait_for
from sandbox.core.locks import FileLease
from sandbox.core.processes import Process
from sandbox.testing.notes import Note

__all__ = ["reap"]

_WORKERS_SECONDS = 120.0


def _wait_for_the_end(process: Process) -> None:
    try:
        descriptor = os.pidfd_open(process.pid)
    except ProcessLookupError:
        return
    try:
        # Held open, the descriptor pins the pid: if this is the process now, it is the one that ends.
        if process.alive:
            ended = select.poll()
            ended.register(descriptor, select.POLLIN)
            ended.poll()
    finally:
        os.close(descriptor)


def reap(path: Path) -> None:
    """Wait until a run is over, and take its sandbox down if nobody has.

    Raises:
        DeadlineError: A worker outlives the run; the next run looks again.
        SandboxError: The sandbox could not be taken down; as above.
    """
    note = Note.read(path)
    if note is not None:
        _wait_for_the_end(note.first)
    found: list[FileLease] = []

    def look() -> Observation:
        if not path.exists():
            return met("somebody did it")
        lease = FileLease.abandoned(path)
        found.extend([lease] if lease else [])
        return met() if lease else pending("a worker still uses it")

    wait_for(look, Deadline.after(_WORKERS_SECONDS), wanted="the workers of the run to end", every=0.2)
    if found:
        # While it waits, it has nothing of the product in its memory that it may never need.
        from sandbox.testing.runs import take_down  # noqa: PLC0415

        take_down(found[0])


if __name__ == "__main__" and not os.fork():
    reap(Path(sys.argv[1]))
