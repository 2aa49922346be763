"""The kept moments of a sandbox: of all that its components hold, put away and put back together.

The clean state is one of them, kept when a sandbox has come up for the first time; ``reset`` goes back
to it. How each component keeps its part is its own business (``sandbox.components.state``).
"""

from __future__ import annotations

import contextlib
import datetime as dt
import tempfile
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from sandbox.components.base import Component, Context
from sandbox.components.state import Acting, Bound, Furnishing, Holding, Remembering, Settling, Writing
from sandbox.core.conditions import Deadline, Observation, State, met, pending, wait_for
from sandbox.core.errors import UsageError
from sandbox.core.files import make_private_dir, read_json, remove_tree, write_file, write_json, writing_errors
from sandbox.core.trees import keep_tree, put_back_tree
from sandbox.toolchain import version_set

__all__ = ["Kept", "Snapshots"]

_CLEAN = ".clean"
_RECORD = "snapshot.json"
_GOING_BACK = ".going-back"
_FORMAT = 1
_REST_SECONDS = 10.0
_BACK_SECONDS = 60.0
_READY_SECONDS = 120.0
_QUIET = 0.1
"""Seconds in which nothing may change after the last thing was put back: many times what a watch takes to tell."""
_TENANTS, _WORK = "tenants", "work"
"""Folders of the sandbox that stories alone fill; the second holds people's working copies, which are of no moment."""


Part = TypeVar("Part")


@dataclass(frozen=True, slots=True)
class Kept:
    """One snapshot.

    Attributes:
        name: Its name.
        made: When, as an ISO 8601 time.
    """

    name: str
    made: str

    def to_json(self) -> dict[str, str]:
        """Give it as JSON data."""
        return {"name": self.name, "made": self.made}


