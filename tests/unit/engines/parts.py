"""Parts of a sandbox that are files here: what holds a text, what writes one, what remembers, and a cluster."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from sandbox.components.base import Context
from sandbox.core.conditions import Deadline, Observation, met, pending
from sandbox.core.errors import UnavailableError

__all__ = ["Cluster", "Memory", "Part", "Worker", "Writer"]


class Part:
    """A part that holds one text, which others may go on writing."""

    requires: tuple[str, ...] = ()
    ports: tuple[str, ...] = ()

    def __init__(self, name: str, *, starts_empty: bool) -> None:
        self.name = name
        self.starts_empty = starts_empty
        self.holds = ""
        self.stragglers: list[str] = []
        self.full = False
        self.killed = False

    def ensure(self, context: Context) -> None:
        """Nothing."""

    def ready(self, context: Context) -> Any:
        """Nothing."""

    def diagnose(self, context: Context, into: Path) -> None:
        """Nothing."""

    def remove(self, context: Context) -> None:
        """Nothing."""

    def save(self, context: Context, into: Path) -> None:
        """Keep the text."""
        del context
        if self.full:
            raise UnavailableError("can't write", why="No space left on device")
        (into / "text").write_bytes(self.holds.encode())

    def load(self, context: Context, saved: Path) -> int:
        """Put the text back; somebody may write another one right after."""
        del context
        if self.killed:
            raise KeyboardInterrupt
        wanted = (saved / "text").read_bytes().decode() if saved.exists() else ""
        changed = self.holds != wanted
        # Who is still at work writes into what was just put back.
        self.holds = self.stragglers.pop() if changed and self.stragglers else wanted
        return int(changed)


class Writer(Part):
    """A part through which others write."""

    def __init__(self) -> None:
        super().__init__("writer", starts_empty=True)
        self.going = ""
        self.is_held = False

    @contextlib.contextmanager
    def held(self, context: Context, deadline: Deadline) -> Iterator[None]:
        """Hold."""
        del context, deadline
        self.is_held = True
        try:
            yield
        finally:
            self.is_held = False

    def under_way(self, context: Context) -> str:
        """Say what was said to go on."""
        del context
        return self.going

    def interrupt(self, context: Context) -> None:
        """End it."""
        del context
        self.going = ""


class Memory(Part):
    """A part that remembers, and has to have forgotten when the others are put back."""

    def __init__(self, etcd: Part, *, forgets_for_reset: bool) -> None:
        super().__init__("memory", starts_empty=True)
        self.forgets_for_reset = forgets_for_reset
        self.etcd = etcd
        self.looks = 3
        self.told: list[str] = []

    def pause(self, context: Context) -> None:
        """Note what there was."""
        del context
        self.told.append(f"ended at {self.etcd.holds}")

    def resume(self, context: Context) -> None:
        """Note what there is."""
        del context
        self.told.append(f"begun at {self.etcd.holds}")

    def is_back(self, context: Context) -> Observation:
        """Take a while."""
        del context
        self.looks -= 1
        return pending("it begins") if self.looks else met("back")


class Worker(Part):
    """A part that works for a while, and in the end changes what another holds."""

    def __init__(self, etcd: Part) -> None:
        super().__init__("worker", starts_empty=True)
        self.etcd = etcd
        self.looks = 3

    def resting(self, context: Context) -> Observation:
        """Work on."""
        del context
        self.looks -= 1
        if self.looks > 0:
            return pending("it renders")
        self.etcd.holds = "rendered"
        return met("it has no work left")


class Cluster(Part):
    """A part that may be lost and made anew."""

    def __init__(self) -> None:
        super().__init__("cluster", starts_empty=False)
        self.is_number = 1

    def origin(self, context: Context) -> str:
        """Say which one it is."""
        del context
        return str(self.is_number)
