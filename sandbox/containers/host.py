"""Looking at the host: what a node needs to be told on this machine, looked at and not guessed."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from sandbox.containers.described import DaemonInfo

__all__ = ["HostNeeds", "host_needs"]

_CAP_SYS_RESOURCE = 24


@dataclass(frozen=True, slots=True)
class HostNeeds:
    """What is different from an ordinary host.

    Attributes:
        kubelet: Settings of the kubelet's configuration file.
        reasons: A sentence for each, for those who wonder.
    """

    kubelet: dict[str, object]
    reasons: tuple[str, ...]


def host_needs(daemon: DaemonInfo, *, status: Path = Path("/proc/self/status")) -> HostNeeds:
    """Say what a kind node needs on the host of a daemon.

    Args:
        daemon: What the daemon says of itself.
        status: Where this process's capabilities stand (proc(5)). They are the daemon's only when it runs on this
            machine; a daemon elsewhere is taken for an ordinary one.

    Returns:
        Nothing special for a host with cgroup v2 and all capabilities.
    """
    kubelet: dict[str, object] = {}
    reasons = []
    if daemon.cgroup_version == 1:
        kubelet["failCgroupV1"] = False
        reasons.append("this host has cgroup v1, which the kubelet takes only when told to")
    restricted = lacks_sys_resource(status)
    if restricted or daemon.rootless:
        # Named for user namespaces; what it does is go on where limits and OOM scores can't be set.
        kubelet["featureGates"] = {"KubeletInUserNamespace": True}
        reasons.append(
            "this host gives containers no CAP_SYS_RESOURCE" if restricted else "Docker runs rootless on this host"
        )
    return HostNeeds(kubelet, tuple(reasons))


def lacks_sys_resource(status: Path) -> bool:
    """Say whether CAP_SYS_RESOURCE is outside the bounding set, so that nobody here can have it."""
    try:
        lines = status.read_text().splitlines()
    except FileNotFoundError:
        # No Linux: the daemon runs in a virtual machine, which has them all.
        return False
    bounding = next((line.partition(":")[2] for line in lines if line.startswith("CapBnd:")), "ffffffffffffffff")
    return not int(bounding, 16) >> _CAP_SYS_RESOURCE & 1
