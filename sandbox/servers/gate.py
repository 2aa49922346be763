"""The gate of the repositories: what changes them passes it, and whoever keeps them or puts them back holds it shut.

A lock on a file between two processes, which the kernel frees however its holder ends.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from contextlib import AbstractContextManager
from pathlib import Path

from sandbox.core.conditions import Deadline
from sandbox.core.locks import Mode, locked

__all__ = ["passing", "shut"]

_SECONDS = 240.0


def _gate(root: Path) -> Path:
    return root.with_name(f"{root.name}-gate.lock")


@contextlib.asynccontextmanager
async def passing(root: Path) -> AsyncIterator[None]:
    """Pass the gate together with others; waits while it is shut.

    Args:
        root: The folder of the bare repositories.

    Raises:
        DeadlineError: It was shut for longer than putting anything back can take.
    """
    gate = locked(
        _gate(root),
        Mode.SHARED,
        Deadline.after(_SECONDS),
        wanted="pushes to be taken again",
        held="a snapshot is being made or put back",
    )
    with contextlib.ExitStack() as stack:
        await asyncio.to_thread(stack.enter_context, gate)
        yield


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
