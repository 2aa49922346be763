"""The cluster engine: a cluster that the user has already, in namespaces of the sandbox's own."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from sandbox.components.argocd.config import ArgocdConfig
from sandbox.components.argocd.home import ArgocdHome
from sandbox.components.argocd.in_cluster import ArgocdManifests
from sandbox.components.base import Component, Context
from sandbox.components.ci_runner import CiRunner
from sandbox.components.existing.argocd_host import leave_host, ways_to_leave
from sandbox.components.existing.argocd_in_namespace import (
    ArgocdInNamespace,
    HomeInNamespace,
    NamespacedArgocdSettings,
    bring_types,
    types_of,
)
from sandbox.components.existing.foothold import Foothold, own_namespace
from sandbox.components.existing.git_relay import DOOR_PORT, GitRelay, GitTunnel, git_inside
from sandbox.components.existing.given_namespaces import PULL_SECRET, GivenNamespaces, note, noted
from sandbox.components.existing.leaving import leave
from sandbox.components.existing.node_pull import NodePull
from sandbox.components.existing.port_forward import PortForward
from sandbox.components.existing.registry_in_cluster import PUSH_PORT, RegistryInCluster, registry_answers
from sandbox.components.existing.rights import OWN_RULES
from sandbox.components.git_server import GitServer
from sandbox.components.namespaces import Namespaces
from sandbox.components.pki import argocd_pki
from sandbox.components.probes import http_ok
from sandbox.containers.described import Owner
from sandbox.core.conditions import Deadline, Observation
from sandbox.core.errors import SandboxError, UsageError
from sandbox.core.files import read_json, write_json
from sandbox.core.names import check_choice
from sandbox.core.timeline import Timeline
from sandbox.engines import kubeconfig
from sandbox.engines.access import Access
from sandbox.engines.engine import ARGOCD_SETTINGS, Engine, LeftBehindError
from sandbox.engines.records import Record, Shape
from sandbox.kube.api import KubeApi
from sandbox.toolchain import Tool, ensure_tools

__all__ = ["Cluster"]

_MARK = "cluster.json"
_LEAVE_SECONDS = 240.0
_ARGOCD_PORT = 8080
_WORKLOADS = (("apps/v1", "Deployment"), ("apps/v1", "StatefulSet"))


@dataclass(frozen=True, slots=True)
class _Mark:
    """Where a sandbox is, in a file of its own: where the record is lost, this says what to remove.

    Attributes:
        run_id: The sandbox's mark.
        kubeconfig: The user's; several files are joined as KUBECONFIG joins them.
        context: Which context of it.
        registry: The port of the nodes by which they pull; 0 until it is known.
    """

    run_id: str
    kubeconfig: str
    context: str
    registry: int = 0

    @classmethod
    def read(cls, folder: Path) -> _Mark | None:
        """Read it; None where nothing was begun in any cluster."""
        try:
            found = read_json(folder / _MARK)
        except FileNotFoundError:
            return None
        return cls(str(found["run_id"]), str(found["kubeconfig"]), str(found["context"]), int(str(found["registry"])))

    def write(self, folder: Path) -> None:
        """Write it."""
        write_json(
            folder / _MARK,
            {
                "run_id": self.run_id,
                "kubeconfig": self.kubeconfig,
                "context": self.context,
                "registry": self.registry,
            },
        )


class Cluster(Engine):
    """Somebody's cluster: Argo CD and the registry as pods in it, the Git server and CI here."""

    name = "cluster"
    summary = "a cluster that you have already, by the name of its context"
    capabilities = frozenset({"cluster", "argocd", "git", "registry", "pipeline", "containers", ARGOCD_SETTINGS})
    tools = ("kubectl", "argocd", "kustomize", "crane", "act", "go", "registry", "chisel")
    # A cluster that has none of the images pulls half a gigabyte.
    up_seconds = 600.0
    most_nodes = 1

    def components(self) -> list[Component]:
        """Give the parts of a sandbox in somebody's cluster."""
        argocd = ArgocdInNamespace()
        return [
            argocd_pki(),
            *self.beside_argocd(),
            GitServer(self.receiver),
            NamespacedArgocdSettings("pki"),
            ArgocdConfig(NamespacedArgocdSettings.name),
            ArgocdManifests(argocd),
            argocd,
            PortForward("argocd-forward", "deployment/argocd-server", "argocd-server", _ARGOCD_PORT, _argocd, "argocd"),
        ]

    @staticmethod
    def beside_argocd() -> list[Component]:
        """Give the parts that a sandbox has whosever its Argo CD is, but for the Git server."""
        return [
            RegistryInCluster(),
            PortForward("registry-forward", "deployment/registry", "registry", PUSH_PORT, registry_answers, "registry"),
            NodePull(),
            CiRunner(),
            GitRelay(),
            PortForward("git-relay-forward", "deployment/git-relay", "git-relay", DOOR_PORT, _relay, "git-relay"),
            GitTunnel(),
        ]

    def place(self, context: str | None) -> dict[str, str]:
        """Say where a new sandbox lives: in the cluster of a context that is named, never of the current one.

        Raises:
            UsageError: No context is named, or there is none of that name.
        """
        files, known = kubeconfig.users_files(), kubeconfig.users_contexts()
        if not known:
            raise UsageError("there is no context to choose from", why=f"{files} has none", hint="set KUBECONFIG")
        if context is None:
            raise UsageError(
                f"the engine {self.name} needs the name of a context",
                why="the current context may be anything, so it is never taken",
                hint=f"--context NAME, one of: {', '.join(known)}",
            )
        return {"kubeconfig": files, "context": check_choice("context", context, known)}

    def check_shape(self, wanted: Shape, known: Shape | None) -> None:
        """Refuse to give a cluster a shape.

        Raises:
            UsageError: A number of nodes is asked for, or Argo CD's HA variant.
        """
        super().check_shape(Shape(ha=wanted.ha), known)
        if wanted.nodes != 1:
            raise UsageError(f"the engine {self.name} takes the cluster as it is", hint="leave --nodes out")

    def prepare(self, record: Record, tools: Mapping[str, Tool], timeline: Timeline) -> None:
        """Gain the foothold: the sandbox's own namespace, its service account, and Argo CD's types.

        Raises:
            UnavailableError: The user may not do it, the namespace is somebody else's, or the cluster does not answer.
        """
        owner, own = Owner(record.name, record.run_id), own_namespace(record.name)
        foothold = Foothold(record.kubeconfig, record.context, owner)
        foothold.check()
        known = _Mark.read(record.folder)
        if known is None:
            _Mark(record.run_id, record.kubeconfig, record.context).write(record.folder)
        note(record.folder, own)
        foothold.claim(own, OWN_RULES)
        context = self.context_of(record, tools)
        context.dir("pki")
        foothold.write_kubeconfig(context.pki("admin.kubeconfig"))
        foothold.write_kubeconfig(record.folder / "kubeconfig")
        if not foothold.has_types():
            bring_types(foothold.api, tools["argocd"], owner.labels)
        port = RegistryInCluster().node_port(context)
        _Mark(record.run_id, record.kubeconfig, record.context, port).write(record.folder)
        timeline.record("foothold", "ready", f"in namespace {own}, limited by Role gitops-sandbox: ./inv role shows it")

    def survey(self, name: str, context: str) -> str:
        """Say what the cluster of a context is, and as whom a sandbox would get into it; nothing is made.

        Raises:
            UsageError: There is no such context.
            UnavailableError: The cluster does not answer, or does not let the user do what a sandbox needs.
        """
        place = self.place(context)
        known = Record.load(name)
        run_id = known.run_id if known else ""
        foothold = Foothold(place["kubeconfig"], place["context"], Owner(name, run_id))
        foothold.check()
        version = foothold.api.request("GET", "/version")["gitVersion"]
        return f"Kubernetes {version}, {foothold.who()} may do all that a sandbox needs"

    def grants(self, name: str, context: str, namespaces: Sequence[str]) -> list[dict[str, Any]]:
        """Describe what an administrator has to apply for the user of a context, with Argo CD's types where none are.

        Args:
            name: What the sandbox is to be called.
            context: The context.
            namespaces: Those that Applications are to fill.

        Raises:
            UsageError: There is no such context.
            UnavailableError: The cluster does not answer.
        """
        place = self.place(context or None)
        foothold = Foothold(place["kubeconfig"], place["context"], Owner(name))
        types = [] if foothold.has_types() else types_of(ensure_tools(("argocd",))["argocd"], {})
        return [*types, *foothold.grants(namespaces)]

    def fixed_ports(self, record: Record) -> dict[str, int]:
        """Reach the registry here by the same port as nodes do."""
        mark = _Mark.read(record.folder)
        return {"registry": mark.registry} if mark and mark.registry else {}

    def context_of(self, record: Record, tools: Mapping[str, Tool]) -> Context:
        """Give the context of a sandbox, which is in its own namespace."""
        own = own_namespace(record.name)
        return replace(
            super().context_of(record, tools),
            argocd_namespace=own,
            own_namespace=own,
            inside={"git-server": git_inside(own)},
            within=tuple(noted(record.folder)) or (own,),
        )

    def home(self, record: Record, context: Context) -> ArgocdHome:
        """Give the namespace of the Argo CD that the sandbox brings."""
        return HomeInNamespace(context.argocd_namespace, owner=Owner(record.name, record.run_id))

    def access(self, record: Record, tools: Mapping[str, Tool]) -> Access:
        """Give the way into a sandbox, as its service account."""
        context = self.context_of(record, tools)
        return replace(
            super().access(record, tools),
            home=self.home(record, context),
            own_namespace=context.own_namespace,
            git_inside=f"http://{context.address_inside('git-server')}",
            pull_secret=PULL_SECRET,
            tenant_prefix=f"{record.name}-",
        )

    def namespaces(self, record: Record, context: Context) -> Namespaces:
        """Take those of the cluster's owner."""
        return GivenNamespaces(record.kubeconfig, record.context, context, self.home(record, context))

    def rest(self, record: Record) -> bool:
        """Have nothing of the sandbox's own namespace run; what Applications have made elsewhere runs on."""
        api, own = KubeApi(record.folder / "kubeconfig"), own_namespace(record.name)
        found = [item for version, kind in _WORKLOADS for item in api.list(version, kind, own)]
        running = [item for item in found if item["spec"].get("replicas", 1)]
        for item in running:
            api.merge(item["apiVersion"], item["kind"], item["metadata"]["name"], own, {"spec": {"replicas": 0}})
        return bool(running)

    def release(self, folder: Path, run_id: str | None) -> None:
        """Remove what the sandbox has made in the cluster.

        Raises:
            LeftBehindError: The cluster can't be reached, or something may not be removed; says what may be left.
        """
        mark = _Mark.read(folder)
        if mark is None:
            return
        owner, namespaces = Owner(folder.name, run_id or mark.run_id), noted(folder)
        try:
            foothold, deadline = Foothold(mark.kubeconfig, mark.context, owner), Deadline.after(_LEAVE_SECONDS)
            # First, while there is still somewhere for what they delete to be deleted.
            leave_host(foothold, folder, deadline)
            leave(foothold, namespaces, deadline)
        except SandboxError as error:
            own = f"delete namespace --selector {next(iter(owner.labels))}={folder.name}"
            commands = [
                f"kubectl --context {mark.context} {each}" for each in (ways_to_leave(folder, owner), own) if each
            ]
            raise LeftBehindError(
                f"the cluster of context {mark.context} may still hold something of sandbox {folder.name}",
                why=f"namespaces {', '.join(namespaces)}: {error.what}: {error.why}",
                hint=f"if that cluster is still there: {'; '.join(commands)}",
            ) from error


def _relay(context: Context) -> Observation:
    """Look whether the relay takes tunnels (chisel answers to a health check by itself)."""
    return http_ok(context.address("git-relay"), "/health")


def _argocd(context: Context) -> Observation:
    return http_ok(context.address("argocd-server"), "/healthz", authority=context.pki("argocd-ca.crt"))
