"""Ports on loopback, leased so that no two sandboxes meet, and remembered by each.

A sandbox keeps its ports for life: they stand in Git (repoURL) and in image names. The leases of
all sandboxes of a state root lie in one file, under a lock. Those of another root, or of another user
of the machine, are not seen there: ports are chosen in blocks of which nothing is listened at, and a block
is claimed by a name that the kernel gives to one process at a time while its owner comes up.
"""

from __future__ import annotations

import contextlib
import errno
import secrets
import socket
from collections.abc import Iterable, Iterator, Mapping
from functools import partial
from pathlib import Path
from types import MappingProxyType
from typing import Any

from sandbox.core.conditions import Deadline, Observation, met, pending, wait_for
from sandbox.core.errors import UnavailableError, UsageError
from sandbox.core.files import read_json, write_json
from sandbox.core.locks import Mode, locked

__all__ = ["LOOPBACK", "claimed", "is_free", "lease_ports", "release_ports"]

LOOPBACK = "127.0.0.1"
# Below the kernel's default range of ephemeral ports (32768 and up, ip(7)), so that no client
# connection takes a port of ours while its owner restarts.
_FIRST, _LAST = 20000, 32000
_BLOCK = 50  # ports; a sandbox needs about half as many
_LOCK_SECONDS = 60.0  # choosing takes milliseconds


def is_free(port: int, host: str = LOOPBACK) -> bool:
    """Whether a server could listen on this port of an address of this machine now."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError as error:
            if error.errno in (errno.EADDRINUSE, errno.EACCES):
                return False
            raise
    return True


def _change(root: Path, owner: str, wanted: Iterable[str] | None, fixed: Mapping[str, int]) -> dict[str, int]:
    path = root / "ports.json"
    held = "another command is choosing ports"
    with locked(
        root / ".ports.lock", Mode.ALONE, Deadline.after(_LOCK_SECONDS), wanted=f"{path} to be free", held=held
    ):
        leases: dict[str, dict[str, int]] = {}
        if path.exists():
            leases = _checked(path, read_json(path))
        mine = leases.pop(owner, {})
        if wanted is not None:
            mine = _with_fixed(mine, fixed, leases)
            taken = {port for ports in leases.values() for port in ports.values()} | set(mine.values())
            leases[owner] = mine = mine | _pick([name for name in wanted if name not in mine], taken)
        write_json(path, leases)
        return mine


def _with_fixed(
    mine: Mapping[str, int], fixed: Mapping[str, int], others: Mapping[str, Mapping[str, int]]
) -> dict[str, int]:
    for name, port in fixed.items():
        holder = next((owner for owner, ports in others.items() if port in ports.values()), None)
        if holder is not None:
            raise UnavailableError(
                f"port {port}, which is needed for {name}, is one of sandbox {holder}", hint=f"down --name {holder}"
            )
    # What was chosen before it was known goes to nobody else either way.
    return {**mine, **fixed}


def _checked(path: Path, leases: dict[str, Any]) -> dict[str, dict[str, int]]:
    for owner, ports in leases.items():
        if not isinstance(ports, dict) or not all(isinstance(port, int) for port in ports.values()):
            raise UsageError(
                f"{path} is damaged", why=f"the entry of {owner} holds no ports", hint=f"look at it, then: rm {path}"
            )
    return leases


def _pick(names: list[str], taken: set[int]) -> dict[str, int]:
    picked: list[int] = []
    blocks = range(_FIRST, _LAST, _BLOCK)
    # Spreads the users of one machine. Not by `random`: programs that seed it alike would all begin at one place.
    start = secrets.randbelow(len(blocks))
    for first in (*blocks[start:], *blocks[:start]):
        if len(picked) >= len(names):
            break
        picked += _unused(first, taken)
    if len(picked) < len(names):
        raise UnavailableError(
            f"no free ports on {LOOPBACK}",
            why=f"{len(names)} are needed between {_FIRST} and {_LAST}",
            hint="see who listens: ss -ltnp",
        )
    return dict(zip(names, picked, strict=False))


def _unused(first: int, taken: set[int]) -> Iterable[int]:
    """Give all ports of a block of which no sandbox has any; none where one may have some."""
    block = range(first, min(first + _BLOCK, _LAST))
    with _claim(first) as is_ours:
        unused = is_ours and taken.isdisjoint(block) and all(is_free(port) for port in block)
    return block if unused else ()


@contextlib.contextmanager
def _claim(first: int) -> Iterator[bool]:
    """Claim a block of ports, unless another process has it; gives whether it is ours.

    An abstract name (unix(7)) is freed by the kernel however its holder ends, is the same for all users, and
    is as wide as the ports themselves: each network namespace has its own.
    """
    with socket.socket(socket.AF_UNIX) as name:
        try:
            name.bind(f"\0gitops-sandbox-ports-{first}")
        except OSError as error:
            if error.errno != errno.EADDRINUSE:
                raise
            yield False
        else:
            yield True


@contextlib.contextmanager
def claimed(ports: Iterable[int], deadline: Deadline) -> Iterator[None]:
    """Keep every sandbox of this machine from choosing ports beside these until there are servers that listen.

    Args:
        ports: Leased ones; those that were not chosen here need no claim.
        deadline: How long to wait for somebody who looks whether they are free.

    Raises:
        DeadlineError: A sandbox of another state folder or user is coming up at these ports.
    """
    with contextlib.ExitStack() as held:

        def claim(first: int) -> Observation:
            with contextlib.ExitStack() as tried:
                if not tried.enter_context(_claim(first)):
                    return pending("they are claimed by a sandbox of another state folder or user")
                held.push(tried.pop_all())
            return met()

        for first in sorted({port - (port - _FIRST) % _BLOCK for port in ports if _FIRST <= port < _LAST}):
            wait_for(partial(claim, first), deadline, wanted=f"the ports from {first} on to be this sandbox's")
        yield


def lease_ports(
    root: Path, owner: str, names: Iterable[str], fixed: Mapping[str, int] = MappingProxyType({})
) -> dict[str, int]:
    """Give ``owner`` a port for each name: those it had before, and new ones that are free now.

    Args:
        root: The state root, which all sandboxes of the user share.
        owner: The sandbox's name.
        names: What the ports are for.
        fixed: Ports that are not to be chosen, since something else has chosen them.

    Returns:
        Name to port number.

    Raises:
        UnavailableError: There are not enough free ports, or a fixed one is another sandbox's.
    """
    return _change(root, owner, list(names), fixed)


def release_ports(root: Path, owner: str) -> None:
    """Give all ports of ``owner`` back; nothing happens when it has none."""
    _change(root, owner, None, {})
