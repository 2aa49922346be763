"""What every engine does alike: bring a sandbox's components up, look at them, end what it started.

An engine says of what a sandbox consists there and what has to be made once for all sandboxes;
adding one = adding one file beside this one and one entry to ``sandbox.engines.options``.
"""

from __future__ import annotations

import contextlib
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar

from sandbox.components import git_server, registry
from sandbox.components.argocd.config import ADMIN_SECRET
from sandbox.components.base import Component, Context, ProcessComponent, Stateful
from sandbox.components.cluster_state import etcd_of
from sandbox.components.namespaces import Namespaces, OwnNamespaces
from sandbox.components.written import Written
from sandbox.core.conditions import Deadline
from sandbox.core.errors import SandboxError, UnavailableError, UsageError
from sandbox.core.names import check_choice
from sandbox.core.ports import claimed, is_free, lease_ports
from sandbox.core.processes import end_marked
from sandbox.core.supervision import Lease, SupervisorClient
from sandbox.core.timeline import Timeline
from sandbox.engines.access import Access, Account
from sandbox.engines.diagnostics import collect
from sandbox.engines.driver import bring_up
from sandbox.engines.records import Record, Shape
from sandbox.engines.snapshots import Snapshots
from sandbox.toolchain import Progress, Tool, ensure_tools

__all__ = ["ARGOCD_SETTINGS", "SNAPSHOTS", "WHOLE_CLUSTER", "Engine", "LeftBehindError", "ports_of", "supervised"]

SNAPSHOTS = "snapshots"
"""The capability of an engine whose sandboxes can be put back to an earlier moment."""

WHOLE_CLUSTER = "whole-cluster"
"""The capability of one whose sandboxes have a cluster of their own."""

ARGOCD_SETTINGS = "argocd-settings"
"""The capability of one whose Argo CD is the sandbox's: its settings and secrets may be changed."""

_PEOPLES_TOOLS = ("kubectl", "argocd", "kustomize", "crane")
_CLAIM_SECONDS = 5.0  # whoever only looks for free ports has one for a millisecond
_END_SECONDS = 20.0


class LeftBehindError(UnavailableError):
    """A sandbox has ended here, and elsewhere something of it may be left that can't be reached from here now."""


