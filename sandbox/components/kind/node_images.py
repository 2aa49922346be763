"""The images that the node has pulled, as a part of a snapshot: none that a story has pushed outlives it there."""

from __future__ import annotations

from pathlib import Path

from sandbox.components.base import Context
from sandbox.components.kind.cluster import KindCluster, node_name
from sandbox.components.kind.node_runtime import ImageNames, NodeRuntime
from sandbox.containers.docker import connect
from sandbox.core.conditions import Observation, met
from sandbox.core.files import read_json, write_json

__all__ = ["NodeImages", "too_much"]

_FILE = "images.json"


class NodeImages:
    """What the node's containerd has, beside what its image came with."""

    name = "node-images"
    requires = (KindCluster.name,)
    ports: tuple[str, ...] = ()

    def ensure(self, context: Context) -> None:
        """Nothing: the kubelet pulls what a pod needs."""

    def ready(self, context: Context) -> Observation:
        """It is ready as soon as the node is."""
        del context
        return met("pulled when needed")

    def diagnose(self, context: Context, into: Path) -> None:
        """Nothing: the node's log tells of a pull that failed."""

    def remove(self, context: Context) -> None:
        """They go with the node."""

    # Its part of a snapshot (sandbox.components.state).

    starts_empty = False

    def save(self, context: Context, into: Path) -> None:
        """Note which images there are, by name and id; the registry keeps what they hold."""
        with connect() as docker:
            write_json(into / _FILE, NodeRuntime(docker, node_name(context.name)).images())

    def load(self, context: Context, saved: Path) -> int:
        """Take away what came later; what is gone since is pulled again when a pod needs it."""
        kept = {name: str(identity) for name, identity in read_json(saved / _FILE).items()}
        with connect() as docker:
            runtime = NodeRuntime(docker, node_name(context.name))
            if names := too_much(kept, runtime.images()):
                runtime.forget_images(names)
        return len(names)


def too_much(kept: ImageNames, now: ImageNames) -> list[str]:
    """Name what has to go: what is known by a name that was not there, or was another image's."""
    return sorted(name for name, identity in now.items() if kept.get(name) != identity)
