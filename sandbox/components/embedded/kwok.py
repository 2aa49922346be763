"""KWOK: nodes without machines. It plays the kubelet, so that pods become ready, and no container runs.

The stages are KWOK's own (``kustomize/stage`` of its module) and two of ours for addresses, see
``manifests/kwok-stages.yaml``.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml

from sandbox.components.base import Context, ProcessComponent
from sandbox.components.probes import http_ok
from sandbox.core.conditions import Deadline, Observation, met, pending, wait_for
from sandbox.core.files import write_file
from sandbox.core.ports import LOOPBACK

__all__ = ["Kwok", "Nodes"]

STORAGE_CLASS = "standard"
_STAGES = ("node/fast", "node/heartbeat-with-lease", "pod/fast", "volume/fast")
_UPSTREAM_CLASS = "kwok-volume"
_READY_SECONDS = 30.0
# More than any laptop's story asks for, so that only a request meant to be refused is refused.
_PODS, _CORES, _MEMORY = "5000", "1000", "4Ti"


def _stages(context: Context) -> list[dict[str, Any]]:
    root = context.tools["kwok"].file("stage")
    files = [path for folder in _STAGES for path in sorted((root / folder).glob("*.yaml"))]
    files.append(Path(__file__).parents[1] / "manifests" / "kwok-stages.yaml")
    documents = [document for path in files for document in yaml.safe_load_all(path.read_text())]
    stages = [document for document in documents if document and document["kind"] == "Stage"]
    for stage in stages:
        # Upstream's volume stages look for a class of their own name; users' manifests name kind's.
        for expression in stage["spec"]["selector"].get("matchExpressions", []):
            if "cel" in expression:
                rule = expression["cel"]["expression"]
                expression["cel"]["expression"] = rule.replace(f"'{_UPSTREAM_CLASS}'", f"'{STORAGE_CLASS}'")
    return stages


class Kwok(ProcessComponent):
    """KWOK's controller, which plays every node of the cluster."""

    name = "kwok"
    requires = ("kube-apiserver",)
    ports = ("kwok",)

    def prepare(self, context: Context) -> None:
        """Write the stages that it plays."""
        write_file(context.dir("run", self.name) / "stages.yaml", yaml.safe_dump_all(_stages(context)))

    def argv(self, context: Context) -> tuple[str, ...]:
        """Run it without node leases: one that restarts would wait for its own lease to run out before it plays on.

        The heartbeats in the nodes' status are enough for the node controller, whose patience is set to a day.
        """
        return (
            str(context.tools["kwok"].binary()),
            f"--kubeconfig={context.pki('kwok.kubeconfig')}",
            f"--config={context.dir('run', self.name) / 'stages.yaml'}",
            "--manage-all-nodes=true",
            f"--node-ip={LOOPBACK}",
            f"--server-address={context.address('kwok')}",
            "--cidr=10.244.0.0/16",
        )

    def ready(self, context: Context) -> Observation:
        """It is ready when its server says so."""
        return http_ok(context.address("kwok"), "/healthz")


class Nodes:
    """The node objects that KWOK plays, as many as were asked for."""

    name = "nodes"
    requires = ("kube-apiserver",)
    ports: tuple[str, ...] = ()

    def ensure(self, context: Context) -> None:
        """Create what is missing."""
        api = context.api()
        there = {node["metadata"]["name"] for node in api.list("v1", "Node")}
        for name in (f"node-{number}" for number in range(context.nodes)):
            if name not in there:
                api.apply(_node(name))

    def furnish(self, context: Context) -> None:
        """Create the nodes that a later ``up`` has asked for (sandbox.components.state)."""
        self.ensure(context)
        wait_for(lambda: self.ready(context), Deadline.after(_READY_SECONDS), wanted="the nodes to be ready")

    def ready(self, context: Context) -> Observation:
        """They are ready when KWOK says so and the controllers have lifted the taint of a new node."""
        nodes = context.api().list("v1", "Node")
        waiting = [
            node["metadata"]["name"]
            for node in nodes
            if node["spec"].get("taints")
            or not any(
                condition["type"] == "Ready" and condition["status"] == "True"
                for condition in node.get("status", {}).get("conditions", [])
            )
        ]
        if waiting or len(nodes) < context.nodes:
            return pending(f"not ready: {', '.join(waiting) or 'none registered'}")
        return met(f"{len(nodes)} ready")

    def diagnose(self, context: Context, into: Path) -> None:
        """Their state is part of what the cluster's own component collects."""

    def remove(self, context: Context) -> None:
        """They go with the cluster."""


def _node(name: str) -> dict[str, Any]:
    capacity = {"cpu": _CORES, "memory": _MEMORY, "pods": _PODS, "ephemeral-storage": _MEMORY}
    return {
        "apiVersion": "v1",
        "kind": "Node",
        "metadata": {
            "name": name,
            "annotations": {"kwok.x-k8s.io/node": "fake"},
            "labels": {
                "kubernetes.io/hostname": name,
                "kubernetes.io/os": "linux",
                "kubernetes.io/arch": "amd64",
                "type": "kwok",
            },
        },
        "status": {"capacity": capacity, "allocatable": capacity},
    }
