"""Processes as the kernel knows them: who they are, whose they are, and how they are ended.

A pid alone names nothing for long: it is used again. So a process is known by its pid together
with its start time (``/proc/PID/stat``, field 22), signals go through a pidfd, and whatever a
sandbox starts carries the sandbox's run id in its environment, which children inherit; and the path
of its state folder, which leads to the run id where every record of it is damaged.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import signal
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Self

from sandbox.core.conditions import Deadline, Observation, met, pending, wait_for
from sandbox.core.errors import DeadlineError

__all__ = [
    "FOLDER_VARIABLE",
    "RUN_ID_VARIABLE",
    "Process",
    "ProcessSpec",
    "die_with_parent",
    "end_marked",
    "inherited_marks",
    "marked",
]

RUN_ID_VARIABLE = "GITOPS_SANDBOX_RUN_ID"
FOLDER_VARIABLE = "GITOPS_SANDBOX_FOLDER"
_PR_SET_PDEATHSIG = 1
_START_TIME = 19  # field 22 of /proc/PID/stat, counted from the field after the command's name


@dataclass(frozen=True, slots=True)
class ProcessSpec:
    """What to run, in full: nothing is inherited from the shell that called ``up``.

    Attributes:
        name: The component's name.
        argv: Program and arguments; never a secret.
        env: The whole environment, but for the marks that the supervisor adds.
        cwd: Working folder.
        log: File that gets stdout and stderr, appended.
        grace: Seconds between SIGTERM and SIGKILL when it is stopped.
        nice: Added to its scheduling niceness, so that what nobody waits for gives way.
    """

    name: str
    argv: tuple[str, ...]
    env: dict[str, str] = field(hash=False)
    cwd: str
    log: str
    grace: float = 1.0
    nice: int = 0

    def to_json(self) -> dict[str, Any]:
        """Give the specification as JSON data."""
        return asdict(self)

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> Self:
        """Read what ``to_json`` gave.

        Raises:
            KeyError: ``argv`` or ``env`` is missing.
            TypeError: It is something else.
            ValueError: As above.
        """
        spec = cls(**{**data, "argv": tuple(data["argv"]), "env": dict(data["env"])})
        texts = (spec.name, spec.cwd, spec.log, *spec.argv, *spec.env, *spec.env.values())
        numbers = (spec.grace, spec.nice)
        if not spec.argv or not all(isinstance(text, str) for text in texts):
            raise TypeError("a process needs a name, a program, folders and variables, all of them texts")
        if not all(isinstance(number, int | float) for number in numbers):
            raise TypeError("the grace and the niceness of a process are numbers")
        return spec


@dataclass(frozen=True, slots=True)
class Process:
    """One process, told apart from a later one with the same pid."""

    pid: int
    started: int

    @classmethod
    def of(cls, pid: int) -> Self | None:
        """Look a running process up; None when there is none, or only its zombie."""
        try:
            fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        except (FileNotFoundError, ProcessLookupError):
            return None
        return None if fields[0] in "ZX" else cls(pid, int(fields[_START_TIME]))

    @property
    def alive(self) -> bool:
        """Whether this very process still runs."""
        return Process.of(self.pid) == self

    def variable(self, name: str) -> str | None:
        """Read a variable that it was started with; None when it has none or is gone."""
        prefix = f"{name}=".encode()
        values = [word.removeprefix(prefix) for word in _environment(self.pid) if word.startswith(prefix)]
        return os.fsdecode(values[0]) if values and self.alive else None

    def send(self, number: signal.Signals) -> None:
        """Signal this very process; nothing happens when it is gone."""
        with contextlib.suppress(ProcessLookupError):
            descriptor = os.pidfd_open(self.pid)
            try:
                # Held open, the descriptor pins the pid: this look can't be overtaken.
                if self.alive:
                    signal.pidfd_send_signal(descriptor, number)
            finally:
                os.close(descriptor)


def die_with_parent() -> None:
    """Have the kernel kill the calling process when its parent ends, however it ends (prctl(2)).

    For ``preexec_fn`` of a single-threaded parent: the signal follows the parent's thread.
    """
    ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)


def inherited_marks() -> dict[str, str]:
    """Give the sandbox's marks that this process carries, for what it starts with an environment made from nothing."""
    return {name: os.environ[name] for name in (RUN_ID_VARIABLE, FOLDER_VARIABLE) if name in os.environ}


def _environment(pid: int) -> list[bytes]:
    try:
        return Path(f"/proc/{pid}/environ").read_bytes().split(b"\0")
    except (PermissionError, FileNotFoundError, ProcessLookupError):
        return []  # Another user's, or it has just ended.


def marked(mark: str, variable: str = RUN_ID_VARIABLE) -> Iterator[Process]:
    """Find every process of this user that carries a mark in its environment.

    Args:
        mark: The value: a sandbox's run id, or what else ``variable`` holds.
        variable: The variable. Children inherit it, whatever session or process group they move to.
    """
    needle = os.fsencode(f"{variable}={mark}")
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit() or int(entry.name) == os.getpid():
            continue
        if needle in _environment(int(entry.name)) and (process := Process.of(int(entry.name))):
            yield process


def end_marked(mark: str, deadline: Deadline, variable: str = RUN_ID_VARIABLE) -> int:
    """Kill every process that carries a mark, until none is left; see ``marked``.

    Returns:
        How many there were.

    Raises:
        DeadlineError: Some could not be ended in time; names their pids.
    """
    seen: set[Process] = set()

    def none_left() -> Observation:
        left = set(marked(mark, variable))
        seen.update(left)
        for process in left:
            process.send(signal.SIGKILL)
        pids = ", ".join(str(process.pid) for process in left)
        return pending(f"still running: {pids}") if left else met("none left")

    try:
        wait_for(none_left, deadline, wanted=f"every process marked {mark} to end", every=0.02)
    except DeadlineError as error:
        error.hint = "look at them with: ps -o pid,stat,wchan,args -p PID"
        raise
    return len(seen)
