"""The kind cluster: a real node in a container, made by pytest-kind with our own verified programs.

The node's image is the baked one with a label on top, so that the container carries its sandbox's
mark like every other. The cluster's kubeconfig stays in the sandbox's state folder.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from sandbox.components.argocd_in_cluster import SERVER_NODE_PORT
from sandbox.components.base import Context, tail_of
from sandbox.components.container import (
    check_ours,
    container_name,
    making,
    network_name,
    owner_of,
    remove_ours,
    state_of,
)
from sandbox.components.kube import KubeApi
from sandbox.components.registry_container import ImageMirror, RegistryReader, reader_authorization
from sandbox.containers.cluster_config import PortMapping, cluster_config
from sandbox.containers.described import Container
from sandbox.containers.docker import Docker, connect
from sandbox.containers.host import host_needs
from sandbox.containers.images import image_tags
from sandbox.containers.mirror import PORT
from sandbox.core.commands import CommandError, run
from sandbox.core.conditions import Observation, met, pending
from sandbox.core.errors import SandboxError, UnavailableError
from sandbox.core.files import write_file, write_json
from sandbox.core.processes import RUN_ID_VARIABLE

__all__ = ["KindCluster", "NodeRegistry", "cluster_name", "finished", "node_image", "node_name"]

_CREATE_SECONDS = 180.0
_LOG_LINES = 2000
_HOSTS = "/etc/containerd/certs.d"
_PASSED_ON = ("DOCKER_HOST", "DOCKER_CONTEXT", "DOCKER_CONFIG", "XDG_RUNTIME_DIR", "HOME")


def cluster_name(sandbox: str) -> str:
    """Give the name of a sandbox's cluster, as ``kind get clusters`` lists it."""
    return f"gitops-sandbox-{sandbox}"


def node_name(sandbox: str) -> str:
    """Give the name of its node, which is that of the node's container too (kind's own rule)."""
    return f"{cluster_name(sandbox)}-control-plane"


def node_image(run_id: str) -> str:
    """Give the tag of the node's image with a sandbox's labels on it."""
    return f"gitops-sandbox/node-of:{run_id}"


def finished(folder: Path) -> bool:
    """Say whether the cluster of a sandbox was made to the end, whatever became of it then."""
    return _finished(folder).exists()


def _finished(folder: Path) -> Path:
    return folder / "run" / "kind" / "finished"


