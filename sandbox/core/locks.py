"""Locks on files, which the kernel frees however their holder ends (flock(2))."""

from __future__ import annotations

import contextlib
import enum
import fcntl
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Self

from sandbox.core.conditions import Deadline, Observation, met, pending, wait_for
from sandbox.core.files import PRIVATE_FILE, writing_errors

__all__ = ["FileLease", "Mode", "locked"]


class Mode(enum.Enum):
    """How a lock is held."""

    SHARED = fcntl.LOCK_SH
    ALONE = fcntl.LOCK_EX


def _nothing() -> None:
    """Do nothing."""


@contextlib.contextmanager
def locked(
    path: Path,
    mode: Mode,
    deadline: Deadline,
    *,
    wanted: str,
    held: str,
    hint: str = "",
    on_wait: Callable[[], None] = _nothing,
) -> Iterator[None]:
    """Hold a lock on a file; whoever holds it alone may take the file away, and who waits then takes a new one.

    Args:
        path: The file; made if need be.
        mode: Whether others may hold it so too.
        deadline: How long to wait for whoever holds it.
        wanted: A sentence: what is waited for.
        held: A sentence: what is seen while another one holds it.
        hint: What to do when it does not become free.
        on_wait: Called once when there is another holder.

    Raises:
        DeadlineError: Another one held it for too long.
        UnavailableError: The file can't be made.
    """
    found = _locked(path, mode)
    if found is None:
        on_wait()
        found = _waited_for(path, mode, deadline, wanted=wanted, held=held, hint=hint)
    try:
        yield
    finally:
        os.close(found)


def _waited_for(path: Path, mode: Mode, deadline: Deadline, *, wanted: str, held: str, hint: str = "") -> int:
    found: list[int] = []

    def look() -> Observation:
        descriptor = _locked(path, mode)
        found.extend([] if descriptor is None else [descriptor])
        return pending(held) if descriptor is None else met()

    wait_for(look, deadline, wanted=wanted, hint=hint)
    return found[0]


def _locked(path: Path, mode: Mode) -> int | None:
    """Open a file and lock it; None while another one holds it, or has just taken it away."""
    descriptor = _opened(path)
    if _try(descriptor, mode) and _is(path, descriptor):
        return descriptor
    os.close(descriptor)
    return None


def _opened(path: Path) -> int:
    with writing_errors(path):
        return os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, PRIVATE_FILE)


def _try(descriptor: int, mode: Mode) -> bool:
    try:
        fcntl.flock(descriptor, mode.value | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


class FileLease:
    """A file that says that there is something to clean up, and a lock that says that somebody alive uses it.

    Whoever is killed leaves the file without the lock: what it stands for is abandoned, and the next one who
    looks may clean it up. Only who holds the lock alone may, and then takes the file away.

    Args:
        path: The file.
        descriptor: Open, and locked.
    """

    def __init__(self, path: Path, descriptor: int) -> None:
        self.path = path
        self._descriptor: int | None = descriptor

    @classmethod
    def share(cls, path: Path, deadline: Deadline) -> Self:
        """Use something together with others; waits while somebody cleans it up, and begins anew then.

        Raises:
            DeadlineError: Somebody was cleaning up for too long.
            UnavailableError: The file can't be made.
        """
        held = "what an earlier user left is being cleaned up"
        return cls(path, _waited_for(path, Mode.SHARED, deadline, wanted=f"{path.name} to be free", held=held))

    @classmethod
    def abandoned(cls, path: Path) -> Self | None:
        """Take what nobody uses any more, to clean it up; None where there is nothing, or it is in use."""
        try:
            descriptor = os.open(path, os.O_RDWR | os.O_CLOEXEC)
        except FileNotFoundError:
            return None
        # Between opening and locking, who cleaned up may have taken the file away: the lock is then on nothing.
        if _try(descriptor, Mode.ALONE) and _is(path, descriptor):
            return cls(path, descriptor)
        os.close(descriptor)
        return None

    def drop(self) -> None:
        """Let go, and leave what there is to those who use it too, or to whoever finds it abandoned."""
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None

    def finish(self) -> None:
        """Say that there is nothing to clean up any more, and let go."""
        if self._descriptor is not None and _is(self.path, self._descriptor):
            self.path.unlink()
        self.drop()


def _is(path: Path, descriptor: int) -> bool:
    try:
        return os.path.samestat(path.stat(), os.fstat(descriptor))
    except FileNotFoundError:
        return False
