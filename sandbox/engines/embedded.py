"""The embedded engine: the real programs as plain processes on loopback; no Docker, no root."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Mapping
from pathlib import Path

from sandbox.components import git_server, registry
from sandbox.components.argocd import processes as argocd
from sandbox.components.argocd.config import ArgocdConfig
from sandbox.components.base import Component, Context
from sandbox.components.ci_runner import CiRunner
from sandbox.components.embedded import kwok
from sandbox.components.embedded.etcd import Etcd
from sandbox.components.embedded.kube_apiserver import Bootstrap, KubeApiserver, OpenApi
from sandbox.components.embedded.kube_controller_manager import KubeControllerManager
from sandbox.components.embedded.kube_scheduler import KubeScheduler
from sandbox.components.embedded.redis import Redis
from sandbox.components.embedded.seed import Seed, apply_static, keep_seed, seed_folder
from sandbox.components.pki import Pki
from sandbox.core.conditions import Deadline
from sandbox.core.files import make_private_dir
from sandbox.core.folders import cache_root
from sandbox.core.ports import lease_ports
from sandbox.core.supervision import SupervisorClient
from sandbox.core.timeline import Timeline
from sandbox.engines.driver import bring_up, closure
from sandbox.engines.engine import ARGOCD_SETTINGS, SNAPSHOTS, WHOLE_CLUSTER, Engine, ports_of, supervised
from sandbox.engines.records import Record
from sandbox.toolchain import Tool, version_set

__all__ = ["Embedded"]

_SEED_SECONDS = 120.0
_END_SECONDS = 20.0


class Embedded(Engine):
    """Plain processes under a supervisor; KWOK keeps the nodes, so that no container runs."""

    name = "embedded"
    summary = "the real programs as plain processes; no Docker, no root; pods run no container"
    capabilities = frozenset(
        {"cluster", "argocd", "git", "registry", "pipeline", "played-nodes", SNAPSHOTS, WHOLE_CLUSTER, ARGOCD_SETTINGS}
    )
    tools = (
        "etcd",
        "kube-apiserver",
        "kube-controller-manager",
        "kube-scheduler",
        "kubectl",
        "kwok",
        "valkey",
        "registry",
        "argocd",
        "kustomize",
        "helm",
        "crane",
        "act",
        "go",
    )
    up_seconds = 120.0
    most_nodes = 500

    def components(self) -> list[Component]:
        """Give the parts of an embedded sandbox."""
        return [
            Pki(),
            Seed(),
            Etcd(),
            KubeApiserver(),
            Bootstrap(),
            OpenApi(),
            KubeControllerManager(),
            KubeScheduler(),
            kwok.Kwok(),
            kwok.Nodes(),
            Redis(),
            registry.Registry(),
            git_server.GitServer(),
            # What an engine without Docker shows must not hang on whether a daemon happens to answer.
            CiRunner(),
            ArgocdConfig("kube-apiserver"),
            argocd.RepoServer(),
            argocd.ApplicationController(),
            argocd.ArgocdServer(),
            argocd.ApplicationSetController(),
            argocd.NotificationsController(),
        ]

    def prepare(self, record: Record, tools: Mapping[str, Tool], timeline: Timeline) -> None:
        """Make the seed, where there is none yet."""
        del record
        self.ensure_seed(tools, timeline)

    def ensure_seed(self, tools: Mapping[str, Tool], timeline: Timeline) -> None:
        """Make the seed of this version set, once for all sandboxes of this user."""
        if seed_folder(tools["argocd"]).exists():
            return
        timeline.record("seed", "starting", "made once for each set of versions")
        root = make_private_dir(cache_root() / "seeds")
        folder = Path(tempfile.mkdtemp(dir=root, prefix=".making."))
        run_id = f"seed-{folder.name[-8:]}"
        try:
            keep_seed(self._grown(folder, run_id, tools))
        finally:
            SupervisorClient(folder).end(run_id, Deadline.after(_END_SECONDS))
            shutil.rmtree(folder, ignore_errors=True)
        timeline.record("seed", "ready")

    def _grown(self, folder: Path, run_id: str, tools: Mapping[str, Tool]) -> Context:
        """Bring up a cluster with all that a seed holds and stop it again; its data stays in the folder."""
        record = Record("seed", self.name, run_id, nodes=1, created=0.0, versions=version_set())
        parts = closure(self.components(), ["etcd", "kube-controller-manager", "nodes", "kwok"])
        context = Context(
            name=record.name,
            run_id=record.run_id,
            folder=folder,
            ports=lease_ports(folder, record.name, dict.fromkeys(ports_of(parts))),
            tools=tools,
            nodes=record.nodes,
            supervisor=SupervisorClient(folder),
        )
        with supervised(context, parts):
            deadline = Deadline.after(_SEED_SECONDS)
            bring_up(context, closure(parts, ["etcd", "kube-controller-manager"]), deadline, Timeline())
            apply_static(context)
            bring_up(context, parts, deadline, Timeline())
            context.supervisor.stop("kwok", "kube-controller-manager", "kube-apiserver")
            context.supervisor.stop("etcd")
        return context

    def rest(self, record: Record) -> bool:
        """End the agent that gpg left to itself; gpg starts another when it needs one."""
        argocd.end_gpg_agent(record.folder)
        return False

    def release(self, folder: Path, run_id: str | None) -> None:
        """End the agent that gpg left to itself."""
        del run_id
        argocd.end_gpg_agent(folder)
