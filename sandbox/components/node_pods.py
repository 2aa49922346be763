"""Proof that pods run, after nodes were started again: for a while the API server tells what held before."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from sandbox.components.base import ARGOCD_NAMESPACE, Context
from sandbox.components.kind_cluster import node_names
from sandbox.components.kube import KubeApi
from sandbox.components.pod_network import NETWORK_NAMESPACE
from sandbox.containers.docker import connect
from sandbox.core.conditions import Observation, met, pending
from sandbox.core.errors import SandboxError

__all__ = ["NodePods", "not_since"]

_NAMESPACES = ("kube-system", NETWORK_NAMESPACE, ARGOCD_NAMESPACE)  # those of users may hold what never runs
_NEVER = "9999-12-31T23:59:59"
_SECONDS_END = len("2026-01-01T00:00:00")


class NodePods:
    """The pods that the sandbox itself is made of, each started since its own node was."""

    name = "node-pods"
    requires = ("argocd",)
    ports: tuple[str, ...] = ()

    def ensure(self, context: Context) -> None:
        """Nothing: the nodes' kubelets start them."""

    def ready(self, context: Context) -> Observation:
        """It is ready when each pod says of each container that it runs since its node does."""
        with connect() as docker:
            names = node_names(context.name, context.nodes)
            started = {name: found.started for name in names if (found := docker.container(name)) is not None}
        try:
            api = KubeApi(context.pki("admin.kubeconfig"))
            pods = [pod for namespace in _NAMESPACES for pod in api.list("v1", "Pod", namespace)]
        except SandboxError as error:
            return pending(f"{error.what}: {error.why}")
        old = not_since(started, pods)
        if old:
            return pending(f"not started again with their node yet: {', '.join(old)}")
        return met("all since their node's start")

    def diagnose(self, context: Context, into: Path) -> None:
        """Nothing: the pods are among the cluster's objects."""

    def remove(self, context: Context) -> None:
        """They go with the cluster."""


def not_since(started: Mapping[str, str], pods: Iterable[Mapping[str, Any]]) -> list[str]:
    """Name the pods that do not say of each container that it runs since their node does.

    Args:
        started: When each node was started, in UTC as RFC 3339 has it; only full seconds are compared, since pods tell
            no more. A pod of no node or of one that is not among them counts as not running.
        pods: Pods as the API server has them; those that have ended or are going are passed over.
    """
    return [
        str(pod["metadata"]["name"])
        for pod in pods
        if pod.get("status", {}).get("phase") not in ("Succeeded", "Failed")
        and not pod["metadata"].get("deletionTimestamp")
        and any(start[:_SECONDS_END] < _moment(started, pod) for start in _starts(pod))
    ]


def _moment(started: Mapping[str, str], pod: Mapping[str, Any]) -> str:
    return started.get(str(pod.get("spec", {}).get("nodeName", "")), _NEVER)[:_SECONDS_END]


def _starts(pod: Mapping[str, Any]) -> list[str]:
    """Give for each container since when it runs; the empty text where it does not."""
    containers = pod.get("status", {}).get("containerStatuses") or [{}]
    return [str(((each.get("state") or {}).get("running") or {}).get("startedAt", "")) for each in containers]
