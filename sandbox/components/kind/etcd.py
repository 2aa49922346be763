"""etcd in the node, reached by a port on loopback with the API server's own certificate; its part of a snapshot."""

from __future__ import annotations

from pathlib import Path

from sandbox.components.base import Context
from sandbox.components.cluster_state import AUTHORITY, CERTIFICATE, KEY, ClusterState
from sandbox.components.kind.cluster import KindCluster, node_name
from sandbox.containers.docker import connect
from sandbox.core.conditions import Observation, met
from sandbox.core.files import write_file

__all__ = ["KindEtcd"]

_PKI = "/etc/kubernetes/pki"
_IN_THE_NODE = {
    AUTHORITY: f"{_PKI}/etcd/ca.crt",
    CERTIFICATE: f"{_PKI}/apiserver-etcd-client.crt",
    KEY: f"{_PKI}/apiserver-etcd-client.key",
}


class KindEtcd(ClusterState):
    """What kubeadm runs in the node."""

    name = "etcd"
    requires = (KindCluster.name,)
    ports = ("etcd",)

    def ensure(self, context: Context) -> None:
        """Take the certificates that it is reached with out of the node, once, readable for this user alone.

        Raises:
            UnavailableError: The node does not have them.
        """
        mark = context.dir("run", "kind") / "etcd-of"
        here = [mark, *map(context.pki, _IN_THE_NODE)]
        with connect() as docker:
            node = docker.container(node_name(context.name))
            identity = node.id if node else ""
            if all(path.exists() for path in here) and mark.read_text() == identity:
                return
            for name, path in _IN_THE_NODE.items():
                write_file(context.pki(name), docker.take(node_name(context.name), path))
        write_file(mark, identity)

    def ready(self, context: Context) -> Observation:
        """It is ready: the API server, which was, would not be without it."""
        del context
        return met("it has the API server's objects")

    def diagnose(self, context: Context, into: Path) -> None:
        """Nothing: it is a pod among the cluster's objects."""

    def remove(self, context: Context) -> None:
        """It goes with the cluster."""
