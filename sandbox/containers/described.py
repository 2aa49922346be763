"""What is said to Docker of containers and their owner, and what it says of itself and of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

__all__ = [
    "NAME_LABEL",
    "RUN_ID_LABEL",
    "Container",
    "ContainerOptions",
    "DaemonInfo",
    "Image",
    "Owner",
    "container_of",
]

NAME_LABEL = "dev.gitops-sandbox.name"
RUN_ID_LABEL = "dev.gitops-sandbox.run-id"


@dataclass(frozen=True, slots=True)
class Owner:
    """The sandbox that something belongs to.

    Attributes:
        name: The sandbox's name.
        run_id: The id of the run that made it; empty in a search for what any run of it made.
    """

    name: str
    run_id: str = ""

    @property
    def labels(self) -> dict[str, str]:
        """The labels that say so."""
        labels = {NAME_LABEL: self.name}
        return labels | {RUN_ID_LABEL: self.run_id} if self.run_id else labels

    @property
    def filters(self) -> dict[str, list[str]]:
        """The filters by which the daemon lists what carries them (Docker Engine API, ``filters``)."""
        return {"label": [f"{key}={value}" for key, value in self.labels.items()]}


@dataclass(frozen=True, slots=True)
class DaemonInfo:
    """What the daemon says of itself.

    Attributes:
        version: Its version.
        cgroup_version: 1 or 2.
        rootless: Whether it runs in a user namespace, as an ordinary user.
        root: The folder that it keeps images and volumes in.
        limits: Whether it may limit the memory, the processors and the processes of a container, which a rootless one
            may only where systemd has let it (``Delegate=``).
    """

    version: str
    cgroup_version: int
    rootless: bool
    root: str
    limits: bool


@dataclass(frozen=True, slots=True)
class ContainerOptions:
    """How a container is run.

    Attributes:
        name: Its name, unique on the daemon.
        image: An image that is there already.
        command: Arguments for its entrypoint.
        environment: Variables; a secret belongs into a mounted file instead.
        ports: The port in the container (TCP) and the one on 127.0.0.1 by which the host reaches it.
        mounts: Paths of the host and where the container sees them, read-only.
        folders: Folders of the host that the container writes into, and where it sees them. It then runs as this user,
            who could not take away what another one has written.
        network: The network that it is in.
        aliases: Further names by which containers of that network find it.
        restart: Whether the daemon starts it again: "no", "unless-stopped", "on-failure", "always".
        volumes: Paths at which it has volumes of its own, which go with it.
        privileged: Whether it may all that root may, on the machine too.
    """

    name: str
    image: str
    command: Sequence[str] = ()
    environment: Mapping[str, str] = field(default_factory=dict)
    ports: Mapping[int, int] = field(default_factory=dict)
    mounts: Mapping[str, str] = field(default_factory=dict)
    folders: Mapping[str, str] = field(default_factory=dict)
    network: str = "bridge"
    aliases: Sequence[str] = ()
    restart: str = "no"
    volumes: Sequence[str] = ()
    privileged: bool = False


@dataclass(frozen=True, slots=True)
class Container:
    """A container as it was when it was looked at.

    Attributes:
        state: "created", "running", "paused", "restarting", "exited" or "dead".
        addresses: Its IPv4 address in each network that it is in.
        started: When it was last started, in UTC as RFC 3339 has it; empty when it never was.
    """

    id: str
    name: str
    image: str
    state: str
    labels: Mapping[str, str]
    addresses: Mapping[str, str]
    started: str = ""


def container_of(identity: str, attributes: Mapping[str, Any]) -> Container:
    """Read what the daemon tells of a container (Docker Engine API, "Inspect a container")."""
    networks = attributes.get("NetworkSettings", {}).get("Networks") or {}
    return Container(
        id=identity,
        name=str(attributes["Name"]).lstrip("/"),
        image=attributes["Config"]["Image"],
        state=attributes["State"]["Status"],
        labels=dict(attributes["Config"].get("Labels") or {}),
        addresses={name: network["IPAddress"] for name, network in networks.items() if network.get("IPAddress")},
        started=attributes["State"].get("StartedAt", ""),
    )


def configured_like(attributes: Mapping[str, Any], name: str, labels: Mapping[str, str]) -> dict[str, Any]:
    """Describe a container that is configured as another one, but publishes no port and has volumes of its own.

    Args:
        attributes: What the daemon tells of the other one (Docker Engine API, "Inspect a container").
        name: The new one's host name.
        labels: Its labels beyond the other one's.

    Returns:
        The body of "Create a container".
    """
    config: dict[str, Any] = attributes["Config"]
    return config | {
        "Hostname": name,
        "ExposedPorts": {},
        "Labels": config["Labels"] | dict(labels),
        "HostConfig": attributes["HostConfig"] | {"PortBindings": {}},
        "NetworkingConfig": {"EndpointsConfig": {each: {} for each in attributes["NetworkSettings"]["Networks"]}},
    }


@dataclass(frozen=True, slots=True)
class Image:
    """An image that the daemon has.

    Attributes:
        size: Bytes, unpacked.
    """

    id: str
    size: int
    labels: Mapping[str, str]