class KindCluster:
    """The cluster and its one node."""

    name = "kind-cluster"
    requires = ("pki",)
    ports = ("apiserver",)

    def ensure(self, context: Context) -> None:
        """Create the cluster; start its node where that was stopped; make it anew where it was never finished.

        Raises:
            UnavailableError: A cluster of that name is somebody else's, or kind failed.
        """
        with making(context), connect() as docker:
            found = docker.container(node_name(context.name))
            if found is not None:
                check_ours(found, owner_of(context))
                if finished(context.folder):
                    if found.state != "running":
                        docker.start(found.name)
                    return
                docker.remove(found.name)
            _finished(context.folder).unlink(missing_ok=True)
            self._label_image(context, docker)
            config = cluster_config(
                host_needs(docker.info()),
                api_port=context.ports["apiserver"],
                ports=[PortMapping(SERVER_NODE_PORT, context.ports["argocd-server"])],
            )
        self._create(context, config)
        write_file(context.folder / "kubeconfig", context.pki("admin.kubeconfig").read_bytes())
        write_file(_finished(context.folder), "")

    @staticmethod
    def _label_image(context: Context, docker: Docker) -> None:
        labels = " ".join(f'{key}="{value}"' for key, value in owner_of(context).labels.items())
        dockerfile = f"FROM {image_tags()[0]}\nLABEL {labels}\n"
        docker.build_image({"Dockerfile": dockerfile.encode()}, node_image(context.run_id))

    def _create(self, context: Context, config: Mapping[str, Any]) -> None:
        folder = context.dir("run", "kind")
        write_file(folder / "config.yaml", yaml.safe_dump(dict(config)))
        spec = {
            "name": cluster_name(context.name),
            "kubeconfig": str(context.pki("admin.kubeconfig")),
            "image": node_image(context.run_id),
            "kind": str(context.tools["kind"].binary()),
            "kubectl": str(context.tools["kubectl"].binary()),
            "config": str(folder / "config.yaml"),
        }
        write_json(folder / "spec.json", spec)
        environment = {
            **{name: os.environ[name] for name in _PASSED_ON if name in os.environ},
            "PATH": os.environ.get("PATH", os.defpath),
            "PYTHONPATH": context.environment("kind")["PYTHONPATH"],
            # The sandbox's own network, so that no other cluster is in it.
            "KIND_EXPERIMENTAL_DOCKER_NETWORK": network_name(context.name),
            RUN_ID_VARIABLE: context.run_id,
        }
        argv = context.python("sandbox.containers.kind_create", folder / "spec.json")
        try:
            said = run(argv, timeout=_CREATE_SECONDS, cwd=folder, env=environment)
        except CommandError as error:
            write_file(self.log(context), error.output)
            raise UnavailableError(
                f"kind can't create cluster {spec['name']}", why=error.why, hint="./inv doctor looks at this machine"
            ) from error
        write_file(self.log(context), said)

    def ready(self, context: Context) -> Observation:
        """It is ready when its API server is and the node says so."""
        try:
            api = KubeApi(context.pki("admin.kubeconfig"))
            api.request("GET", "/readyz")
            nodes = api.list("v1", "Node")
        except SandboxError as error:
            return pending(f"{error.what}: {error.why}")
        conditions = [entry for node in nodes for entry in node["status"].get("conditions") or ()]
        ready = [entry for entry in conditions if entry["type"] == "Ready"]
        waiting = [entry.get("message", "") for entry in ready if entry["status"] != "True"]
        return met("the node is ready") if ready and not waiting else pending("; ".join(waiting) or "no node yet")

    def state(self, context: Context) -> dict[str, Any]:
        """Say how it is, for ``status``."""
        found: Container | None = None
        try:
            with connect() as docker:
                found = docker.container(node_name(context.name))
            seen = self.ready(context) if found else pending("there is no such container")
        except SandboxError as error:
            seen = pending(f"{error.what}: {error.why}")
        return state_of(self.name, found, seen, self.log(context))

    def log(self, context: Context) -> Path:
        """Give the file that holds what kind said."""
        return context.dir("logs") / f"{self.name}.log"

    def tail(self, context: Context, lines: int) -> str:
        """Give the last lines of what kind said, and of the node's own log."""
        with connect() as docker:
            node = docker.logs(node_name(context.name), lines=lines)
        return f"{tail_of(self.log(context), lines)}\n{node}"

    def diagnose(self, context: Context, into: Path) -> None:
        """Take what kind said and the end of the node's own log."""
        if self.log(context).exists():
            write_file(into / f"{self.name}.log", self.log(context).read_bytes())
        with connect() as docker:
            write_file(into / "node.log", docker.logs(node_name(context.name), lines=_LOG_LINES))
            if docker.container(node_name(context.name)):
                kubelet = ("journalctl", "--no-pager", "-u", "kubelet", "-n", str(_LOG_LINES))
                write_file(into / "kubelet.log", docker.execute(node_name(context.name), kubelet))

    def remove(self, context: Context) -> None:
        """Remove the node; nothing else is of the cluster."""
        with connect() as docker:
            remove_ours(docker, node_name(context.name), owner_of(context))
            docker.remove_image(node_image(context.run_id))


class NodeRegistry:
    """The way from the node to the sandbox's registry, under the name that images have on the host too.

    The documented local registry of kind ("Local Registry", kind's user guide), with containerd's
    ``hosts.toml``: the node asks the read-only server and shows its own account.
    """

    name = "node-registry"
    requires = ("kind-cluster", "registry-reader", "image-mirror")
    ports = ("registry",)

    def ensure(self, context: Context) -> None:
        """Write ``hosts.toml`` into the node, readable for root alone, and tell tools of the registry."""
        address = context.address("registry")
        reader = f"http://{container_name(context.name, RegistryReader.name)}:{PORT}"
        mirror = f"http://{container_name(context.name, ImageMirror.name)}:{PORT}"
        hosts = (
            f'server = "{reader}"\n\n[host."{reader}"]\n  capabilities = ["pull", "resolve"]\n'
            f'  [host."{reader}".header]\n    Authorization = ["{reader_authorization(context)}"]\n'
        )
        # Whatever else is pulled is asked of the mirror first, and of where its name says then.
        others = f'[host."{mirror}"]\n  capabilities = ["pull", "resolve"]\n'
        files = {f"{_HOSTS}/{address}/hosts.toml": hosts.encode(), f"{_HOSTS}/_default/hosts.toml": others.encode()}
        with connect() as docker:
            docker.put(node_name(context.name), files, mode=0o600)
        KubeApi(context.pki("admin.kubeconfig")).apply(_hosting(address))

    def ready(self, context: Context) -> Observation:
        """It is ready once written: containerd reads it with each pull."""
        del context
        return met("written")

    def diagnose(self, context: Context, into: Path) -> None:
        """Nothing: it holds a password."""

    def remove(self, context: Context) -> None:
        """It goes with the node."""


def _hosting(address: str) -> dict[str, Any]:
    """Announce the registry (KEP-1755, communicating a local registry)."""
    return {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"name": "local-registry-hosting", "namespace": "kube-public"},
        "data": {"localRegistryHosting.v1": yaml.safe_dump({"host": address})},
    }
