"""The configuration that kind makes a cluster by (kind.x-k8s.io/v1alpha4)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import yaml

from sandbox.containers.host import HostNeeds
from sandbox.containers.node import POD_SUBNET, SERVICE_SUBNET

__all__ = ["PortMapping", "cluster_config", "plain_config"]

_LOOPBACK = "127.0.0.1"

# There is one of each. After a restart it would wait for the lease of the one that it was, up to 15 s (client-go's
# LeaseDuration), in which no Deployment is seen to be available and no pod is scheduled.
_ALONE = [{"name": "leader-elect", "value": "false"}]
# Without a certificate they make one at each start, by an RSA key: for each a third of a second of a processor.
_SERVING = {
    "tls-cert-file": "/etc/kubernetes/pki/apiserver.crt",
    "tls-private-key-file": "/etc/kubernetes/pki/apiserver.key",
}
_SERVED = [{"name": name, "value": path} for name, path in _SERVING.items()]
_CONTROL_PLANE = {
    "kind": "ClusterConfiguration",
    "apiVersion": "kubeadm.k8s.io/v1beta4",
    # With RSA keys, to sign takes the API server a twentieth of its start, and to make them holds up kubeadm.
    "encryptionAlgorithm": "ECDSA-P256",
    "apiServer": {
        # Garbage is collected less often, which saves a fifth of the work of starting.
        "extraEnvs": [{"name": "GOGC", "value": "300"}],
        # There is one, whose node may have another address after a restart. Of the usual reconciler's leases the old
        # address keeps one for 15 s, in which half of the pods' requests are refused, and Argo CD's server gives up.
        # The list replaces kind's own, which has the second of these.
        "extraArgs": [
            {"name": "endpoint-reconciler-type", "value": "master-count"},
            {"name": "runtime-config", "value": ""},
        ],
    },
    # The list replaces kind's own, which has the first of these.
    "controllerManager": {"extraArgs": [{"name": "enable-hostpath-provisioner", "value": "true"}, *_ALONE, *_SERVED]},
    "scheduler": {
        "extraArgs": [*_ALONE, *_SERVED],
        # The controller manager's pod has the folder anyway.
        "extraVolumes": [
            {"name": name, "hostPath": path, "mountPath": path, "readOnly": True, "pathType": "File"}
            for name, path in _SERVING.items()
        ],
    },
}


_FOR_PODS_TOO = {
    "kind": "InitConfiguration",
    "apiVersion": "kubeadm.k8s.io/v1beta4",
    "nodeRegistration": {"taints": []},
}


@dataclass(frozen=True, slots=True)
class PortMapping:
    """A port of the node that is reached on loopback.

    Attributes:
        container: The port on the node, where a NodePort or a host port serves.
        host: The port on 127.0.0.1 of this machine.
    """

    container: int
    host: int


def plain_config(needs: HostNeeds, *, api_port: int) -> dict[str, Any]:
    """Give the configuration of a cluster of one of our nodes that is otherwise as kind makes one.

    Args:
        needs: What this host needs.
        api_port: The port on 127.0.0.1 at which the API server is reached.

    Returns:
        What goes into kind's configuration file, as YAML.
    """
    patch = {"kind": "KubeletConfiguration", "apiVersion": "kubelet.config.k8s.io/v1beta1", **needs.kubelet}
    return {
        "kind": "Cluster",
        "apiVersion": "kind.x-k8s.io/v1alpha4",
        "networking": {
            "apiServerAddress": _LOOPBACK,
            "apiServerPort": api_port,
            # kind's own network program can't be had as a module.
            "disableDefaultCNI": True,
            "podSubnet": POD_SUBNET,
            "serviceSubnet": SERVICE_SUBNET,
        },
        "nodes": [{"role": "control-plane"}],
        "kubeadmConfigPatches": [yaml.safe_dump(patch)] if needs.kubelet else [],
    }


def cluster_config(
    needs: HostNeeds, *, api_port: int, ports: Sequence[PortMapping] = (), workers: int = 0
) -> dict[str, Any]:
    """Give the configuration of a sandbox's cluster, which begins sooner; pods run on its control plane too.

    Args:
        needs: What this host needs.
        api_port: The port on 127.0.0.1 at which the API server is reached.
        ports: Further ports of the control plane's node; a NodePort leads to pods of every node.
        workers: How many nodes there are beside that of the control plane.

    Returns:
        What goes into kind's configuration file, as YAML.
    """
    config = plain_config(needs, api_port=api_port)
    config["kubeadmConfigPatches"].insert(0, yaml.safe_dump(_CONTROL_PLANE))
    (control_plane,) = config["nodes"]
    if workers:
        # Of a single node kind takes the taint away itself.
        control_plane["kubeadmConfigPatches"] = [yaml.safe_dump(_FOR_PODS_TOO)]
        config["nodes"] += [{"role": "worker"} for _ in range(workers)]
    if ports:
        control_plane["extraPortMappings"] = [
            {"containerPort": port.container, "hostPort": port.host, "listenAddress": _LOOPBACK, "protocol": "TCP"}
            for port in ports
        ]
    return config