class Engine(ABC):
    """Where sandboxes live.

    Attributes:
        name: What it is called on the command line.
        summary: What it is, for people.
        capabilities: What a step may ask for here.
        tools: The programs that it needs, by their names in versions.toml.
        up_seconds: How long the components may take together to come up.
        most_nodes: How many nodes a cluster may have.
        receiver: Who is told of pushes for Argo CD.
    """

    name: ClassVar[str]
    summary: ClassVar[str]
    capabilities: ClassVar[frozenset[str]]
    tools: ClassVar[tuple[str, ...]]
    up_seconds: ClassVar[float]
    most_nodes: ClassVar[int]
    receiver: ClassVar[git_server.Receiver] = git_server.ARGOCD_SERVER

    @abstractmethod
    def components(self) -> list[Component]:
        """Give the parts of a sandbox; the driver orders them."""

    @abstractmethod
    def prepare(self, record: Record, tools: Mapping[str, Tool], timeline: Timeline) -> None:
        """Make what must be there before any component: what all sandboxes share, and where this one is to live.

        Raises:
            SandboxError: It can't be made; names what is missing on this machine.
        """

    def check_shape(self, wanted: Shape, known: Shape | None) -> None:
        """Refuse what a sandbox can't be here, before anything is made or changed for it.

        Args:
            wanted: What is asked for.
            known: What the sandbox is; None where there is none yet.

        Raises:
            UsageError: It can't be; says why.
        """
        del known
        if wanted.nodes > self.most_nodes:
            raise UsageError(
                f"a cluster of the engine {self.name} can't have {wanted.nodes} nodes",
                why=f"1 to {self.most_nodes} are possible",
                hint="--nodes 3",
            )
        if wanted.ha:
            raise UsageError(
                f"the engine {self.name} does not have Argo CD's HA variant",
                why="it is made of pods that run, on nodes that can fail",
                hint="--engine kind --ha",
            )

    def why_no_moments(self, record: Record) -> str:
        """Say why a sandbox can't be put back to an earlier moment; empty when it can."""
        del record
        return "" if SNAPSHOTS in self.capabilities else f"the engine {self.name} does not keep any"

    def fetch(self, provider: str | None, progress: Progress) -> None:
        """Fetch or make what takes long, once for all sandboxes; the long part of a first ``up``.

        Args:
            provider: The only source of tools to use; all in turn when None.
            progress: Told about what has to be made.

        Raises:
            UnavailableError: Something can't be had from any source; names each and the reason.
        """
        ensure_tools(self.tools, provider=provider, progress=progress)

    def place(self, context: str | None) -> dict[str, str]:
        """Say where a new sandbox lives, as fields of its record.

        Args:
            context: The context of the user's kubeconfig that was named; None when none was.

        Raises:
            UsageError: This engine needs none, or can't find that one.
        """
        if context is not None:
            raise UsageError(
                f"the engine {self.name} makes a cluster of its own",
                why="--context says in which cluster that is there already a sandbox is to live",
                hint=f"--engine cluster --context {context}, or leave --context out",
            )
        return {}

    def fixed_ports(self, record: Record) -> dict[str, int]:
        """Say which ports of a sandbox are not to be chosen: purpose to number."""
        del record
        return {}

    def hosts(self, record: Record) -> dict[str, str]:
        """Say which servers of a sandbox listen elsewhere than on 127.0.0.1: purpose of the port to address."""
        del record
        return {}

    def release(self, folder: Path, run_id: str | None) -> None:
        """End what the supervisor can't: whatever an engine has started outside of it.

        Args:
            folder: The sandbox's state folder.
            run_id: Its mark; None when it is lost.
        """
        del folder, run_id

    def rest(self, record: Record) -> bool:
        """Stop for a while what the supervisor can't, so that ``bring`` starts it again with all that it holds.

        Returns:
            Whether anything of it ran.
        """
        del record
        return False

    def context_of(self, record: Record, tools: Mapping[str, Tool]) -> Context:
        """Give the context of a sandbox, with the ports that it has or now gets."""
        ports = lease_ports(
            record.folder.parent, record.name, dict.fromkeys(ports_of(self.components())), self.fixed_ports(record)
        )
        return Context(
            name=record.name,
            run_id=record.run_id,
            folder=record.folder,
            ports=ports,
            tools=tools,
            nodes=record.nodes,
            ha=record.ha,
            supervisor=SupervisorClient(record.folder),
            hosts=self.hosts(record),
        )

    def bring(self, record: Record, tools: Mapping[str, Tool], timeline: Timeline) -> Access:
        """Bring a sandbox up, or bring back what is missing of it.

        Args:
            record: Which one.
            tools: Verified programs by name, all of ``tools``.
            timeline: Gets what happens.

        Returns:
            The way into it.

        Raises:
            SandboxError: It can't be brought up; what was started by this call is ended again, and the
                error says where the diagnostics are.
        """
        self.prepare(record, tools, timeline)
        context = self.context_of(record, tools)
        _link_tools(context)
        components = self.components()
        moments = Snapshots(context, components)
        if (refused := self.why_no_moments(record)) and moments.broken_off is not None:
            raise UsageError(
                f"sandbox {record.name} was on its way back to an earlier moment, which can't be finished so",
                why=refused,
                hint=f"up --name {record.name} finishes it; ask for another shape after that",
            )
        with supervised(context, components) as lease:
            try:
                bring_up(context, components, Deadline.after(self.up_seconds), timeline)
            except SandboxError as error:
                error.hint = f"read {collect(context, components, timeline)}"
                raise
            if not refused:
                self._see_to_moments(record, moments, timeline)
            lease.keep()
        return self.access(record, tools)

    @staticmethod
    def _see_to_moments(record: Record, snapshots: Snapshots, timeline: Timeline) -> None:
        """Keep the clean state of a sandbox that is new, or whose cluster is; finish a way back that was broken off."""
        if not record.ready or snapshots.outlived_by_clean:
            snapshots.keep_clean()
        if (name := snapshots.finish()) is not None:
            timeline.record("snapshots", "ready", f"finished going back to {name}, which had been broken off")

    def halt(self, record: Record) -> bool:
        """Stop all that runs of a sandbox and keep what it holds; ``bring`` brings it back.

        Returns:
            Whether anything of it ran.

        Raises:
            DeadlineError: Something could not be ended.
            UnavailableError: What runs it does not answer.
        """
        supervisor = SupervisorClient(record.folder)
        ran = supervisor.process() is not None
        supervisor.end(record.run_id, Deadline.after(_END_SECONDS))
        return self.rest(record) or ran

    def end(self, folder: Path, run_id: str | None) -> None:
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
        self.release(folder, run_id)

    def access(self, record: Record, tools: Mapping[str, Tool]) -> Access:
        """Give the way into a sandbox; ``tools`` may be empty where no program is to be run."""
        context = self.context_of(record, tools)
        secrets = context.secrets
        return Access(
            name=record.name,
            engine=record.engine,
            capabilities=self.capabilities,
            folder=record.folder,
            kubeconfig=record.folder / "kubeconfig",
            git=Account(
                f"http://{context.address('git-server')}",
                git_server.DEVELOPER_USER,
                secrets.file(git_server.DEVELOPER_SECRET),
            ),
            registry=Account(f"http://{context.address('registry')}", registry.USER, secrets.file(registry.SECRET)),
            argocd_account=self.argocd_account(context),
            # In this order: what CI is told of comes by plain HTTP too.
            receivers={self.receiver.url(context): "Argo CD", "http:": "the CI runner"},
            argocd_ca=context.pki("argocd-ca.crt"),
            repositories=git_server.repositories_root(record.folder),
            runs=record.folder / "ci",
            tools=context.tools,
            namespaces=self.namespaces(record, context),
        )

    def namespaces(self, record: Record, context: Context) -> Namespaces:
        """Say who gives stories their namespaces."""
        del record
        return OwnNamespaces(Written(etcd_of(context)))

    def argocd_account(self, context: Context) -> Account | None:
        """Give the administrator's account of Argo CD; None where there is none for the sandbox."""
        url = f"https://{context.address('argocd-server')}"
        return Account(url, "admin", context.secrets.file(ADMIN_SECRET))

    def diagnose(self, record: Record, timeline: Timeline) -> Path:
        """Put what helps to understand a failure into a folder, and return it."""
        return collect(self.context_of(record, {}), self.components(), timeline)

    def log(self, record: Record, component: str, lines: int) -> str:
        """Give the end of what a part that runs has logged, wherever it logs.

        Args:
            record: Which sandbox.
            component: The part's name.
            lines: How many lines at most, of each of its programs.

        Raises:
            UsageError: No part of that name runs.
            UnavailableError: It can't be had; says why.
        """
        parts = {part.name: part for part in self.components() if isinstance(part, Stateful)}
        return parts[check_choice("component", component, parts, listing="logs")].tail(
            self.context_of(record, {}), lines
        )

    def component_states(self, record: Record) -> list[dict[str, Any]]:
        """Say of each part that runs how it is, by looking."""
        context = self.context_of(record, {})
        return [part.state(context) for part in self.components() if isinstance(part, Stateful)]


