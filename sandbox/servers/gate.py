"""The gate of the repositories: what changes them passes it, and whoever keeps them or puts them back holds it shut.

A lock on a file between two processes, which the kernel frees however its holder ends.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractContextManager
from pathlib import Path

from sandbox.core.conditions import Deadline
from sandbox.core.locks import Mode, locked

__all__ = ["Passage", "Stay", "no_gate", "shut"]

_SECONDS = 240.0


def _gate(root: Path) -> Path:
    return root.with_name(f"{root.name}-gate.lock")


Stay = Callable[[], Callable[[], None]]
"""Begins what nobody may shut the gate during, and gives what ends it."""


def no_gate() -> Callable[[], None]:
    """Stay where there is no gate (``Stay``)."""
    return lambda: None


class Passage:
    """One process's way through the gate, passed together with others for as long as anything in it is on its way.

    Args:
        root: The folder of the bare repositories.
    """

    def __init__(self, root: Path) -> None:
        self._root = root
        self._inside = 0
        self._entering = asyncio.Lock()
        self._held = contextlib.ExitStack()

    @contextlib.asynccontextmanager
    async def passing(self) -> AsyncIterator[None]:
        """Pass the gate; waits while it is shut.

        Raises:
            DeadlineError: It was shut for longer than putting anything back can take.
        """
        async with self._entering:
            if not self._inside:
                self._held = await self._entered()
            self._inside += 1
        try:
            yield
        finally:
            self._leave()

    def stay(self) -> Callable[[], None]:
        """Stay for something more, set off by whoever is inside: between the two nobody can shut the gate.

        Returns:
            What ends it; to be called once.
        """
        if not self._inside:
            raise RuntimeError("only who is inside can stay")
        self._inside += 1
        return self._leave

    def _leave(self) -> None:
        self._inside -= 1
        if not self._inside:
            self._held.close()

    async def _entered(self) -> contextlib.ExitStack:
        gate = locked(
            _gate(self._root),
            Mode.SHARED,
            Deadline.after(_SECONDS),
            wanted="pushes to be taken again",
            held="a snapshot is being made or put back",
        )
        held = contextlib.ExitStack()
        entering = asyncio.ensure_future(asyncio.to_thread(held.enter_context, gate))

        def give_back(ended: asyncio.Future[None]) -> None:
            ended.exception()
            held.close()

        try:
            await asyncio.shield(entering)
        except asyncio.CancelledError:
            # Its client has left; the thread goes on, and nobody else would give back what it comes to hold.
            entering.add_done_callback(give_back)
            raise
        return held


def shut(root: Path, deadline: Deadline) -> AbstractContextManager[None]:
    """Wait until nobody passes, and hold the gate shut while the context is open.

    Args:
        root: The folder of the bare repositories.
        deadline: For those who are passing.

    Raises:
        DeadlineError: Somebody is still passing.
    """
    return locked(
        _gate(root),
        Mode.ALONE,
        deadline,
        wanted="the Git server to come to rest",
        held="a push, or the delivery of a push event, is under way",
        hint="try again when it has ended",
    )
