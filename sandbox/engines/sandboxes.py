"""Sandboxes as the verbs see them: bring one up, look at it, take it down."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

from sandbox.components.argocd.home import HomeNames
from sandbox.core.conditions import Deadline
from sandbox.core.errors import SandboxError, UsageError
from sandbox.core.files import make_private_dir, remove_tree
from sandbox.core.folders import sandbox_dir, state_root
from sandbox.core.locks import Mode, locked
from sandbox.core.names import check_choice, check_sandbox_name
from sandbox.core.ports import release_ports
from sandbox.core.timeline import Timeline
from sandbox.engines import kubeconfig
from sandbox.engines.access import Access
from sandbox.engines.cluster import Cluster
from sandbox.engines.cluster_guest import ClusterGuest
from sandbox.engines.engine import Engine, LeftBehindError
from sandbox.engines.options import DEFAULT_ENGINE, ENGINES, UpOptions, engine_at
from sandbox.engines.records import Record, exclusive, known_names, lock_of
from sandbox.servers.repositories import list_repositories
from sandbox.toolchain import ensure_tools, version_set

__all__ = [
    "DEFAULT_ENGINE",
    "ENGINES",
    "UpOptions",
    "access",
    "diagnose",
    "down",
    "down_all",
    "engine_for",
    "engine_of",
    "grants",
    "known_names",
    "log",
    "start",
    "status",
    "stop",
    "stop_all",
    "telling",
    "untold",
    "up",
]

_WAIT_SECONDS = 300.0
_UNTOLD_SECONDS = 30.0


def engine_for(name: str, options: UpOptions) -> Engine:
    """Give the engine on which ``up`` would bring a sandbox up: the one that it has, else the one asked for.

    Raises:
        UsageError: The name, the engine or the shape can't be, or the sandbox lives on another engine.
    """
    check_sandbox_name(name)
    if options.engine:
        check_choice("engine", options.engine, ENGINES)
    record = Record.load(name)
    if record is None:
        engine = engine_at(options.engine or DEFAULT_ENGINE, options.argocd or "")
        engine.place(options.context)
        engine.check_shape(options.shape(None), None)
        return engine
    _check_stays(record, options)
    return _engine_of(record)


def _check_stays(record: Record, options: UpOptions) -> None:
    if options.engine not in (None, record.engine):
        raise UsageError(
            f"sandbox {record.name} lives on the engine {record.engine}",
            hint=f"down --name {record.name} first, or choose another name",
        )
    if options.context not in (None, record.context):
        where = f"the cluster of context {record.context}" if record.context else "a cluster of its own"
        raise UsageError(
            f"sandbox {record.name} lives in {where}",
            hint=f"down --name {record.name} first, or choose another name",
        )
    if options.argocd not in (None, record.argocd):
        whose = f"the Argo CD in namespace {record.argocd}" if record.argocd else "an Argo CD of its own"
        raise UsageError(
            f"sandbox {record.name} uses {whose}",
            hint=f"down --name {record.name} first, or choose another name",
        )
    _engine_of(record).check_shape(options.shape(record), record.shape if record.ready else None)


def up(
    name: str,
    options: UpOptions,
    timeline: Timeline,
    on_wait: Callable[[], None] = lambda: None,
) -> Access:
    """Bring a sandbox up; one that runs is repaired where something is missing, a stopped one is started.

    Args:
        name: The sandbox's name.
        options: What is asked for.
        timeline: Gets what happens.
        on_wait: Called when another verb holds this sandbox.

    Raises:
        SandboxError: It can't be brought up; a sandbox that was new leaves nothing but its diagnostics.
    """
    wanted = engine_for(name, options)
    if options.merge_kubeconfig:
        kubeconfig.check_mergeable(name, sandbox_dir(name))
    with exclusive(name, seconds=_WAIT_SECONDS, on_wait=on_wait):
        record = Record.load(name)
        if record is None:
            new, place = options.shape(None), wanted.place(options.context)
            record = Record.new(name, wanted.name, new.nodes, ha=new.ha, argocd=options.argocd or "", **place)
        # Another `up` may have made it while this one waited.
        _check_stays(record, options)
        if record.versions != version_set():
            raise UsageError(
                f"sandbox {name} was made with other versions of the tools",
                why="its data can't be carried over",
                hint=f"down --name {name}, then up again",
            )
        record = record.with_shape(options.shape(record))
        engine = _engine_of(record)
        try:
            way = engine.bring(record, ensure_tools(engine.tools, provider=options.provider), timeline)
        except BaseException:
            if not record.ready:
                _remove(record.name, record)
            raise
        record.completed()
        if options.merge_kubeconfig or kubeconfig.merged(record.folder):
            kubeconfig.merge(name, record.folder)
        return way


def start(name: str, timeline: Timeline, on_wait: Callable[[], None] = lambda: None) -> Access:
    """Bring a stopped sandbox back with all that it holds; one that runs is repaired.

    Raises:
        UsageError: There is no such sandbox.
        SandboxError: It can't be brought up; it stays as it is.
    """
    _existing(name)
    return up(name, UpOptions(), timeline, on_wait)


def stop(name: str, on_wait: Callable[[], None] = lambda: None) -> bool:
    """End everything that runs of a sandbox and keep what it holds.

    Returns:
        Whether anything of it ran.

    Raises:
        UsageError: There is no such sandbox.
        SandboxError: Something of it could not be ended.
    """
    _existing(name)
    with exclusive(name, seconds=_WAIT_SECONDS, on_wait=on_wait):
        record = _existing(name)
        return _engine_of(record).halt(record)


def stop_all() -> list[str]:
    """Stop every sandbox of this user; return the names of those of which something ran.

    Raises:
        SandboxError: Some could not be stopped; the others were.
    """
    return _of_each(known_names(), stop)


def _existing(name: str) -> Record:
    check_sandbox_name(name)
    record = Record.load(name)
    if record is None:
        others = ", ".join(known_names())
        raise UsageError(
            f"there is no sandbox {name!r}",
            why=f"there are: {others}" if others else "there is none",
            hint=f"up --name {name}",
        )
    return record


def _engine_of(record: Record) -> Engine:
    if record.engine not in ENGINES:
        raise UsageError(
            f"sandbox {record.name} lives on the engine {record.engine}, which this version does not know",
            hint=f"take it down with the version that made it: down --name {record.name}",
        )
    return engine_at(record.engine, record.argocd)


def engine_of(name: str) -> Engine:
    """Give the engine on which a sandbox lives.

    Raises:
        UsageError: There is no such sandbox.
    """
    return _engine_of(_existing(name))


def access(name: str) -> Access:
    """Give the way into a sandbox.

    Raises:
        UsageError: There is no such sandbox.
    """
    record = _existing(name)
    engine = _engine_of(record)
    return engine.access(record, ensure_tools(engine.tools))


def status(name: str) -> dict[str, Any]:
    """Say how a sandbox is, by looking: the contract of ``status --json``.

    Raises:
        UsageError: There is no such sandbox.
    """
    record = _existing(name)
    engine = _engine_of(record)
    way = engine.access(record, {})
    components = engine.component_states(record)
    running = [component["state"] == "running" for component in components]
    state = "up" if all(running) else "partial" if any(running) else "down"
    return {
        **way.to_json(list_repositories(way.repositories)),
        "merged_kubeconfig": known.to_json() if (known := kubeconfig.merged(record.folder)) else None,
        "state": state,
        "components": components,
    }


def grants(
    name: str, context: str, namespaces: Sequence[str], argocd: str = "", names: Sequence[HomeNames] = ()
) -> list[dict[str, Any]]:
    """Describe what an administrator has to apply so that a user can have a sandbox in a cluster.

    Args:
        name: What the sandbox is to be called.
        context: The context of the user's kubeconfig.
        namespaces: Those that its Applications are to fill.
        argocd: The namespace of the Argo CD that it is to use; empty where it brings its own.
        names: What each story makes in that namespace.

    Raises:
        UsageError: There is no such context.
        UnavailableError: The cluster does not answer.
    """
    made = Cluster().grants(check_sandbox_name(name), context, namespaces)
    return [*made, *ClusterGuest().host_grants(name, context, argocd, names)] if argocd else made


def log(name: str, component: str, lines: int) -> str:
    """Give the last lines of a component's log, wherever its engine keeps it.

    Raises:
        UsageError: There is no such sandbox or component.
        UnavailableError: The log can't be had; says why.
    """
    record = _existing(name)
    return _engine_of(record).log(record, component, lines)


def down(name: str, on_wait: Callable[[], None] = lambda: None) -> bool:
    """End a sandbox and remove its state; works whatever became of it.

    Returns:
        Whether there was one.

    Raises:
        SandboxError: Something of it could not be ended or removed.
    """
    check_sandbox_name(name)
    if not sandbox_dir(name).exists():
        return False
    with exclusive(name, seconds=_WAIT_SECONDS, on_wait=on_wait):
        if not sandbox_dir(name).exists():
            # Another `down` was at it while this one waited.
            return False
        try:
            record = Record.load(name)
        except UsageError:
            # Its record is damaged: the supervisor's own, or nothing at all, says what to end.
            record = None
        _remove(name, record)
    return True


def down_all() -> list[str]:
    """End every sandbox of this user; return their names.

    Raises:
        SandboxError: Some could not be ended; the others were.
    """
    return _of_each(known_names(), down)


def _of_each(names: list[str], act: Callable[[str], bool]) -> list[str]:
    """Do something to each sandbox, whatever becomes of the others; give those to which it was done.

    Raises:
        SandboxError: The first that failed.
    """
    done, first = [], None
    for name in names:
        try:
            done += [name] if act(name) else []
        except SandboxError as error:
            first = first or error
    if first is not None:
        raise first
    return done


@contextlib.contextmanager
def telling(name: str, tenant: str, *, beside: Mode = Mode.SHARED) -> Iterator[None]:
    """Hold a tenant's names for one story at a time: a second telling waits.

    Args:
        name: The sandbox.
        tenant: The prefix of all names that the story uses.
        beside: Whether stories of other tenants may be told meanwhile; not while something is broken that
            they share.

    Raises:
        UsageError: There is no such sandbox.
        DeadlineError: Another one did not end in time.
    """
    folder = make_private_dir(_existing(name).folder / "telling")
    deadline = Deadline.after(_WAIT_SECONDS)
    others = "another story is told in this sandbox"
    with (
        locked(folder / f"{tenant}.lock", Mode.ALONE, deadline, wanted=f"tenant {tenant} to be free", held=others),
        locked(folder / ".all.lock", beside, deadline, wanted=f"sandbox {name} to be free for it", held=others),
    ):
        yield


@contextlib.contextmanager
def untold(name: str, on_wait: Callable[[], None] = lambda: None) -> Iterator[None]:
    """Hold a sandbox while no story is told in it: one that is being told is waited for.

    Raises:
        UsageError: There is no such sandbox.
        DeadlineError: A story did not end in time.
    """
    folder = make_private_dir(_existing(name).folder / "telling")
    with locked(
        folder / ".all.lock",
        Mode.ALONE,
        Deadline.after(_UNTOLD_SECONDS),
        wanted=f"the stories in sandbox {name} to end",
        held="a story is told in this sandbox",
        hint="end it, or wait until it has ended",
        on_wait=on_wait,
    ):
        yield


def diagnose(name: str) -> Path:
    """Put everything that helps to understand a failure into a folder, and return it."""
    record = _existing(name)
    return _engine_of(record).diagnose(record, Timeline())


def _remove(name: str, record: Record | None) -> None:
    folder = sandbox_dir(name)
    # Where the record is lost, so is the engine: each ends what it finds of this folder.
    left = None
    for engine in [_engine_of(record)] if record else ENGINES.values():
        try:
            engine.end(folder, record.run_id if record else None)
        except LeftBehindError as error:
            # What is here goes all the same: a cluster that is gone would otherwise keep its sandbox for ever.
            left = error
    # Before the folder goes: what is noted there says which entries are ours.
    kubeconfig.unmerge(folder)
    remove_tree(folder)
    release_ports(state_root(), name)
    # Whoever waits for it takes a new one.
    lock_of(name).unlink(missing_ok=True)
    if left is not None:
        raise left