def ports_of(parts: Sequence[Component]) -> list[str]:
    """Give what the components need ports for."""
    return [port for part in parts for port in part.ports]


def _link_tools(context: Context) -> None:
    """Put the programs that people use beside a sandbox into one folder, for their PATH."""
    folder = context.dir("bin")
    for name in _PEOPLES_TOOLS:
        link = folder / name
        link.unlink(missing_ok=True)
        link.symlink_to(context.tools[name].binary())


@contextlib.contextmanager
def supervised(context: Context, components: Sequence[Component]) -> Iterator[Lease]:
    """Give a running supervisor; one started here ends with everything unless the lease is kept.

    Raises:
        DeadlineError: A sandbox of somebody else is coming up at its ports.
        UnavailableError: A port that one of the components needs is in use by something else.
    """
    if context.supervisor.process() is not None:
        yield Lease(None)
        return
    # What an earlier supervisor left when it was killed would hold the ports.
    end_marked(context.run_id, Deadline.after(_END_SECONDS))
    with claimed(context.ports.values(), Deadline.after(_CLAIM_SECONDS)):
        _check_ports(context, [part for part in components if isinstance(part, ProcessComponent)])
        context.dir("logs")
        lease = context.supervisor.start(context.run_id)
        try:
            yield lease
        finally:
            lease.drop()


def _check_ports(context: Context, processes: Sequence[Component]) -> None:
    for purpose in ports_of(processes):
        port, host = context.ports[purpose], context.host(purpose)
        if not is_free(port, host):
            raise UnavailableError(
                f"port {port} on {host}, which sandbox {context.name} uses for {purpose}, is in use",
                why="another program listens on it; the port stands in the sandbox's Git, so it can't be changed",
                hint=f"see who it is: ss -ltnp 'sport = :{port}'; or start afresh: down --name {context.name}",
            )
