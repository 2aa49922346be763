"""The embedded engine: the real programs as plain processes on loopback; no Docker, no root."""

from __future__ import annotations

import contextlib
import shutil
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from sandbox.components import argocd, git_server, kwok, registry
from sandbox.components.argocd_config import ADMIN_SECRET, ArgocdConfig
from sandbox.components.base import Component, Context, ProcessComponent
from sandbox.components.ci_runner import CiRunner
from sandbox.components.etcd import Etcd
from sandbox.components.kube_apiserver import Bootstrap, KubeApiserver, OpenApi
from sandbox.components.kube_controller_manager import KubeControllerManager
from sandbox.components.kube_scheduler import KubeScheduler
from sandbox.components.pki import Pki
from sandbox.components.redis import Redis
from sandbox.components.seed import Seed, apply_static, keep_seed, seed_folder
from sandbox.core.conditions import Deadline, State
from sandbox.core.errors import SandboxError, UnavailableError
from sandbox.core.files import make_private_dir
from sandbox.core.folders import cache_root
from sandbox.core.ports import LOOPBACK, is_free, lease_ports
from sandbox.core.processes import end_marked
from sandbox.core.supervision import Lease, SupervisorClient
from sandbox.core.timeline import Timeline
from sandbox.engines.access import Access, Account
from sandbox.engines.diagnostics import collect
from sandbox.engines.driver import bring_up, closure
from sandbox.engines.records import Record
from sandbox.toolchain import Tool, version_set

__all__ = [
    "CAPABILITIES",
    "TOOLS",
    "access",
    "bring",
    "component_states",
    "components",
    "context_of",
    "diagnose",
    "end",
]

CAPABILITIES = frozenset({"cluster", "argocd", "git", "registry", "pipeline"})
"""What a step may ask for here: no ``containers``, no ``network`` between pods."""

TOOLS = (
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
    "crane",
    "act",
    "go",
)

_PEOPLES_TOOLS = ("kubectl", "argocd", "kustomize", "crane")

_UP_SECONDS = 120.0
_SEED_SECONDS = 120.0
_END_SECONDS = 20.0


def components() -> list[Component]:
    """Give the parts of an embedded sandbox; the driver orders them."""
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
        CiRunner(),
        ArgocdConfig(),
        argocd.RepoServer(),
        argocd.ApplicationController(),
        argocd.ArgocdServer(),
        argocd.ApplicationSetController(),
        argocd.NotificationsController(),
    ]


def _ports_of(parts: Sequence[Component]) -> list[str]:
    return [port for part in parts for port in part.ports]


def context_of(record: Record, tools: dict[str, Tool]) -> Context:
    """Give the context of a sandbox, with the ports that it has or now gets."""
    ports = lease_ports(record.folder.parent, record.name, dict.fromkeys(_ports_of(components())))
    return Context(
        name=record.name,
        run_id=record.run_id,
        folder=record.folder,
        ports=ports,
        tools=tools,
        nodes=record.nodes,
        supervisor=SupervisorClient(record.folder),
    )


def bring(record: Record, tools: dict[str, Tool], timeline: Timeline) -> Access:
    """Bring a sandbox up, or bring back what is missing of it.

    Args:
        record: Which one.
        tools: Verified programs by name, all of ``TOOLS``.
        timeline: Gets what happens.

    Returns:
        The way into it.

    Raises:
        SandboxError: It can't be brought up; what was started by this call is ended again, and the
            error says where the diagnostics are.
    """
    _ensure_seed(tools, timeline)
    context = context_of(record, tools)
    _link_tools(context)
    with _supervised(context) as lease:
        try:
            bring_up(context, components(), Deadline.after(_UP_SECONDS), timeline)
        except SandboxError as error:
            error.hint = f"read {collect(context, components(), timeline)}"
            raise
        lease.keep()
    return access(record, tools)


def _link_tools(context: Context) -> None:
    """Put the programs that people use beside a sandbox into one folder, for their PATH."""
    folder = context.dir("bin")
    for name in _PEOPLES_TOOLS:
        link = folder / name
        link.unlink(missing_ok=True)
        link.symlink_to(context.tools[name].binary())


@contextlib.contextmanager
def _supervised(context: Context) -> Iterator[Lease]:
    """Give a running supervisor; one started here ends with everything unless the lease is kept."""
    if context.supervisor.process() is not None:
        yield Lease(None)
        return
    # What an earlier supervisor left when it was killed would hold the ports.
    end_marked(context.run_id, Deadline.after(_END_SECONDS))
    _check_ports(context)
    context.dir("logs")
    lease = context.supervisor.start(context.run_id)
    try:
        yield lease
    finally:
        lease.drop()


