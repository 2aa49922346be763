"""The network of the pods: where there are several nodes, flannel gives each routes to the pods of the others.

The part on a node itself, a bridge and a way out, is the node's (``sandbox.containers.node``), so that pods start
without waiting for this. flannel follows the nodes: one that comes back with another address is found again.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from sandbox.components.base import Context
from sandbox.components.kind.cluster import KindCluster, node_name
from sandbox.components.kind.join import API_PORT
from sandbox.components.overlay import rendered
from sandbox.core.conditions import Deadline, Observation, met, pending
from sandbox.kube.applying import apply_all
from sandbox.kube.watching import Watched

__all__ = ["NETWORK_NAMESPACE", "PodNetwork"]

NETWORK_NAMESPACE = "kube-flannel"
"""Where kube-flannel.yml puts it."""

_DAEMON_SET = "kube-flannel-ds"
_APPLY_SECONDS = 60.0


class PodNetwork:
    """flannel, a pod on each of several nodes; a single one has nothing to find a way to."""

    name = "pod-network"
    requires = (KindCluster.name,)
    ports: tuple[str, ...] = ()

    def ensure(self, context: Context) -> None:
        """Apply it; what is as it must be is left alone."""
        if context.nodes == 1:
            return
        manifests = rendered(context, "flannel", context.tools["flannel"].file("kube-flannel.yml"))
        for manifest in manifests:
            if manifest["kind"] == "DaemonSet":
                _reach_api_by_name(manifest, node_name(context.name))
        apply_all(context.api(), manifests, Deadline.after(_APPLY_SECONDS))

    def watched(self, context: Context) -> list[Watched]:
        """The workload that runs on each node."""
        return [("apps/v1", "DaemonSet", NETWORK_NAMESPACE, _DAEMON_SET)] if context.nodes > 1 else []

    def ready(self, context: Context) -> Observation:
        """It is ready when each node has a pod of it that has set its routes."""
        if context.nodes == 1:
            return met("all pods are on one node")
        found = context.api().get("apps/v1", "DaemonSet", _DAEMON_SET, NETWORK_NAMESPACE)
        status = (found or {}).get("status", {})
        ready = status.get("numberReady", 0)
        return met("on each node") if ready >= context.nodes else pending(f"on {ready} of {context.nodes} nodes")

    def diagnose(self, context: Context, into: Path) -> None:
        """Nothing: its pods are among the cluster's objects."""

    def remove(self, context: Context) -> None:
        """It goes with the cluster."""


def _reach_api_by_name(daemon_set: dict[str, Any], control_plane: str) -> None:
    """Have it ask the node that has the API server: the Service's address needs a kube-proxy that runs already."""
    (container,) = daemon_set["spec"]["template"]["spec"]["containers"]
    container["env"] += [
        {"name": "KUBERNETES_SERVICE_HOST", "value": control_plane},
        {"name": "KUBERNETES_SERVICE_PORT", "value": str(API_PORT)},
    ]
