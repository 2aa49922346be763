"""The runs of the CI runner as they are kept on disk: a folder each, written before the push event is answered."""

from __future__ import annotations

import contextlib
import re
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from sandbox.core.errors import UsageError
from sandbox.core.files import make_private_dir, read_json, remove_tree, write_file, write_json
from sandbox.core.names import check_repository_name

__all__ = ["Run", "RunStore", "now"]

_COMMIT = re.compile(r"[0-9a-f]{40}|[0-9a-f]{64}")
_RESULT = "result.json"
_EVENT = "event.json"
_WORK = "work"
_CANCEL = "cancel"
_KEPT = 50


def now() -> str:
    """Give the time as it stands in records: UTC, ISO 8601."""
    return datetime.now(UTC).isoformat()


@dataclass(frozen=True, slots=True)
class Run:
    """One run of a commit's workflows, as ``result.json`` holds it.

    Attributes:
        id: The run's number, microseconds since 1970: its folder's name and ``github.run_id``.
        repository: The source repository's name.
        commit: The pushed commit.
        ref: The ref that was pushed.
        delivery: The push event's own id, by which a repetition is known.
        received: When the event came.
        status: ``queued``, ``running``, ``passed``, ``failed`` or ``cancelled``.
        started: When it began; empty while it waits.
        finished: When it ended; empty before.
        seconds: How long the workflows took.
        steps: The steps that ended.
        reason: Why it did not pass.
    """

    id: str
    repository: str
    commit: str
    ref: str
    delivery: str
    received: str
    status: str = "queued"
    started: str = ""
    finished: str = ""
    seconds: float = 0.0
    steps: tuple[Mapping[str, object], ...] = ()
    reason: str = ""

    def to_json(self) -> dict[str, object]:
        """Give the run as JSON data."""
        return {name: getattr(self, name) for name in self.__slots__}

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Run:
        """Read what ``to_json`` gave."""
        return cls(**{**data, "steps": tuple(data["steps"])})

    def ended(self, status: str, reason: str) -> Run:
        """Give the run as it ended just now."""
        return replace(self, status=status, reason=reason, finished=now())


class RunStore:
    """The folder of all runs.

    Args:
        folder: Where it is; made if need be.
        kept: How many runs that ended ``prune`` leaves.
    """

    def __init__(self, folder: Path, kept: int = _KEPT) -> None:
        self._folder = make_private_dir(folder)
        self._kept = kept
        self._changing = threading.Lock()
        self._deliveries = {run.delivery for run in self.all()}

    def folder(self, run: Run) -> Path:
        """Give the folder of one run."""
        return self._folder / run.id

    def work(self, run: Run) -> Path:
        """Give the place of a run's checkout, which is there while it runs."""
        return self.folder(run) / _WORK

    def all(self) -> list[Run]:
        """Read all runs, the oldest first; a folder that was never finished being made is left out."""
        runs = []
        for file in sorted(self._folder.glob(f"*/{_RESULT}")):
            # The runner, another process to a story, may prune it at this moment.
            with contextlib.suppress(FileNotFoundError):
                runs.append(Run.from_json(read_json(file)))
        return runs

    def event(self, run: Run) -> dict[str, object]:
        """Read a run's push event."""
        return read_json(self.folder(run) / _EVENT)

    def add(self, event: Mapping[str, object], delivery: str) -> Run | None:
        """Record a push event as a run that waits; None when this delivery is recorded already.

        Raises:
            UsageError: The event is no push event of a repository that there can be.
            UnavailableError: It can't be written.
        """
        if delivery in self._deliveries:
            return None
        repository, commit, ref = event.get("repository"), event.get("after"), event.get("ref")
        name = repository.get("full_name") if isinstance(repository, dict) else None
        if not isinstance(name, str) or not isinstance(commit, str) or not isinstance(ref, str):
            raise UsageError("the event is no push event", why="repository.full_name, after or ref is missing")
        if not _COMMIT.fullmatch(commit):
            raise UsageError("the event is no push event", why="after is no commit")
        with self._changing:
            run = Run(self._new_id(), check_repository_name(name), commit, ref, delivery, received=now())
            make_private_dir(self.folder(run))
            write_json(self.folder(run) / _EVENT, event)
            # Last: a run exists when its result does.
            self.write(run)
        self._deliveries.add(delivery)
        return run

    def _new_id(self) -> str:
        number = time.time_ns() // 1000
        # The clock may have been set back.
        while (self._folder / str(number)).exists():
            number += 1
        return str(number)

    def write(self, run: Run) -> Run:
        """Write a run's ``result.json`` and give the run back."""
        write_json(self.folder(run) / _RESULT, run.to_json())
        return run

    def finish(self, run: Run) -> Run:
        """Record how a run ended, and give it back; its checkout goes, since Git has the commit.

        Raises:
            UnavailableError: The checkout can't be removed; the run is recorded all the same.
        """
        try:
            # First: whoever waits for the end then finds a folder in which nothing changes any more.
            if self.work(run).exists():
                remove_tree(self.work(run))
        finally:
            self.write(run)
        return run

    def cancel(self, run: Run) -> None:
        """Ask for the end of a run that waits or goes on; the runner, another process, sees it within a moment.

        Raises:
            UnavailableError: It can't be written.
        """
        # A run that was removed meanwhile needs no end.
        if self.folder(run).is_dir():
            write_file(self.folder(run) / _CANCEL, "")

    def is_cancelled(self, run: Run) -> bool:
        """Say whether somebody has asked for the end of a run."""
        return (self.folder(run) / _CANCEL).exists()

    def remove(self, run: Run) -> None:
        """Remove all that is kept of a run that has ended; nothing happens when it is absent.

        Raises:
            UnavailableError: Something of it can't be removed.
        """
        with self._changing:
            if self.folder(run).exists():
                remove_tree(self.folder(run))

    def prune(self) -> None:
        """Remove what lies before the newest runs that ended; a run that waits or goes on stays, however old.

        Raises:
            UnavailableError: Something can't be removed.
        """
        with self._changing:
            runs = self.all()
            ended = [run.id for run in runs if run.finished]
            going = {run.id for run in runs if not run.finished}
            if len(ended) <= self._kept:
                return
            oldest_kept = ended[-self._kept]
            # Not by the list of runs: a removal that was broken off leaves a folder that is no run.
            for folder in sorted(self._folder.iterdir()):
                if folder.name < oldest_kept and folder.name not in going:
                    remove_tree(folder)
