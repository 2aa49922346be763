"""The registry in somebody's cluster: CI pushes to it through the API server, nodes pull from a read-only one.

Both are Distribution, over the same images on one volume, in one pod. What CI pushes to listens on the pod's loopback,
where only a port-forward leads. What nodes pull from is a NodePort: by 127.0.0.1 a node asks itself, and container
runtimes speak plain HTTP there. The node's port and the one that is forwarded on this machine have the same number, so
that an image has one name for CI and for nodes.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import yaml

from sandbox.components.base import Context
from sandbox.components.existing.pod_server import PROGRAMS, SETTINGS, PodServer
from sandbox.components.registry import SECRET, USER, api_answers, settings, write_account
from sandbox.core.conditions import Observation

__all__ = ["PUSH_PORT", "READER_SECRET", "READER_USER", "RegistryInCluster", "registry_answers"]

READER_USER = "node"
READER_SECRET = "registry-node"  # noqa: S105  # the name of the secret, not the secret
PUSH_PORT = 5000
_PULL_PORT = 5001
_IMAGES = "/images"
_CLAIM = "registry-images"


def registry_answers(context: Context) -> Observation:
    """Look whether the registry answers to CI's account where this machine reaches it."""
    return api_answers(context.address("registry"), USER, context.secrets.value(SECRET))


class RegistryInCluster(PodServer):
    """The registry's pod, its volume and the port of the nodes."""

    name = "registry"
    program = "registry"

    def containers(self, context: Context) -> Sequence[Mapping[str, Any]]:
        """Serve the same images twice: to push, and to pull."""
        del context
        environment = [{"name": "OTEL_TRACES_EXPORTER", "value": "none"}]
        serve = f"{PROGRAMS}/{self.program}", "serve"
        return [
            {"name": "registry", "command": [*serve, f"{SETTINGS}/push.yml"], "env": environment},
            {
                "name": "reader",
                "command": [*serve, f"{SETTINGS}/pull.yml"],
                "env": environment,
                "ports": [{"containerPort": _PULL_PORT, "name": "pull"}],
                "readinessProbe": {"tcpSocket": {"port": "pull"}, "periodSeconds": 1},
            },
        ]

    def settings(self, context: Context) -> Mapping[str, str]:
        """Give both configurations, each with the one account that it knows."""
        found = {}
        for kind, address, user, name in (
            ("push", f"127.0.0.1:{PUSH_PORT}", USER, SECRET),
            ("pull", f":{_PULL_PORT}", READER_USER, READER_SECRET),
        ):
            configuration = settings(context, address=address, root=_IMAGES, accounts=f"{SETTINGS}/{kind}.htpasswd")
            configuration["storage"]["maintenance"] = {"readonly": {"enabled": kind == "pull"}}
            found[f"{kind}.yml"] = yaml.safe_dump(configuration)
            found[f"{kind}.htpasswd"] = self._account(context, kind, user, context.secrets.value(name))
        return found

    def _account(self, context: Context, kind: str, user: str, password: str) -> str:
        """Give the line of an account; the one that the cluster has, where it holds this password."""
        path = context.dir("run", self.name) / f"{kind}.htpasswd"
        write_account(path, user, password)
        return path.read_text()

    def volumes(self, context: Context) -> Mapping[str, tuple[str, Mapping[str, Any]]]:
        """Keep the images on a volume: what is stopped keeps what it holds."""
        del context
        return {"images": (_IMAGES, {"persistentVolumeClaim": {"claimName": _CLAIM}})}

    def beside(self, context: Context) -> Sequence[Mapping[str, Any]]:
        """Claim the volume, of the cluster's default class."""
        claim = {
            "apiVersion": "v1",
            "kind": "PersistentVolumeClaim",
            "metadata": self.metadata(context, _CLAIM),
            "spec": {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}},
        }
        return [claim, self._service(context)]

    def _service(self, context: Context) -> dict[str, Any]:
        return {
            "apiVersion": "v1",
            "kind": "Service",
            "metadata": self.metadata(context),
            "spec": {
                "type": "NodePort",
                "selector": self.labels(context),
                "ports": [{"name": "pull", "port": _PULL_PORT, "targetPort": "pull"}],
            },
        }

    def node_port(self, context: Context) -> int:
        """Give the port of the nodes, which the cluster chooses when it is first asked for."""
        api = context.api()
        answer = api.apply(self._service(context))
        return int(answer["spec"]["ports"][0]["nodePort"])
