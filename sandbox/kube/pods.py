"""What is alike for everything that runs as pods: how it is, and what its containers have said."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from sandbox.core.conditions import Observation, State, pending
from sandbox.core.errors import SandboxError
from sandbox.kube.api import KubeApi

__all__ = ["container_logs", "logs_as_text", "state_of_pods"]


def container_logs(api: KubeApi, namespace: str, labels: str, lines: int) -> dict[str, str]:
    """Give the end of each container's log by ``pod.container``, or why it can't be had.

    Args:
        api: Who asks.
        namespace: Where the pods are.
        labels: A label selector for them.
        lines: How many lines at most, of each.
    """
    found = {}
    for pod in api.list("v1", "Pod", namespace, labels=labels):
        name = pod["metadata"]["name"]
        path = api.resource("v1", "Pod").path(namespace, name)
        for container in pod["spec"]["containers"]:
            query = f"/log?container={container['name']}&tailLines={lines}"
            try:
                text = api.text(path + query)
            except SandboxError as error:
                text = str(error)
            found[f"{name}.{container['name']}"] = text
    return found


def logs_as_text(logs: dict[str, str]) -> str:
    """Give logs one below the other, each below a line that names it."""
    return "\n".join(f"== {name}\n{text}" for name, text in logs.items())


def state_of_pods(name: str, look: Callable[[], Observation]) -> dict[str, Any]:
    """Describe a component whose pods are all that there is of it, for ``status --json``."""
    try:
        seen = look()
    except SandboxError as error:
        seen = pending(f"{error.what}: {error.why}")
    well = seen.state is State.MET
    return {
        "name": name,
        "state": "running" if well else "unready",
        "pid": None,
        "log": "",
        "restarts": 0,
        "last_exit": None,
        "seen": "" if well else seen.seen,
    }
