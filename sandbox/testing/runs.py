"""One sandbox for all processes of a pytest run, by a lease that each of them holds.

    <state>/.pytest-<id>/lease      says that the sandbox pytest-<id> is to be taken down; held by each user
    <state>/.pytest-<id>/entering   held by whoever brings the sandbox up, or asks whether it is

It is taken down when the run's first process ends: by that process, by the reaper that watches it where it is
killed, and where the reaper is killed too, by the next run that looks for what was abandoned.
"""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from sandbox.core.conditions import Deadline, Observation, met, pending, wait_for
from sandbox.core.errors import SandboxError, UnavailableError
from sandbox.core.files import make_private_dir, remove_tree
from sandbox.core.folders import state_path, state_root
from sandbox.core.locks import FileLease, Mode, locked
from sandbox.core.processes import Process
from sandbox.core.timeline import Timeline
from sandbox.engines import sandboxes
from sandbox.engines.access import Access
from sandbox.testing.notes import Note
from sandbox.toolchain import Progress

__all__ = ["Run", "abandoned_runs", "take_down"]

_PREFIX = ".pytest-"
_ENTER_SECONDS = 3600.0  # the first run of all may have to build every tool
_END_SECONDS = 60.0
_REAPER_SECONDS = 30.0


@dataclass(frozen=True, slots=True)
class Run:
    """One run of pytest, with all of its workers.

    Attributes:
        id: Tells it from others.
        first: The process that ends last: the only one, or the controller of the workers.
    """

    id: str
    first: Process

    @classmethod
    def of(cls, name: str, pid: int) -> Self:
        """Give a run by its first process.

        Raises:
            UnavailableError: That process has ended: so has the run.
        """
        first = Process.of(pid)
        if first is None:
            raise UnavailableError(f"the run {name} is over", why=f"its process {pid} has ended")
        return cls(name, first)

    @property
    def sandbox(self) -> str:
        """The name of its sandbox."""
        return f"pytest-{self.id}"

    @property
    def folder(self) -> Path:
        """Where it is noted."""
        return state_path() / f"{_PREFIX}{self.id}"

    @property
    def lease(self) -> Path:
        """The file that its processes hold as long as they use its sandbox."""
        return self.folder / "lease"

    @contextlib.contextmanager
    def entered(self, options: sandboxes.UpOptions, progress: Progress) -> Iterator[Access]:
        """Use the run's sandbox; whoever comes first brings it up, and the others wait for that.

        Args:
            options: What is asked for.
            progress: Told about tools that have to be made.

        Raises:
            SandboxError: It can't be brought up; none of the run's processes tries it a second time.
        """
        state_root()
        entering = make_private_dir(self.folder) / "entering"
        wanted, held = f"sandbox {self.sandbox} to come up", "another worker of this run is bringing it up"
        with locked(entering, Mode.ALONE, Deadline.after(_ENTER_SECONDS), wanted=wanted, held=held):
            lease = FileLease.share(self.lease, Deadline.after(_END_SECONDS))
            note = Note.read(self.lease)
            if note is None:
                # Before anything is there to be taken down.
                Note(self.first).write(self.lease)
                _start_reaper(self)
            # One that was killed while it brought the sandbox up has left the rest to us.
            if note is None or not note.settled:
                note = self._brought_up(options, progress)
                note.write(self.lease)
        try:
            if note.failed:
                raise UnavailableError(f"sandbox {self.sandbox} did not come up", why=note.failed)
            yield sandboxes.access(self.sandbox)
        finally:
            lease.drop()

    def _brought_up(self, options: sandboxes.UpOptions, progress: Progress) -> Note:
        try:
            engine = sandboxes.engine_for(self.sandbox, options)
            engine.fetch(options.provider, progress)
            sandboxes.up(self.sandbox, options, Timeline())
        except SandboxError as error:
            return Note(self.first, failed=str(error))
        return Note(self.first, up=True)

    def end(self) -> bool:
        """Take the run's sandbox down; called by its first process when its workers have ended.

        Returns:
            Whether there was one.

        Raises:
            DeadlineError: One of its processes does not end.
            SandboxError: It could not be taken down.
        """
        lease = self._alone()
        if lease is None:
            return False
        take_down(lease)
        return True

    def keep(self) -> None:
        """Let the sandbox stand: from now on it is one like any other."""
        lease = self._alone()
        if lease is not None:
            _forget(lease)

    def _alone(self) -> FileLease | None:
        found: list[FileLease] = []

        def look() -> Observation:
            if not self.lease.exists():
                return met("there is none")
            lease = FileLease.abandoned(self.lease)
            found.extend([lease] if lease else [])
            return met() if lease else pending("one of the run's processes still uses it")

        wait_for(look, Deadline.after(_END_SECONDS), wanted=f"sandbox {self.sandbox} to be used by nobody")
        return found[0] if found else None


def _start_reaper(run: Run) -> None:
    import_path = str(Path(__file__).resolve().parents[2])
    # It forks and lives on as nobody's child, so that it leaves no zombie to whoever started it.
    subprocess.run(
        [sys.executable, "-P", "-m", "sandbox.testing.reaper", str(run.lease)],
        env={**os.environ, "PYTHONPATH": import_path, "PYTHONDONTWRITEBYTECODE": "1"},
        cwd="/",
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        # Ctrl-C is for those whom it watches.
        start_new_session=True,
        timeout=_REAPER_SECONDS,
        check=True,
    )


def take_down(lease: FileLease) -> None:
    """Take down the sandbox of a run that has ended, whoever finds it.

    Raises:
        SandboxError: It could not be taken down; the next one who looks tries again.
    """
    try:
        sandboxes.down(lease.path.parent.name.removeprefix("."))
    except SandboxError:
        lease.drop()
        raise
    _forget(lease)


def _forget(lease: FileLease) -> None:
    lease.finish()
    remove_tree(lease.path.parent)


def abandoned_runs() -> Iterator[FileLease]:
    """Find the leases of runs that were killed, each taken so that nobody else cleans up after it too."""
    for path in sorted(state_root().glob(f"{_PREFIX}*/lease")):
        lease = FileLease.abandoned(path)
        if lease is None:
            continue
        note = Note.read(path)
        # Between two workers of a run there may be a moment in which nobody holds its lease.
        if note is not None and note.first.alive:
            lease.drop()
        else:
            yield lease
