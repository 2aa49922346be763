"""The kind engine: a real cluster whose nodes are containers, with real pods; needs Docker."""

from __future__ import annotations

import time
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from sandbox.components import git_server
from sandbox.components.argocd.config import ArgocdConfig
from sandbox.components.argocd.ha import HA_NODES
from sandbox.components.argocd.in_cluster import ArgocdManifests
from sandbox.components.base import Component
from sandbox.components.ci_runner import CiRunner
from sandbox.components.kind.argocd import ArgocdInKind, ArgocdSettingsInKind
from sandbox.components.kind.cluster import KindCluster, NodeRegistry, finished, node_name
from sandbox.components.kind.container import end_making, network_name
from sandbox.components.kind.etcd import KindEtcd
from sandbox.components.kind.node_images import NodeImages
from sandbox.components.kind.node_pods import Kubelet, NodePods
from sandbox.components.kind.pod_network import PodNetwork
from sandbox.components.kind.registry import ImageMirror, RegistryContainer, RegistryReader
from sandbox.components.pki import argocd_pki
from sandbox.containers.described import Owner
from sandbox.containers.docker import Docker, connect
from sandbox.containers.images import ensure_images
from sandbox.core.conditions import Deadline, Observation, met, pending, wait_for
from sandbox.core.errors import UsageError
from sandbox.core.files import read_json, write_json
from sandbox.core.timeline import Timeline
from sandbox.engines.engine import ARGOCD_SETTINGS, SNAPSHOTS, WHOLE_CLUSTER, Engine
from sandbox.engines.records import Record, Shape
from sandbox.toolchain import Progress, Tool

__all__ = ["Kind"]

_NETWORK = "network.json"
_MARK = "docker.json"
_END_SECONDS = 60.0
_QUIET_SECONDS = 1.0


