"""Ports on loopback, leased so that two sandboxes of one user never meet, and remembered by each.

A sandbox keeps its ports for life: they stand in Git (repoURL) and in image names. The leases of
all sandboxes lie in one file of the state root, under a lock.
"""

from __future__ import annotations

import errno
import secrets
import socket
from collections.abc import Iterable, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any

from sandbox.core.conditions import Deadline
from sandbox.core.errors import UnavailableError, UsageError
from sandbox.core.files import read_json, write_json
from sandbox.core.locks import Mode, locked

__all__ = ["LOOPBACK", "is_free", "lease_ports", "release_ports"]

LOOPBACK = "127.0.0.1"
# Below the kernel's default range of ephemeral ports (32768 and up, ip(7)), so that no client
# connection takes a port of ours while its owner restarts.
_FIRST, _LAST = 20000, 32000
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
    picked: dict[str, int] = {}
    candidates = range(_FIRST, _LAST)
    # Spreads the users of one machine. Not by `random`: programs that seed it alike would all begin at one place.
    start = secrets.randbelow(len(candidates))
    for offset in range(len(candidates)):
        if len(picked) == len(names):
            break
        port = candidates[(start + offset) % len(candidates)]
        if port not in taken and is_free(port):
            picked[names[len(picked)]] = port
    if len(picked) < len(names):
        raise UnavailableError(
            f"no free ports on {LOOPBACK}",
            why=f"{len(names)} are needed between {_FIRST} and {_LAST}",
            hint="see who listens: ss -ltnp",
        )
    return picked


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
