"""What a kill leaves frozen, on cgroup v1.

runc freezes the processes of a container while it sets which devices they may use. In a node that is killed in that
moment runc ends, they stay frozen, and can't even be killed: the node never ends, and Docker can't remove it. (Linux,
``cgroup-v1/freezer-subsystem.rst``; of cgroup v2 what is frozen can be killed.)
"""

from __future__ import annotations

import contextlib
from pathlib import Path

from sandbox.core.errors import UnavailableError

__all__ = ["thaw"]

_MOUNTED = Path("/sys/fs/cgroup/freezer")
_THAWED = "THAWED"


def thaw(container: str, *, mounted: Path = _MOUNTED) -> list[str]:
    """Thaw what is frozen inside of a container that was to be killed.

    Args:
        container: Its id, by which its cgroup is called: its first process is in none any more.
        mounted: Where the freezer of cgroup v1 is.

    Returns:
        The cgroups that were thawed; none where the container is on another machine, or on cgroup v2.

    Raises:
        UnavailableError: One may be thawed by root only; says how.
    """
    thawed = []
    for place in mounted.rglob(f"*{container}*"):
        for state in sorted(place.rglob("freezer.state")):
            with contextlib.suppress(FileNotFoundError):
                # What is below a frozen one is frozen too, and thaws with it.
                if state.read_text().strip() != _THAWED:
                    _thaw(state)
                    thawed.append(str(state.parent.relative_to(mounted)))
    return thawed


def _thaw(state: Path) -> None:
    try:
        state.write_text(_THAWED)
    except PermissionError as error:
        raise UnavailableError(
            "a container can't be ended",
            why="processes in it were frozen when it was killed, and only root may thaw them",
            hint=f"echo {_THAWED} | sudo tee {state}, then the same command again",
        ) from error
