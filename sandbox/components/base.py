"""What a component is, and what it may use.

Adding one = adding one file here and one entry to an engine's list. The driver
(``sandbox.engines.driver``) orders components by what they require and does all the waiting.
"""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

from sandbox.core.conditions import Observation, State, met
from sandbox.core.files import make_private_dir, new_password, write_new_file
from sandbox.core.ports import LOOPBACK
from sandbox.core.processes import RUN_ID_VARIABLE, ProcessSpec
from sandbox.core.supervision import SupervisorClient
from sandbox.kube.api import KubeApi, shared_api
from sandbox.kube.watching import Watched
from sandbox.toolchain import Tool

__all__ = [
    "ARGOCD_NAMESPACE",
    "Component",
    "Context",
    "ProcessComponent",
    "RememberingProcess",
    "Secrets",
    "Stateful",
    "Watching",
    "tail_of",
]

ARGOCD_NAMESPACE = "argocd"
"""Where Argo CD is in a cluster that is the sandbox's own."""

_USUAL_LINE = 200  # bytes
_IMPORT_PATH = str(Path(__file__).resolve().parents[2])


class Secrets:
    """The passwords of one sandbox: a file each (0600), made at random when first asked for."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def file(self, name: str) -> Path:
        """Give the file that holds the secret, for programs that can read one."""
        path = self._folder / name
        if not path.exists():
            make_private_dir(self._folder)
            # Components start side by side and may ask for the same secret at the same moment.
            write_new_file(path, new_password())
        return path

    def value(self, name: str) -> str:
        """Give the secret itself."""
        return self.file(name).read_text()


@dataclass(frozen=True, slots=True)
class Context:
    """What a component works with.

    Attributes:
        name: The sandbox's name.
        run_id: Marks every process of this sandbox.
        folder: Its state folder.
        ports: Leased port numbers by purpose.
        tools: Verified programs by name.
        nodes: How many nodes the cluster has.
        supervisor: Runs the processes.
        ha: Whether it has Argo CD's HA variant.
        hosts: Where a server listens that does not listen on 127.0.0.1, by the purpose of its port.
        argocd_namespace: Where Argo CD and its Applications are.
        own_namespace: Where in the cluster the sandbox's own programs run.
        inside: ``host:port`` by which the cluster's pods reach a server that this machine reaches by another, by the
            purpose of its port.
        within: The only namespaces that the sandbox may look into; all of the cluster's when empty.
    """

    name: str
    run_id: str
    folder: Path
    ports: Mapping[str, int]
    tools: Mapping[str, Tool]
    nodes: int
    supervisor: SupervisorClient
    ha: bool = False
    hosts: Mapping[str, str] = field(default_factory=dict)
    argocd_namespace: str = ARGOCD_NAMESPACE
    own_namespace: str = ARGOCD_NAMESPACE
    inside: Mapping[str, str] = field(default_factory=dict)
    within: tuple[str, ...] = ()
    secrets: Secrets = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "secrets", Secrets(self.folder / "secrets"))

    def dir(self, *parts: str) -> Path:
        """Give a private folder of the sandbox, made if need be."""
        return make_private_dir(self.folder.joinpath(*parts))

    def pki(self, name: str) -> Path:
        """Give the path of a certificate, key or kubeconfig; see ``sandbox.components.pki``."""
        return self.folder / "pki" / name

    def api(self) -> KubeApi:
        """Give the sandbox's own view of its cluster, the same one to all of its components.

        Each of its own would read the certificates and shake hands anew with every look.

        Raises:
            UnavailableError: There is no cluster yet.
        """
        return shared_api(self.pki("admin.kubeconfig"))

    def host(self, purpose: str) -> str:
        """Give the address that the server of a leased port listens on."""
        return self.hosts.get(purpose, LOOPBACK)

    def address(self, purpose: str) -> str:
        """Give ``host:port`` of a leased port."""
        return f"{self.host(purpose)}:{self.ports[purpose]}"

    def address_inside(self, purpose: str) -> str:
        """Give ``host:port`` by which the cluster's pods reach the server of a leased port."""
        return self.inside.get(purpose) or self.address(purpose)

    def environment(self, component: str, **extra: str) -> dict[str, str]:
        """Make the whole environment of a process: nothing of the caller's leaks into it."""
        home = self.dir("run", component)
        return {
            "PATH": os.defpath if "/usr/bin" in os.defpath else "/usr/bin:/bin",
            "HOME": str(home),
            "TMPDIR": str(self.dir("run", component, "tmp")),
            "LANG": "C.UTF-8",
            # Where our own programs, run by `python`, are imported from.
            "PYTHONPATH": _IMPORT_PATH,
            RUN_ID_VARIABLE: self.run_id,
            **extra,
        }

    @staticmethod
    def python(module: str, *arguments: str | Path) -> tuple[str, ...]:
        """Give the argv of a program of our own."""
        return (sys.executable, "-P", "-m", module, *(str(word) for word in arguments))