class Snapshots:
    """The snapshots of one sandbox.

    Args:
        context: The sandbox.
        components: Its parts; those that hold something take part.
    """

    def __init__(self, context: Context, components: Sequence[Component]) -> None:
        self._context = context
        self._components = components
        self._holding = [part for part in components if isinstance(part, Holding)]
        self._remembering = [part for part in components if isinstance(part, Remembering)]
        self._folder = context.folder / "snapshots"

    @property
    def running(self) -> bool:
        """Whether the sandbox runs."""
        return self._context.supervisor.process() is not None

    @property
    def broken_off(self) -> str | None:
        """To which moment the sandbox was on its way back when that was broken off; None for none."""
        mark = self._folder / _GOING_BACK
        return mark.read_text() if mark.exists() else None

    @property
    def has_clean(self) -> bool:
        """Whether the clean state was kept."""
        return (self._folder / _CLEAN).is_dir()

    @property
    def outlived_by_clean(self) -> bool:
        """Whether the clean state is of a cluster that is gone, and the sandbox has another one since."""
        return self.has_clean and bool(self._not_of_this(self._folder / _CLEAN))

    def all(self) -> list[Kept]:
        """Give the snapshots that people have made, the oldest first."""
        folders = self._folder.iterdir() if self._folder.is_dir() else iter(())
        found = [Kept(path.name, str(self._record(path)["made"])) for path in folders if path.name[0] != "."]
        return sorted(found, key=lambda each: each.made)

    def keep_clean(self) -> None:
        """Keep the clean state, in the place of an earlier one: of what starts empty, nothing has to be kept.

        Nor of its tenants: of stories that were told in a cluster that is gone, a reset is to leave nothing.

        Raises:
            UnavailableError: The disk is full, or a component does not answer.
        """
        if self.has_clean:
            remove_tree(self._folder / _CLEAN)
        self._keep(_CLEAN, [part for part in self._holding if not part.starts_empty])

    def keep(self, name: str) -> Kept:
        """Keep the sandbox as it is now, under a new name.

        Pushes wait meanwhile; whatever goes through the sandbox already is waited for.

        Raises:
            UsageError: There is a snapshot of that name.
            DeadlineError: Something was under way for too long, or the cluster does not come to rest; names it.
            UnavailableError: The disk is full, or a component does not answer; no half snapshot is left.
        """
        if (self._folder / name).exists():
            raise UsageError(f"there is a snapshot {name!r} already", hint=f"snapshot {name} --remove, or another name")
        with self._held(Deadline.after(_REST_SECONDS)):
            self._settle()
            self._keep(name, self._holding, (_TENANTS,))
        return Kept(name, str(self._record(self._folder / name)["made"]))

    def remove(self, name: str) -> None:
        """Remove a snapshot.

        Raises:
            UsageError: There is none of that name.
        """
        remove_tree(self._existing(name))

    def go_back(self, name: str) -> None:
        """Put the sandbox back to a snapshot; what acts on what it remembers is ended first and started again.

        Raises:
            UsageError: There is none of that name, or it was made with other versions, or of a cluster that is gone.
            UnavailableError: The disk is full, or a component does not answer.
            DeadlineError: The sandbox did not come to rest; names what is still at work.
        """
        folder = self._existing(name)
        self._check(folder)
        with self._going_back(name), self._paused(self._remembering):
            self._put_back(folder)

    def clean(self) -> None:
        """Put the sandbox back to the clean state.

        Raises:
            UsageError: It was never kept.
            UnavailableError: A component does not answer.
            DeadlineError: The sandbox did not come to rest; names what is still at work.
        """
        if not self.has_clean:
            raise UsageError(
                f"the clean state of sandbox {self._context.name} is not known",
                why="it was made by a version that did not keep it, or on an engine that can't",
                hint=f"down --name {self._context.name}, then up again",
            )
        with self._going_back(_CLEAN):
            with self._paused([part for part in self._remembering if part.forgets_for_reset]):
                self._put_back(self._folder / _CLEAN)
            for part in self._components:
                if isinstance(part, Furnishing):
                    part.furnish(self._context)
            if (self._context.folder / _WORK).exists():
                remove_tree(self._context.folder / _WORK)

    def finish(self) -> str | None:
        """Finish what was broken off while the sandbox went back; give what it went back to, None for nothing."""
        name = self.broken_off
        if name == _CLEAN:
            self.clean()
        elif name is not None and self._not_of_this(self._existing(name)):
            # Its cluster was lost on the way: nobody can go there any more, and the sandbox has begun anew.
            (self._folder / _GOING_BACK).unlink()
            return None
        elif name is not None:
            self.go_back(name)
        return name

    # Keeping.

    def _settle(self) -> None:
        """Wait until nothing changes, and nobody has reason to change anything: one may render for a while."""

        def settled() -> Observation:
            for part in self._components:
                if isinstance(part, Settling):
                    part.settle(self._context)
            busy = self._busy()
            return pending("; ".join(busy)) if busy else met("nothing changes")

        wait_for(settled, Deadline.after(_BACK_SECONDS), wanted=f"sandbox {self._context.name} to come to rest")

    def _keep(self, name: str, parts: Sequence[Holding], folders: Sequence[str] = ()) -> None:
        make_private_dir(self._folder)
        for path in self._folder.glob(".*.*"):
            # One that was killed while it was made.
            remove_tree(path)
        with writing_errors(self._folder):
            draft = Path(tempfile.mkdtemp(dir=self._folder, prefix=f".{name}."))
        try:
            self._each(parts, lambda part: part.save(self._context, make_private_dir(draft / part.name)))
            for each in folders:
                keep_tree(self._context.folder / each, draft / each)
            record = {
                "format": _FORMAT,
                "versions": version_set(),
                "origins": self._origins(),
                "made": dt.datetime.now(dt.UTC).isoformat(),
            }
            write_json(draft / _RECORD, record)
            with writing_errors(self._folder):
                draft.rename(self._folder / name)
        except BaseException:
            remove_tree(draft)
            raise

    @staticmethod
    def _each(parts: Sequence[Part], act: Callable[[Part], Any]) -> list[Any]:
        with ThreadPoolExecutor(max(1, len(parts))) as pool:
            return list(pool.map(act, parts))

    @staticmethod
    def _record(folder: Path) -> dict[str, Any]:
        return dict(read_json(folder / _RECORD))

    def _existing(self, name: str) -> Path:
        folder = self._folder / name
        if not folder.is_dir():
            known = ", ".join(each.name for each in self.all())
            raise UsageError(
                f"there is no snapshot {name!r}",
                why=f"there are: {known}" if known else "there is none",
                hint=f"snapshot {name}",
            )
        return folder

    def _origins(self) -> dict[str, str]:
        return {part.name: part.origin(self._context) for part in self._components if isinstance(part, Bound)}

    def _not_of_this(self, folder: Path) -> list[str]:
        """Name the parts of a moment that are of another sandbox's life."""
        kept = self._record(folder).get("origins", {})
        return [name for name, origin in self._origins().items() if kept.get(name, origin) != origin]

    def _check(self, folder: Path) -> None:
        record = self._record(folder)
        if (record.get("format"), record.get("versions")) != (_FORMAT, version_set()):
            raise UsageError(
                f"snapshot {folder.name!r} was made with other versions of the tools",
                why="what they have written can't be carried over",
                hint=f"snapshot {folder.name} --remove",
            )
        if foreign := self._not_of_this(folder):
            raise UsageError(
                f"snapshot {folder.name!r} is of a cluster that is gone",
                why=f"the sandbox has got another since, which what was in {', '.join(foreign)} does not fit",
                hint=f"snapshot {folder.name} --remove",
            )

    # Holding still.

    @contextlib.contextmanager
    def _held(self, deadline: Deadline) -> Iterator[None]:
        """Hold all that writes, at once: a push that came in between may have set off a run."""
        writers = [part for part in self._components if isinstance(part, Writing)]
        holds = contextlib.ExitStack()

        def still() -> Observation:
            for part in writers:
                holds.enter_context(part.held(self._context, deadline))
            busy = [said for part in writers if (said := part.under_way(self._context))]
            if not busy:
                return met("nothing is under way")
            holds.close()
            return pending("; ".join(busy))

        with holds:
            wait_for(still, deadline, wanted="the sandbox to come to rest", hint="try again when it has ended")
            yield

    @contextlib.contextmanager
    def _paused(self, paused: Sequence[Remembering]) -> Iterator[None]:
        """End what acts on what it remembers, start it again, and wait until it does its work."""
        context = self._context
        try:
            self._each(paused, lambda part: part.pause(context))
            yield
        finally:
            self._each(paused, lambda part: part.resume(context))
        deadline = Deadline.after(_READY_SECONDS)
        for part in paused:
            wait_for(lambda part=part: part.is_back(context), deadline, wanted=f"{part.name} to do its work again")  # type: ignore[misc]

    @contextlib.contextmanager
    def _going_back(self, name: str) -> Iterator[None]:
        """Note that the sandbox is on its way back, so that ``up`` finishes it where it is broken off."""
        mark = write_file(self._folder / _GOING_BACK, name)
        for part in self._components:
            if isinstance(part, Writing):
                part.interrupt(self._context)
        with self._held(Deadline.after(_REST_SECONDS)):
            yield
        mark.unlink(missing_ok=True)

    # Putting back.

    def _put_back(self, folder: Path) -> None:
        """Put everything back, and again whatever was changed meanwhile by what was still at work."""

        def still() -> Observation:
            busy = self._busy()
            changes = self._each(self._holding, lambda part: part.load(self._context, folder / part.name))
            if busy or any(changes):
                changed = [
                    f"{part.name}: {count} changed" for part, count in zip(self._holding, changes, strict=True) if count
                ]
                return pending("; ".join([*busy, *changed]))
            return met("everything is as it was kept")

        wait_for(
            still,
            Deadline.after(_BACK_SECONDS),
            wanted=f"sandbox {self._context.name} to stay as it was kept",
            hint=f"logs: {self._context.folder / 'logs'}",
            every=_QUIET,
        )
        put_back_tree(folder / _TENANTS, self._context.folder / _TENANTS)

    def _busy(self) -> list[str]:
        """Say who is about to change anything."""
        acting = [part for part in self._components if isinstance(part, Acting) and not self._is_paused(part)]
        looks = [(part, part.resting(self._context)) for part in acting]
        return [f"{part.name}: {look.seen}" for part, look in looks if look.state is not State.MET]

    def _is_paused(self, part: Acting) -> bool:
        status = self._context.supervisor.components().get(part.name)
        return status is not None and status.state == "stopped"