def _check_ports(context: Context) -> None:
    for purpose, port in context.ports.items():
        if not is_free(port):
            raise UnavailableError(
                f"port {port} on {LOOPBACK}, which sandbox {context.name} uses for {purpose}, is in use",
                why="another program listens on it; the port stands in the sandbox's Git, so it can't be changed",
                hint=f"see who it is: ss -ltnp 'sport = :{port}'; or start afresh: down --name {context.name}",
            )


def _ensure_seed(tools: dict[str, Tool], timeline: Timeline) -> None:
    """Make the seed of this version set, once for all sandboxes of this user."""
    if seed_folder(tools["argocd"]).exists():
        return
    timeline.record("seed", "starting", "made once for each set of versions")
    root = make_private_dir(cache_root() / "seeds")
    folder = Path(tempfile.mkdtemp(dir=root, prefix=".making."))
    record = Record("seed", "embedded", f"seed-{folder.name[-8:]}", nodes=1, created=0.0, versions=version_set())
    parts = closure(components(), ["etcd", "kube-controller-manager", "nodes", "kwok"])
    try:
        context = Context(
            name=record.name,
            run_id=record.run_id,
            folder=folder,
            ports=lease_ports(folder, record.name, dict.fromkeys(_ports_of(parts))),
            tools=tools,
            nodes=record.nodes,
            supervisor=SupervisorClient(folder),
        )
        with _supervised(context):
            deadline = Deadline.after(_SEED_SECONDS)
            bring_up(context, closure(parts, ["etcd", "kube-controller-manager"]), deadline, Timeline())
            apply_static(context)
            bring_up(context, parts, deadline, Timeline())
            context.supervisor.stop("kwok", "kube-controller-manager", "kube-apiserver")
            context.supervisor.stop("etcd")
        keep_seed(context)
    finally:
        SupervisorClient(folder).end(record.run_id, Deadline.after(_END_SECONDS))
        shutil.rmtree(folder, ignore_errors=True)
    timeline.record("seed", "ready")


def end(folder: Path, run_id: str | None) -> None:
    """End everything that a sandbox started.

    Args:
        folder: Its state folder.
        run_id: Its mark; when its record is lost, what its running supervisor says is taken.

    Raises:
        DeadlineError: Something could not be ended.
    """
    supervisor = SupervisorClient(folder)
    run_id = run_id or supervisor.run_id()
    if run_id is not None:
        supervisor.end(run_id, Deadline.after(_END_SECONDS))
    argocd.end_gpg_agent(folder)


def access(record: Record, tools: dict[str, Tool]) -> Access:
    """Give the way into a sandbox; ``tools`` may be empty where no program is to be run."""
    context = context_of(record, tools)
    secrets = context.secrets
    return Access(
        name=record.name,
        engine=record.engine,
        capabilities=CAPABILITIES,
        folder=record.folder,
        kubeconfig=record.folder / "kubeconfig",
        git=Account(
            f"http://{context.address('git-server')}",
            git_server.DEVELOPER_USER,
            secrets.file(git_server.DEVELOPER_SECRET),
        ),
        registry=Account(f"http://{context.address('registry')}", registry.USER, secrets.file(registry.SECRET)),
        argocd=Account(f"https://{context.address('argocd-server')}", "admin", secrets.file(ADMIN_SECRET)),
        argocd_ca=context.pki("argocd-ca.crt"),
        repositories=git_server.repositories_root(record.folder),
        runs=record.folder / "ci",
        tools=context.tools,
    )


def diagnose(record: Record, timeline: Timeline) -> Path:
    """Put what helps to understand a failure into a folder, and return it."""
    return collect(context_of(record, {}), components(), timeline)


def component_states(record: Record) -> list[dict[str, Any]]:
    """Say of each process how it is: what the supervisor knows, and what a look at it shows."""
    context = context_of(record, {})
    known = context.supervisor.components()
    states = []
    for part in components():
        if not isinstance(part, ProcessComponent):
            continue
        status = known.get(part.name)
        state, seen = (status.state, "") if status else ("stopped", "")
        if state == "running":
            look = part.ready(context)
            state, seen = (state, "") if look.state is State.MET else ("unready", look.seen)
        states.append(
            {
                "name": part.name,
                "state": state,
                "pid": status.pid if status else None,
                "log": str(part.log(context)),
                "restarts": status.restarts if status else 0,
                "last_exit": status.last_exit if status else None,
                "seen": seen,
            }
        )
    return states
