"""The pods of the sandbox's nodes: proof that they run, and their way back in time with the cluster.

For a while after something was started again, the API server tells what held before.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from sandbox.components.argocd.in_cluster import ArgocdInCluster
from sandbox.components.base import ARGOCD_NAMESPACE, Context
from sandbox.components.kind.cluster import KindCluster, node_name, node_names
from sandbox.components.kind.node_runtime import NodeRuntime
from sandbox.components.kind.pod_network import NETWORK_NAMESPACE
from sandbox.containers.docker import connect
from sandbox.core.conditions import Observation, State, met, pending
from sandbox.core.errors import SandboxError
from sandbox.kube.rollout import workload_waits_for

__all__ = ["Kubelet", "NodePods", "not_running", "untold"]

_NAMESPACES = ("kube-system", NETWORK_NAMESPACE, ARGOCD_NAMESPACE)  # those of users may hold what never runs
_ENDED = ("Succeeded", "Failed")
_REMEMBERING = frozenset(
    {
        # Its garbage collector: which owners are gone.
        ("kube-system", "kube-controller-manager"),
        (ARGOCD_NAMESPACE, "argocd-application-controller"),
        (ARGOCD_NAMESPACE, "argocd-applicationset-controller"),
        # Argo CD's cache, which is empty when it begins anew.
        (ARGOCD_NAMESPACE, "redis"),
    }
)


class Kubelet:
    """The kubelet of the control plane's node, which a way back that was broken off may have left stopped."""

    name = "kubelet"
    requires = (KindCluster.name,)
    ports: tuple[str, ...] = ()

    def ensure(self, context: Context) -> None:
        """Start it, unless it runs.

        Raises:
            UnavailableError: It can't be started.
        """
        with connect() as docker:
            NodeRuntime(docker, node_name(context.name)).start_kubelet()

    def ready(self, context: Context) -> Observation:
        """It is ready when it was started; the pods tell what it does."""
        del context
        return met("started")

    def diagnose(self, context: Context, into: Path) -> None:
        """Nothing: its log is taken with the node's."""

    def remove(self, context: Context) -> None:
        """It goes with the node."""


class NodePods:
    """The pods of all nodes: those that the sandbox is made of, and those of Applications."""

    name = "node-pods"
    requires = ("argocd", Kubelet.name)
    ports: tuple[str, ...] = ()

    def ensure(self, context: Context) -> None:
        """Nothing: the nodes' kubelets start them."""

    def ready(self, context: Context) -> Observation:
        """It is ready when the sandbox's own pods run, and just those containers run that the API server tells of."""
        try:
            pods = context.api().list("v1", "Pod")
            own = [pod for pod in pods if pod["metadata"]["namespace"] in _NAMESPACES]
            if waiting := not_running(own):
                return pending(f"not running yet: {', '.join(waiting)}")
            return _as_told(context, pods)
        except SandboxError as error:
            return pending(f"{error.what}: {error.why}")

    def diagnose(self, context: Context, into: Path) -> None:
        """Nothing: the pods are among the cluster's objects."""

    def remove(self, context: Context) -> None:
        """They go with the cluster."""

    # Its part of a way back (sandbox.components.state).

    forgets_for_reset = True
    """Pods of the sandbox's own are among the cluster's objects, and their owners too."""

    def pause(self, context: Context) -> None:
        """Stop the kubelet, which remembers by its uid that a pod has ended, and would fight for what pods were like.

        Without it, what else remembers is ended and not started again at once.

        Raises:
            UnavailableError: The node does not run, or refuses.
        """
        with connect() as docker:
            runtime = NodeRuntime(docker, node_name(context.name))
            runtime.stop_kubelet()
            runtime.kill(_REMEMBERING)

    def resume(self, context: Context) -> None:
        """Start the kubelet: it ends containers of no pod, and starts those that pods lack.

        Raises:
            UnavailableError: It can't be started.
        """
        Kubelet().ensure(context)

    def is_back(self, context: Context) -> Observation:
        """They are back when they run as they should, names are found, and Argo CD works."""
        # In this order: what the API server tells of workloads is only true once it knows what runs.
        for look in (self.ready, _finds_names, ArgocdInCluster().ready):
            seen = look(context)
            if seen.state is not State.MET:
                return seen
        return met("they run, and Argo CD works")


def _finds_names(context: Context) -> Observation:
    """Look whether the cluster's DNS serves: Argo CD finds its own parts by it."""
    found = context.api().get("apps/v1", "Deployment", "coredns", "kube-system")
    waits = "it is gone" if found is None else workload_waits_for(found)
    return pending(f"coredns: {waits}") if waits else met("coredns serves")


def _as_told(context: Context, pods: list[dict[str, Any]]) -> Observation:
    with connect() as docker:
        names = node_names(context.name, context.nodes)
        running = set[str]().union(*(NodeRuntime(docker, name).running() for name in names))
    if wrong := untold(pods, running):
        return pending("; ".join(wrong))
    return met("they run as the API server tells")


def not_running(pods: Iterable[Mapping[str, Any]]) -> list[str]:
    """Name the pods of which a container does not run; those that have ended or are going are passed over."""
    return [
        str(pod["metadata"]["name"])
        for pod in pods
        if pod.get("status", {}).get("phase") not in _ENDED
        and not pod["metadata"].get("deletionTimestamp")
        and not all(_id(each) for each in pod.get("status", {}).get("containerStatuses") or [{}])
    ]


def untold(pods: Iterable[Mapping[str, Any]], running: set[str]) -> list[str]:
    """Say in which way what the API server tells of containers is not what runs.

    Args:
        pods: All pods, as the API server has them.
        running: The ids of the containers that run.
    """
    told = {identity: str(pod["metadata"]["name"]) for pod in pods for identity in _ids(pod)}
    ended = sorted({name for identity, name in told.items() if identity not in running})
    others = len(running - set(told))
    return [
        *([f"the API server does not know yet that containers have ended: {', '.join(ended)}"] if ended else []),
        *([f"{others} containers run that the API server does not tell of"] if others else []),
    ]


def _ids(pod: Mapping[str, Any]) -> Iterator[str]:
    status = pod.get("status", {})
    for kind in ("containerStatuses", "initContainerStatuses", "ephemeralContainerStatuses"):
        yield from filter(None, map(_id, status.get(kind) or ()))


def _id(container: Mapping[str, Any]) -> str:
    """Give the id of a container that runs, without the runtime's name; the empty text of one that does not."""
    runs = (container.get("state") or {}).get("running") is not None
    return str(container.get("containerID", "")).rpartition("/")[2] if runs else ""