class Kind(Engine):
    """A kind cluster, a registry in containers, and the Git server where its pods can reach it."""

    name = "kind"
    summary = "a real cluster in containers; needs Docker"
    capabilities = frozenset(
        {"cluster", "argocd", "git", "registry", "pipeline", "containers", SNAPSHOTS, WHOLE_CLUSTER, ARGOCD_SETTINGS}
    )
    tools = (
        "kind",
        "kubectl",
        "argocd",
        "kustomize",
        "flannel",
        "crane",
        "act",
        "go",
    )
    up_seconds = 300.0
    most_nodes = 5

    def components(self) -> list[Component]:
        """Give the parts of a sandbox on kind."""
        argocd = ArgocdInKind()
        return [
            argocd_pki(),
            RegistryContainer(),
            RegistryReader(),
            ImageMirror(),
            git_server.GitServer(),
            CiRunner(),
            KindCluster(),
            KindEtcd(),
            Kubelet(),
            NodeImages(),
            NodeRegistry(),
            PodNetwork(),
            ArgocdSettingsInKind("kind-cluster"),
            ArgocdConfig(ArgocdSettingsInKind.name),
            ArgocdManifests(argocd),
            argocd,
            NodePods(),
        ]

    def fetch(self, provider: str | None, progress: Progress) -> None:
        """Fetch the tools and bake the images, after a look whether Docker answers at all.

        Raises:
            UnavailableError: Docker does not answer, or a tool or an image can't be had.
        """
        with connect() as docker:
            super().fetch(provider, progress)
            ensure_images(docker, progress=progress)

    def check_shape(self, wanted: Shape, known: Shape | None) -> None:
        """Refuse more nodes than a machine bears, fewer than the HA variant needs, and what a cluster can't become.

        Raises:
            UsageError: It can't be.
        """
        super().check_shape(Shape(wanted.nodes), known)
        if known is not None and (wanted.nodes < known.nodes or wanted.ha != known.ha):
            raise UsageError(
                f"the sandbox has {_said(known)}, and can't become one of {_said(wanted)}",
                why="workers can join it; but what runs on a node would be lost with the node, and neither variant of"
                " Argo CD can take the other's place",
                hint="leave --nodes and --ha out to keep it; or down first; or choose another --name",
            )
        if wanted.ha and wanted.nodes < HA_NODES:
            raise UsageError(
                f"Argo CD's HA variant can't run on {_said(Shape(wanted.nodes))}",
                why="no two of its three redis servers, nor of its three proxies, go to one node",
                hint=f"--ha --nodes {HA_NODES}, or --ha alone",
            )

    def why_no_moments(self, record: Record) -> str:
        """Say why a sandbox of several nodes is not put back.

        A node that had joined after the moment would come back with other addresses for its pods.
        """
        if record.shape != Shape():
            return f"it has {_said(record.shape)}, and on kind only what one node holds is put back together"
        return super().why_no_moments(record)

    def prepare(self, record: Record, tools: Mapping[str, Tool], timeline: Timeline) -> None:
        """Bake the images of this version set, once for all sandboxes, and make this sandbox's network.

        A node that was stopped is started at once: everything waits for it, and it starts twice as fast alone.

        Raises:
            UnavailableError: Docker does not answer, or an image can't be made.
        """
        del tools, timeline
        with connect() as docker:
            for container in docker.containers(Owner(record.name, record.run_id)):
                if container.name == node_name(record.name) and container.state == "exited":
                    docker.start(container.name)
            ensure_images(docker)
            network = network_name(record.name)
            # Before anything is made: where the record is lost, this says whose it is.
            write_json(record.folder / _MARK, {"run_id": record.run_id})
            docker.ensure_network(network, Owner(record.name, record.run_id))
            write_json(record.folder / _NETWORK, {"gateway": docker.gateway(network)})

    def hosts(self, record: Record) -> dict[str, str]:
        """Have the Git server listen on the bridge of the sandbox's network: one URL for pods and for the host."""
        path = record.folder / _NETWORK
        return {"git-server": str(read_json(path)["gateway"])} if path.exists() else {}

    def rest(self, record: Record) -> bool:
        """Stop the containers, all at once; their volumes and the node's own keep what they hold."""
        with connect() as docker:
            found = docker.containers(Owner(record.name, record.run_id))
            running = [each.name for each in found if each.state == "running"]
            with ThreadPoolExecutor(max(1, len(running))) as pool:
                # The list takes the results, so that what one of them raised is raised here.
                list(pool.map(docker.stop, running))
        return bool(running)

    def release(self, folder: Path, run_id: str | None) -> None:
        """Remove what carries the sandbox's labels in Docker.

        Raises:
            UnavailableError: Docker does not answer, or something can't be removed.
            DeadlineError: Something came again and again.
        """
        mark = folder / _MARK
        if not mark.exists():
            return
        run_id = run_id or str(read_json(mark)["run_id"])
        deadline = Deadline.after(_END_SECONDS)
        end_making(run_id, deadline)
        owner = Owner(folder.name, run_id)
        with connect() as docker:
            docker.remove_owned(owner)
            if not finished(folder):
                # What a killed program had asked the daemon for may come into being only now.
                _remove_until_quiet(docker, owner, deadline)


def _said(shape: Shape) -> str:
    nodes = "1 node" if shape.nodes == 1 else f"{shape.nodes} nodes"
    return f"{nodes} with Argo CD's HA variant" if shape.ha else nodes


def _remove_until_quiet(docker: Docker, owner: Owner, deadline: Deadline) -> None:
    seen = time.monotonic()

    def quiet() -> Observation:
        nonlocal seen
        if removed := docker.remove_owned(owner):
            seen = time.monotonic()
            return pending(f"only just removed: {', '.join(removed)}")
        return met("nothing comes any more") if time.monotonic() - seen > _QUIET_SECONDS else pending("nothing is left")

    wait_for(quiet, deadline, wanted=f"Docker to make nothing more of sandbox {owner.name}")
