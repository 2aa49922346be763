"""The kind cluster: real nodes in containers, made by pytest-kind with our own verified programs.

The nodes' image is the baked one with a label on top, so that their containers carry their sandbox's
mark like every other. The cluster's kubeconfig stays in the sandbox's state folder.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from sandbox.components.argocd.in_cluster import SERVER_NODE_PORT
from sandbox.components.base import Context, tail_of
from sandbox.components.kind.container import (
    check_ours,
    container_name,
    making,
    network_name,
    owner_of,
    remove_ours,
    state_of,
)
from sandbox.components.kind.join import join_worker
from sandbox.components.kind.registry import ImageMirror, RegistryReader, reader_authorization
from sandbox.containers.cluster_config import PortMapping, cluster_config
from sandbox.containers.described import Container
from sandbox.containers.docker import Docker, connect
from sandbox.containers.host import host_needs
from sandbox.containers.images import image_tags
from sandbox.containers.mirror import PORT
from sandbox.containers.settings import container_proxies
from sandbox.core.commands import CommandError, run
from sandbox.core.conditions import Observation, met, pending
from sandbox.core.errors import SandboxError, UnavailableError
from sandbox.core.files import write_file, write_json
from sandbox.core.processes import RUN_ID_VARIABLE
from sandbox.core.proxies import proxy_variables

__all__ = [
    "KindCluster",
    "NodeRegistry",
    "cluster_name",
    "finished",
    "node_image",
    "node_name",
    "node_names",
]


_CREATE_SECONDS = 180.0
_ETCD_PORT = 2379
_LOG_LINES = 2000
_JOURNAL_OF_PODS = ("journalctl", "--no-pager", "-u", "kubelet", "-u", "containerd", "-n", str(_LOG_LINES))
_HOSTS = "/etc/containerd/certs.d"
_PASSED_ON = ("DOCKER_HOST", "DOCKER_CONTEXT", "DOCKER_CONFIG", "XDG_RUNTIME_DIR", "HOME")


def cluster_name(sandbox: str) -> str:
    """Give the name of a sandbox's cluster, as ``kind get clusters`` lists it."""
    return f"gitops-sandbox-{sandbox}"


def node_name(sandbox: str) -> str:
    """Give the name of the control plane's node, which is that of the node's container too (kind's own rule)."""
    return f"{cluster_name(sandbox)}-control-plane"


def node_names(sandbox: str, nodes: int) -> list[str]:
    """Give the names of all nodes, the control plane's first (kind's own rule)."""
    workers = [f"{cluster_name(sandbox)}-worker{number if number > 1 else ''}" for number in range(1, nodes)]
    return [node_name(sandbox), *workers]


def node_image(run_id: str) -> str:
    """Give the tag of the node's image with a sandbox's labels on it."""
    return f"gitops-sandbox/node-of:{run_id}"


def finished(folder: Path) -> bool:
    """Say whether the cluster of a sandbox was made to the end, whatever became of it then."""
    return _finished(folder).exists()


def _finished(folder: Path) -> Path:
    return folder / "run" / "kind" / "finished"


