"""The Git server for the pods of somebody's cluster: a Service there, which leads back to this machine.

The Git server stays where CI runs, which a push sets off. In the cluster a relay listens in its place, and a tunnel
(chisel) that this machine opens through a port-forward carries what is asked of it: nothing of this machine is open to
the cluster but that one port, and the relay's own door is on its pod's loopback.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from sandbox.components.base import Context, ProcessComponent
from sandbox.components.existing.pod_server import PROGRAMS, SETTINGS, PodServer
from sandbox.core.conditions import Observation, met, pending
from sandbox.core.errors import SandboxError

__all__ = ["DOOR_PORT", "GIT_PORT", "GitRelay", "GitTunnel", "git_inside"]

GIT_PORT = 3000
"""Where pods reach the Git server, at the Service ``git-server``."""

DOOR_PORT = 8080
"""Where the relay takes the tunnel, on its pod's loopback."""

_SERVICE = "git-server"
_USER = "tunnel"
_SECRET = "git-tunnel"  # noqa: S105  # the name of the secret, not the secret


def git_inside(namespace: str) -> str:
    """Give ``host:port`` by which pods reach the Git server of a sandbox."""
    return f"{_SERVICE}.{namespace}.svc:{GIT_PORT}"


class GitRelay(PodServer):
    """The end of the tunnel in the cluster."""

    name = "git-relay"
    program = "chisel"

    def containers(self, context: Context) -> Sequence[Mapping[str, Any]]:
        """Take a tunnel from the pod's loopback alone, which may open the one port."""
        del context
        server = [f"{PROGRAMS}/{self.program}", "server", "--host=127.0.0.1", f"--port={DOOR_PORT}", "--reverse"]
        return [
            {
                "name": "relay",
                "command": [*server, f"--authfile={SETTINGS}/users.json"],
                "ports": [{"containerPort": GIT_PORT, "name": "git"}],
            }
        ]

    def settings(self, context: Context) -> Mapping[str, str]:
        """Give the one account, and what it may open."""
        account = f"{_USER}:{context.secrets.value(_SECRET)}"
        return {"users.json": json.dumps({account: [f"^R:0\\.0\\.0\\.0:{GIT_PORT}$"]})}

    def beside(self, context: Context) -> Sequence[Mapping[str, Any]]:
        """Give it a name in the cluster."""
        return [
            {
                "apiVersion": "v1",
                "kind": "Service",
                "metadata": self.metadata(context, _SERVICE),
                "spec": {
                    "selector": self.labels(context),
                    "ports": [{"name": "git", "port": GIT_PORT, "targetPort": "git"}],
                },
            }
        ]


class GitTunnel(ProcessComponent):
    """The end of the tunnel on this machine; it comes back by itself when the way was broken off."""

    name = "git-tunnel"
    requires = ("git-relay", "git-server", "git-relay-forward")
    ports = ("git-relay", "git-server")

    def argv(self, context: Context) -> tuple[str, ...]:
        """Open the relay's port, and lead it to the Git server."""
        return (
            str(context.tools["chisel"].binary()),
            "client",
            "--keepalive=20s",
            "--max-retry-interval=2s",
            f"http://{context.address('git-relay')}",
            f"R:0.0.0.0:{GIT_PORT}:{context.address('git-server')}",
        )

    def env(self, context: Context) -> dict[str, str]:
        """Show the account, where no list of processes has it."""
        return {"AUTH": f"{_USER}:{context.secrets.value(_SECRET)}"}

    def ready(self, context: Context) -> Observation:
        """It is ready when the Git server answers to a request that comes from within the cluster."""
        path = f"/api/v1/namespaces/{context.own_namespace}/services/{_SERVICE}:git/proxy/healthz"
        try:
            context.api().text(path)
        except SandboxError as error:
            return pending(f"{error.what}: {error.why}")
        return met("the Git server answers within the cluster")
