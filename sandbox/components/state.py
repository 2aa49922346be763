"""What a component does for a snapshot: those that hold something, those that write, those that remember.

The engine (``sandbox.engines.snapshots``) asks each for its part, in whatever way it does it.
"""

from __future__ import annotations

from contextlib import AbstractContextManager
from pathlib import Path
from typing import Protocol, runtime_checkable

from sandbox.components.base import Context
from sandbox.core.conditions import Deadline, Observation

__all__ = ["Acting", "Bound", "Furnishing", "Holding", "Remembering", "Settling", "Writing"]


@runtime_checkable
class Holding(Protocol):
    """A component that holds a part of the sandbox's state."""

    @property
    def name(self) -> str:
        """What it is called; its part of a snapshot lies in a folder of this name."""

    @property
    def starts_empty(self) -> bool:
        """Whether it holds nothing in a sandbox that has just been made, of which nothing is then kept."""

    def save(self, context: Context, into: Path) -> None:
        """Keep what it holds now.

        Args:
            context: The sandbox.
            into: A private folder, made and empty.

        Raises:
            UnavailableError: It does not answer, or the disk is full.
        """

    def load(self, context: Context, saved: Path) -> int:
        """Have it hold what was kept, and nothing else; calling it again changes nothing.

        Args:
            context: The sandbox.
            saved: What ``save`` was given; where it does not exist, it is to hold nothing.

        Returns:
            How many things had to be changed; 0 where all was as it was kept.

        Raises:
            UnavailableError: It does not answer, or the disk is full.
        """


@runtime_checkable
class Settling(Protocol):
    """A component whose state others go on changing for a while after the last that was done to the sandbox."""

    @property
    def name(self) -> str:
        """What it is called."""

    def settle(self, context: Context) -> None:
        """Wait until its state changes no more: only such a moment can be put back, and stays.

        Raises:
            DeadlineError: Something goes on changing; names it.
        """


@runtime_checkable
class Bound(Protocol):
    """A component whose part of a snapshot can be put back into the very one that it was taken of alone."""

    @property
    def name(self) -> str:
        """What it is called."""

    def origin(self, context: Context) -> str:
        """Say which one it is: the same for as long as it is that one, and never the same for another."""


@runtime_checkable
class Writing(Protocol):
    """A component through which people and programs change what others hold."""

    @property
    def name(self) -> str:
        """What it is called."""

    def held(self, context: Context, deadline: Deadline) -> AbstractContextManager[None]:
        """Wait until nothing goes through it, and let nothing through while the context is open.

        Raises:
            DeadlineError: Something took too long; names it.
        """

    def under_way(self, context: Context) -> str:
        """Say what goes through it now; empty for nothing."""

    def interrupt(self, context: Context) -> None:
        """End what goes through it, whatever becomes of it.

        Raises:
            DeadlineError: Something could not be ended.
        """


@runtime_checkable
class Acting(Protocol):
    """A component that changes what others find in the cluster by itself, some time after it was given reason to."""

    @property
    def name(self) -> str:
        """What it is called."""

    def resting(self, context: Context) -> Observation:
        """Look whether it is about to change anything."""


@runtime_checkable
class Remembering(Protocol):
    """A component that acts on what it remembers of the cluster beside what it watches."""

    @property
    def name(self) -> str:
        """What it is called."""

    @property
    def forgets_for_reset(self) -> bool:
        """Whether a reset too can bring back what it remembers to be gone."""

    def pause(self, context: Context) -> None:
        """End what remembers, and all that it remembers.

        Raises:
            UnavailableError: It can't be ended.
        """

    def resume(self, context: Context) -> None:
        """Start it again; what was not ended is left alone.

        Raises:
            UnavailableError: It can't be started.
        """

    def is_back(self, context: Context) -> Observation:
        """Look whether what was started again does its work, and what stands on it too."""


@runtime_checkable
class Furnishing(Protocol):
    """A component that a sandbox may have come to have more of since its clean state was kept."""

    @property
    def name(self) -> str:
        """What it is called."""

    def furnish(self, context: Context) -> None:
        """Bring what is missing of it, and wait until it does its work.

        Raises:
            DeadlineError: It does not.
        """