class Component(Protocol):
    """One part of a sandbox."""

    @property
    def name(self) -> str:
        """What it is called, in `status` and in other components' requirements."""

    @property
    def requires(self) -> tuple[str, ...]:
        """The names of the components that must be ready before this one is ensured."""

    @property
    def ports(self) -> tuple[str, ...]:
        """What it needs leased ports for."""

    def ensure(self, context: Context) -> None:
        """Bring it into being; calling it again changes nothing."""

    def ready(self, context: Context) -> Observation:
        """Look whether it does its work."""

    def diagnose(self, context: Context, into: Path) -> None:
        """Put what helps to understand a failure into a folder; never a secret."""

    def remove(self, context: Context) -> None:
        """Take it away; nothing happens when it is absent."""


@runtime_checkable
class Stateful(Protocol):
    """A component that runs, so that ``status`` can say how it is, and ``logs`` what it said."""

    @property
    def name(self) -> str:
        """What it is called."""

    def state(self, context: Context) -> dict[str, Any]:
        """Say how it is, by looking: an entry of ``components`` in ``status --json``."""

    def tail(self, context: Context, lines: int) -> str:
        """Give the last lines of its log; empty when it has logged nothing."""


@runtime_checkable
class Watching(Protocol):
    """A component of which objects of the cluster tell how it is: it is looked at when they change."""

    def watched(self, context: Context) -> Sequence[Watched]:
        """Say which objects these are."""


def tail_of(log: Path, lines: int) -> str:
    """Give the last lines of a log file; empty when there is none yet.

    Read from its end, in steps that grow: a log may be far longer than anybody's screen.
    """
    try:
        size = log.stat().st_size
    except FileNotFoundError:
        return ""
    length = lines * _USUAL_LINE
    with log.open("rb") as file:
        while True:
            file.seek(max(0, size - length))
            text = file.read()
            # One line more than asked for, since the first is cut somewhere.
            if length >= size or text.count(b"\n") > lines:
                return "\n".join(text.decode(errors="replace").splitlines()[-lines:])
            length *= 4


class ProcessComponent:
    """A component that is one process under the supervisor."""

    name: str
    requires: tuple[str, ...] = ()
    ports: tuple[str, ...] = ()
    grace = 1.0

    def argv(self, context: Context) -> tuple[str, ...]:
        """Give the program and its arguments."""
        raise NotImplementedError

    def env(self, context: Context) -> dict[str, str]:
        """Give what the process needs beyond the common environment."""
        del context
        return {}

    def prepare(self, context: Context) -> None:
        """Write the files that the process reads."""

    def ready(self, context: Context) -> Observation:
        """Look whether the process does its work; the driver itself sees whether it runs."""
        del context
        return met("it runs")

    def ensure(self, context: Context) -> None:
        """Prepare its files and have the supervisor run it."""
        self.prepare(context)
        context.dir("logs")
        context.supervisor.ensure(
            ProcessSpec(
                name=self.name,
                argv=self.argv(context),
                env=context.environment(self.name, **self.env(context)),
                cwd=str(context.dir("run", self.name)),
                log=str(self.log(context)),
                grace=self.grace,
            )
        )

    def state(self, context: Context) -> dict[str, Any]:
        """Say how it is: what the supervisor knows, and what a look at it shows."""
        status = context.supervisor.components().get(self.name)
        state, seen = (status.state, "") if status else ("stopped", "")
        if state == "running":
            look = self.ready(context)
            state, seen = (state, "") if look.state is State.MET else ("unready", look.seen)
        return {
            "name": self.name,
            "state": state,
            "pid": status.pid if status else None,
            "log": str(self.log(context)),
            "restarts": status.restarts if status else 0,
            "last_exit": status.last_exit if status else None,
            "seen": seen,
        }

    def log(self, context: Context) -> Path:
        """Give the file that gets its output."""
        return context.folder / "logs" / f"{self.name}.log"

    def tail(self, context: Context, lines: int) -> str:
        """Give the last lines of its log."""
        return tail_of(self.log(context), lines)

    def diagnose(self, context: Context, into: Path) -> None:
        """Copy its log."""
        log = self.log(context)
        if log.exists():
            shutil.copyfile(log, into / log.name)

    def remove(self, context: Context) -> None:
        """Stop it."""
        context.supervisor.stop(self.name)


class RememberingProcess(ProcessComponent):
    """A process that acts on what it remembers of the cluster beside what it watches (sandbox.components.state)."""

    forgets_for_reset = False

    def pause(self, context: Context) -> None:
        """Stop it."""
        context.supervisor.stop(self.name)

    def resume(self, context: Context) -> None:
        """Have the supervisor run it again."""
        self.ensure(context)

    def is_back(self, context: Context) -> Observation:
        """It is back when it is ready."""
        return self.ready(context)
