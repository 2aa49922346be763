"""A component that is one container of the host's Docker, labelled as its sandbox's."""

from __future__ import annotations

import contextlib
import threading
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from sandbox.components.base import Context
from sandbox.containers.described import Container, ContainerOptions, Owner
from sandbox.containers.docker import Docker, connect
from sandbox.core.conditions import Deadline, Observation, State, failed, met, pending, wait_for
from sandbox.core.errors import SandboxError, UnavailableError
from sandbox.core.files import write_file

__all__ = [
    "ContainerComponent",
    "check_ours",
    "container_name",
    "end_making",
    "making",
    "network_name",
    "owner_of",
    "remove_ours",
    "state_of",
]

_LOG_LINES = 2000


def owner_of(context: Context) -> Owner:
    """Say whose a container of this sandbox is."""
    return Owner(context.name, context.run_id)


def network_name(sandbox: str) -> str:
    """Give the name of a sandbox's network."""
    return f"gitops-sandbox-{sandbox}"


def container_name(sandbox: str, component: str) -> str:
    """Give the name of a container of a sandbox."""
    return f"gitops-sandbox-{sandbox}-{component}"


def check_ours(container: Container, owner: Owner) -> None:
    """Refuse what something else has made under a name that a sandbox needs.

    Raises:
        UnavailableError: The container carries other labels.
    """
    if not owner.labels.items() <= container.labels.items():
        raise UnavailableError(
            f"there is a container {container.name} already, which is not of this sandbox",
            why="it does not carry the sandbox's labels, so it is neither used nor removed",
            hint=f"see what it is: docker inspect {container.name}; or choose another --name",
        )


def remove_ours(docker: Docker, name: str, owner: Owner) -> None:
    """Remove a container of this sandbox; one of that name that is something else's is left alone."""
    found = docker.container(name)
    if found is not None and owner.labels.items() <= found.labels.items():
        docker.remove(name)


class _Workshop:
    """What threads of this process are making in Docker, by the run id of the sandbox.

    An interrupted ``up`` takes away what it has made while its threads still end: none of them may
    make something after that.
    """

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.at_work: Counter[str] = Counter()
        self.closed: set[str] = set()


_WORKSHOP = _Workshop()


@contextlib.contextmanager
def making(context: Context) -> Iterator[None]:
    """Make something in Docker for a sandbox, unless it is being taken away.

    Raises:
        UnavailableError: It is.
    """
    with _WORKSHOP.lock:
        if context.run_id in _WORKSHOP.closed:
            raise UnavailableError(f"sandbox {context.name} is being taken down")
        _WORKSHOP.at_work[context.run_id] += 1
    try:
        yield
    finally:
        with _WORKSHOP.lock:
            _WORKSHOP.at_work[context.run_id] -= 1


def end_making(run_id: str, deadline: Deadline) -> None:
    """Have no thread of this process make anything more for a sandbox, and wait for those that do.

    Raises:
        DeadlineError: One did not end in time.
    """
    with _WORKSHOP.lock:
        _WORKSHOP.closed.add(run_id)

    def ended() -> Observation:
        return pending("containers are being made") if _WORKSHOP.at_work[run_id] else met("nothing is being made")

    wait_for(ended, deadline, wanted="what was begun in Docker to end")


def state_of(name: str, container: Container | None, seen: Observation, log: Path | None = None) -> dict[str, Any]:
    """Describe a container for ``status --json``; ``log`` is the file that holds its log, where one does."""
    running = container is not None and container.state == "running"
    well = running and seen.state is State.MET
    return {
        "name": name,
        "state": "running" if well else "unready" if running else "stopped",
        "container": container.id if container else None,
        "log": str(log or ""),
        "restarts": 0,
        "last_exit": None,
        "seen": "" if well else seen.seen,
    }


class ContainerComponent:
    """What all of them share."""

    name: str
    requires: tuple[str, ...] = ()
    ports: tuple[str, ...] = ()

    def options(self, context: Context) -> ContainerOptions:
        """Say what is run."""
        raise NotImplementedError

    def prepare(self, context: Context, docker: Docker) -> None:
        """Make what the container is given."""

    def answers(self, context: Context) -> Observation:
        """Look whether the container does its work; that it runs is known."""
        del context
        return met("it runs")

    def ensure(self, context: Context) -> None:
        """Run it; one that was stopped is started again.

        Raises:
            UnavailableError: Its name is taken by a container of something else.
        """
        with making(context), connect() as docker:
            self.prepare(context, docker)
            found = docker.container(container_name(context.name, self.name))
            if found is None:
                docker.run(self.options(context), owner_of(context))
                return
            check_ours(found, owner_of(context))
            if found.state != "running":
                docker.start(found.name)

    def ready(self, context: Context) -> Observation:
        """It is ready when it runs and does its work."""
        with connect() as docker:
            found = docker.container(container_name(context.name, self.name))
        if found is None:
            return failed("somebody has removed its container")
        if found.state != "running":
            return pending(f"its container is {found.state}")
        return self.answers(context)

    def state(self, context: Context) -> dict[str, Any]:
        """Say how it is, for ``status``."""
        found: Container | None = None
        try:
            with connect() as docker:
                found = docker.container(container_name(context.name, self.name))
            seen = self.answers(context) if found else pending("there is no such container")
        except SandboxError as error:
            seen = pending(f"{error.what}: {error.why}")
        return state_of(self.name, found, seen)

    def tail(self, context: Context, lines: int) -> str:
        """Ask Docker for the last lines of its log."""
        with connect() as docker:
            return docker.logs(container_name(context.name, self.name), lines=lines)

    def diagnose(self, context: Context, into: Path) -> None:
        """Take the end of its log."""
        write_file(into / f"{self.name}.log", self.tail(context, _LOG_LINES))

    def remove(self, context: Context) -> None:
        """Remove the container."""
        with connect() as docker:
            remove_ours(docker, container_name(context.name, self.name), owner_of(context))