class KindCluster:
    """The cluster and its nodes."""

    name = "kind-cluster"
    requires = ("pki",)
    ports = ("apiserver",)

    def ensure(self, context: Context) -> None:
        """Create the cluster; start its nodes where they were stopped; make it anew where it was never finished.

        A worker that is missing joins anew. Where the control plane is gone, so is all that the cluster held, and it is
        made anew.

        Raises:
            UnavailableError: A cluster of that name is somebody else's, or kind or kubeadm failed.
            DeadlineError: A worker that is to join does not come up.
        """
        with making(context), connect() as docker:
            found = _nodes(context, docker)
            for container in found.values():
                check_ours(container, owner_of(context))
            if finished(context.folder) and node_name(context.name) in found:
                self._complete(context, docker, found)
                return
            for container in found.values():
                docker.remove(container.name)
            _finished(context.folder).unlink(missing_ok=True)
            self._label_image(context, docker)
            config = cluster_config(
                host_needs(docker.info()),
                api_port=context.ports["apiserver"],
                ports=[
                    PortMapping(SERVER_NODE_PORT, context.ports["argocd-server"]),
                    PortMapping(_ETCD_PORT, context.ports["etcd"]),
                ],
                workers=context.nodes - 1,
            )
        self._create(context, config)
        # Two of it on one node would fail together.
        fewer = {"spec": {"replicas": min(2, context.nodes)}}
        context.api().merge("apps/v1", "Deployment", "coredns", "kube-system", fewer)
        write_file(context.folder / "kubeconfig", context.pki("admin.kubeconfig").read_bytes())
        write_file(_finished(context.folder), "")

    @staticmethod
    def _complete(context: Context, docker: Docker, found: Mapping[str, Container]) -> None:
        for container in found.values():
            if container.state != "running":
                docker.start(container.name)
        for name in node_names(context.name, context.nodes):
            if name not in found:
                join_worker(context, docker, node_name(context.name), name)

    @staticmethod
    def _label_image(context: Context, docker: Docker) -> None:
        labels = " ".join(f'{key}="{value}"' for key, value in owner_of(context).labels.items())
        dockerfile = f"FROM {image_tags()[0]}\nLABEL {labels}\n"
        docker.images.build({"Dockerfile": dockerfile.encode()}, node_image(context.run_id))

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
        # kind hands them to the nodes; what these ask of the sandbox's own registries, no proxy would find.
        servers = (RegistryReader.name, ImageMirror.name)
        proxies = proxy_variables([container_name(context.name, each) for each in servers], container_proxies())
        environment = {
            **{name: os.environ[name] for name in _PASSED_ON if name in os.environ},
            **proxies,
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
        """It is ready when its API server is and all nodes say so."""
        try:
            api = context.api()
            api.request("GET", "/readyz")
            nodes = api.list("v1", "Node")
        except SandboxError as error:
            return pending(f"{error.what}: {error.why}")
        conditions = {
            str(node["metadata"]["name"]): entry
            for node in nodes
            for entry in node["status"].get("conditions") or ()
            if entry["type"] == "Ready"
        }
        waiting = [f"{name}: {entry.get('message', '')}" for name, entry in conditions.items() if not _true(entry)]
        missing = [name for name in node_names(context.name, context.nodes) if name not in conditions]
        if waiting or missing:
            return pending("; ".join([*waiting, *(f"{name} has not joined yet" for name in missing)]))
        return met("every node is ready")

    def state(self, context: Context) -> dict[str, Any]:
        """Say how it is, for ``status``."""
        found: dict[str, Container] = {}
        try:
            with connect() as docker:
                found = _nodes(context, docker)
            seen = self._all_run(context, found) or self.ready(context)
        except SandboxError as error:
            seen = pending(f"{error.what}: {error.why}")
        control_plane = found.get(node_name(context.name))
        nodes = {name: container.id for name, container in found.items()}
        return state_of(self.name, control_plane, seen, self.log(context)) | {"nodes": nodes}

    @staticmethod
    def _all_run(context: Context, found: Mapping[str, Container]) -> Observation | None:
        """Say which nodes do not run, which the API server tells only after a while; None when all do."""
        if node_name(context.name) not in found:
            return pending("there is no such container")
        names = node_names(context.name, context.nodes)
        still = [f"{name}: {found[name].state if name in found else 'there is no such container'}" for name in names]
        still = [said for said in still if not said.endswith(": running")]
        return pending("; ".join(still)) if still else None

    def log(self, context: Context) -> Path:
        """Give the file that holds what kind said."""
        return context.dir("logs") / f"{self.name}.log"

    def tail(self, context: Context, lines: int) -> str:
        """Give the last lines of what kind said, and of each node's own log."""
        with connect() as docker:
            said = [docker.logs(name, lines=lines) for name in node_names(context.name, context.nodes)]
        return "\n".join([tail_of(self.log(context), lines), *said])

    def diagnose(self, context: Context, into: Path) -> None:
        """Take what kind said, the end of each node's own log, and of those of what starts its pods."""
        if self.log(context).exists():
            write_file(into / f"{self.name}.log", self.log(context).read_bytes())
        with connect() as docker:
            for name, container in _nodes(context, docker).items():
                write_file(into / f"{name}.log", docker.logs(name, lines=_LOG_LINES))
                if container.state == "running":
                    write_file(into / f"{name}.pods.log", docker.execute(name, _JOURNAL_OF_PODS))

    def remove(self, context: Context) -> None:
        """Remove the nodes; nothing else is of the cluster."""
        with connect() as docker:
            for name in node_names(context.name, context.nodes):
                remove_ours(docker, name, owner_of(context))
            docker.images.remove(node_image(context.run_id))


def _nodes(context: Context, docker: Docker) -> dict[str, Container]:
    """Give the containers of the nodes that there are, by name."""
    names = node_names(context.name, context.nodes)
    return {name: found for name in names if (found := docker.container(name)) is not None}


def _true(condition: Mapping[str, Any]) -> bool:
    return bool(condition["status"] == "True")


class NodeRegistry:
    """The way from the nodes to the sandbox's registry, under the name that images have on the host too.

    The documented local registry of kind ("Local Registry", kind's user guide), with containerd's
    ``hosts.toml``: each node asks the read-only server and shows its own account.
    """

    name = "node-registry"
    requires = ("kind-cluster", "registry-reader", "image-mirror")
    ports = ("registry",)

    def ensure(self, context: Context) -> None:
        """Write ``hosts.toml`` into the nodes, readable for root alone, and tell tools of the registry."""
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
            for name in node_names(context.name, context.nodes):
                docker.put(name, files, mode=0o600)
        context.api().apply(_hosting(address))

    def ready(self, context: Context) -> Observation:
        """It is ready once written: containerd reads it with each pull."""
        del context
        return met("written")

    def diagnose(self, context: Context, into: Path) -> None:
        """Nothing: it holds a password."""

    def remove(self, context: Context) -> None:
        """It goes with the nodes."""


def _hosting(address: str) -> dict[str, Any]:
    """Announce the registry (KEP-1755, communicating a local registry)."""
    return {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"name": "local-registry-hosting", "namespace": "kube-public"},
        "data": {"localRegistryHosting.v1": yaml.safe_dump({"host": address})},
    }
