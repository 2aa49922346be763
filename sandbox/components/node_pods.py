"""Proof that pods run, after a node was started again: for a while the API server tells what held before."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from sandbox.components.base import ARGOCD_NAMESPACE, Context
from sandbox.components.kind_cluster import node_name
from sandbox.components.kube import KubeApi
from sandbox.containers.docker import connect
from sandbox.core.conditions import Observation, met, pending
from sandbox.core.errors import SandboxError

__all__ = ["NodePods", "not_since"]

_NAMESPACES = ("kube-system", ARGOCD_NAMESPACE)  # those of users may hold what never runs
_SECONDS_END = len("2026-01-01T00:00:00")


class NodePods:
    """The pods that the sandbox itself is made of, each started since its node was."""

    name = "node-pods"
    requires = ("argocd",)
    ports: tuple[str, ...] = ()

    def ensure(self, context: Context) -> None:
        """Nothing: the node's kubelet starts them."""

    def ready(self, context: Context) -> Observation:
        """It is ready when each pod says of each container that it runs since the node does."""
        with connect() as docker:
            node = docker.container(node_name(context.name))
        if node is None:
            return pending("there is no node")
        try:
            api = KubeApi(context.pki("admin.kubeconfig"))
            pods = [pod for namespace in _NAMESPACES for pod in api.list("v1", "Pod", namespace)]
        except SandboxError as error:
            return pending(f"{error.what}: {error.why}")
        old = not_since(node.started, pods)
        return pending(f"not started again with the node yet: {', '.join(old)}") if old else met("all since its start")

    def diagnose(self, context: Context, into: Path) -> None:
        """Nothing: the pods are among the cluster's objects."""

    def remove(self, context: Context) -> None:
        """They go with the cluster."""


def not_since(moment: str, pods: Iterable[Mapping[str, Any]]) -> list[str]:
    """Name the pods that do not say of each container that it runs since a moment.

    Args:
        moment: A time in UTC as RFC 3339 has it; only full seconds are compared, since pods tell no more.
        pods: Pods as the API server has them; those that have ended or are going are passed over.
    """
    return [
        str(pod["metadata"]["name"])
        for pod in pods
        if pod.get("status", {}).get("phase") not in ("Succeeded", "Failed")
        and not pod["metadata"].get("deletionTimestamp")
        and any(start[:_SECONDS_END] < moment[:_SECONDS_END] for start in _starts(pod))
    ]


def _starts(pod: Mapping[str, Any]) -> list[str]:
    """Give for each container since when it runs; the empty text where it does not."""
    containers = pod.get("status", {}).get("containerStatuses") or [{}]
    return [str(((each.get("state") or {}).get("running") or {}).get("startedAt", "")) for each in containers]
