"""Sandboxes put back to an earlier moment: to the clean state between stories, or to a snapshot that was made.

Each waits for other verbs of the same sandbox. Whether a story is told meanwhile is the caller's
business (``sandboxes.untold``): a story may well make a snapshot and go back to it.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator

from sandbox.core.errors import UsageError
from sandbox.core.names import check_sandbox_name, check_snapshot_name
from sandbox.engines.records import Record, exclusive
from sandbox.engines.sandboxes import engine_of
from sandbox.engines.snapshots import Kept, Snapshots
from sandbox.toolchain import ensure_tools

__all__ = ["remove_snapshot", "reset", "restore", "snapshot", "snapshots"]

_WAIT_SECONDS = 300.0
Waiting = Callable[[], None]


def _no_matter() -> None:
    """Say nothing."""


def reset(name: str, on_wait: Waiting = _no_matter) -> None:
    """Bring a sandbox back to how it was when it had just come up; reports stay.

    Args:
        name: The sandbox.
        on_wait: Called when another verb holds it.

    Raises:
        UsageError: There is no such sandbox, it does not run, or its engine can't.
        SandboxError: It can't be brought back; `up` finishes what was broken off.
    """
    with _moments(name, on_wait) as found:
        found.clean()


def snapshot(name: str, label: str, on_wait: Waiting = _no_matter) -> Kept:
    """Keep a sandbox as it is now: the cluster, all Git refs, the images, Argo CD's cache, all as of one moment.

    Args:
        name: The sandbox.
        label: What the snapshot is to be called.
        on_wait: Called when another verb holds the sandbox.

    Raises:
        UsageError: The label can't be or is taken; or as for ``reset``.
        DeadlineError: A push or a CI run is under way and does not end.
        UnavailableError: The disk is full, or a component does not answer; nothing of the snapshot is left.
    """
    check_snapshot_name(label)
    with _moments(name, on_wait) as found:
        return found.keep(label)


def restore(name: str, label: str, on_wait: Waiting = _no_matter) -> None:
    """Put a sandbox back to a snapshot.

    Raises:
        UsageError: There is no such snapshot, or it was made with other versions; or as for ``reset``.
        SandboxError: It can't be put back; `up` finishes what was broken off.
    """
    check_snapshot_name(label)
    with _moments(name, on_wait) as found:
        found.go_back(label)


def snapshots(name: str) -> list[Kept]:
    """Give the snapshots of a sandbox, the oldest first.

    Raises:
        UsageError: There is no such sandbox, or its engine can't.
    """
    return _snapshots(name).all()


def remove_snapshot(name: str, label: str, on_wait: Waiting = _no_matter) -> None:
    """Remove a snapshot.

    Raises:
        UsageError: There is none of that name, or the sandbox is on its way back to it.
    """
    check_snapshot_name(label)
    with exclusive(name, seconds=_WAIT_SECONDS, on_wait=on_wait):
        found = _snapshots(name)
        if found.broken_off == label:
            raise UsageError(f"sandbox {name} is on its way back to {label}", hint=f"up --name {name} finishes it")
        found.remove(label)


@contextlib.contextmanager
def _moments(name: str, on_wait: Waiting) -> Iterator[Snapshots]:
    check_sandbox_name(name)
    engine_of(name)
    with exclusive(name, seconds=_WAIT_SECONDS, on_wait=on_wait):
        found = _snapshots(name)
        if not found.running:
            raise UsageError(f"sandbox {name} does not run", hint=f"start --name {name}")
        if found.broken_off is not None:
            raise UsageError(
                f"sandbox {name} was on its way back to an earlier moment when that was broken off",
                why="what it holds is of two moments",
                hint=f"up --name {name} finishes it",
            )
        yield found


def _snapshots(name: str) -> Snapshots:
    engine, record = engine_of(name), Record.load(name)
    assert record is not None  # noqa: S101  # its engine was found by it
    if why := engine.why_no_moments(record):
        raise UsageError(
            f"sandbox {name} can't be put back to an earlier moment",
            why=why,
            hint=f"down --name {name}, then up again",
        )
    return Snapshots(engine.context_of(record, ensure_tools(engine.tools)), engine.components())
