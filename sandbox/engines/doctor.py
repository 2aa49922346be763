"""What this machine has and lacks for each engine, by looking.

Adding a check = adding one function and one entry to ``CHECKS``.
"""

from __future__ import annotations

import enum
import shutil
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import TypeVar

from sandbox.containers.described import DaemonInfo
from sandbox.containers.docker import connect
from sandbox.containers.host import host_needs
from sandbox.containers.images import image_tags
from sandbox.containers.places import usable_place
from sandbox.core.commands import run
from sandbox.core.errors import SandboxError, UnavailableError
from sandbox.core.folders import cache_root, state_root
from sandbox.core.ports import LOOPBACK
from sandbox.core.proxies import asked_for
from sandbox.engines.cluster import Cluster
from sandbox.engines.cluster_guest import ClusterGuest
from sandbox.engines.embedded import Embedded
from sandbox.engines.kind import Kind
from sandbox.engines.records import Record, known_names

__all__ = ["CHECKS", "Check", "Daemon", "Finding", "Host", "Seen", "Status", "examine", "works"]

_GIBIBYTE = 1 << 30
_ASK_SECONDS = 10.0
_OLDEST_PYTHON = (3, 11)
_OPEN_FILES = 4096
# What kind asks for ("Pod errors due to 'too many open files'", kind's known issues); the second is where one cluster
# is in danger.
_INSTANCES, _FEWEST_INSTANCES = 512, 64
_WATCHES, _FEWEST_WATCHES = 524288, 8192
_GPG_PATH = "/usr/bin:/bin"


class Status(enum.StrEnum):
    """How a thing is: ``WRONG`` keeps an engine from working, ``WARNING`` may."""

    OK = "ok"
    WARNING = "warning"
    WRONG = "wrong"


@dataclass(frozen=True, slots=True)
class Seen:
    """What one look has shown.

    Attributes:
        status: How it is.
        seen: What was seen, as a sentence's end.
        next: How to mend it; empty where nothing is to be done.
    """

    status: Status
    seen: str
    next: str = ""


@dataclass(frozen=True, slots=True)
class Daemon:
    """A Docker daemon that answers.

    Attributes:
        info: What it says of itself.
        missing: The images of this version set that it does not have.
        unbakeable: Why those can't be assembled; None where they can, or where none is missing.
    """

    info: DaemonInfo
    missing: Sequence[str] = ()
    unbakeable: SandboxError | None = None


@dataclass(frozen=True, slots=True)
class Host:
    """What the checks look at.

    Attributes:
        cache: The cache folder, or why there is none.
        state: The state folder, or why there is none.
        git: What Git says of its version, or why it says nothing.
        daemon: The Docker daemon, or why none answers.
        damaged: What is wrong with sandboxes of this user.
        cluster: What was seen of the cluster of the context that was named, or why it can't be used; None when no
            context was named.
        proxy: The proxy that the environment names for loopback too; empty where there is none.
        python: The version that runs this.
        proc: Where the kernel tells of itself (proc(5)).
        gpg_path: Where Argo CD looks for gpg, as PATH has it.
    """

    cache: Path | SandboxError
    state: Path | SandboxError
    git: str | SandboxError
    daemon: Daemon | SandboxError
    damaged: Sequence[SandboxError] = ()
    cluster: str | SandboxError | None = None
    proxy: str = field(default_factory=lambda: asked_for(f"http://{LOOPBACK}"))
    python: tuple[int, ...] = field(default_factory=lambda: sys.version_info[:3])
    proc: Path = Path("/proc")
    gpg_path: str = _GPG_PATH

    @classmethod
    def here(cls, context: str = "", sandbox: str = "default", argocd: str = "") -> Host:
        """Look at this host; what can't be had is kept as the error that says why.

        Args:
            context: The context of the user's kubeconfig whose cluster is looked at too; none when empty.
            sandbox: What the sandbox in it would be called.
            argocd: The namespace of the Argo CD there that it would be a guest of; empty where it would bring its own.
        """
        state = _or_error(state_root)
        return cls(
            cache=_or_error(cache_root),
            state=state,
            git=_or_error(lambda: run(["git", "--version"], timeout=_ASK_SECONDS).strip()),
            daemon=_or_error(_daemon),
            damaged=_damaged() if isinstance(state, Path) else (),
            cluster=_or_error(lambda: _survey(sandbox, context, argocd)) if context else None,
        )


_T = TypeVar("_T")


def _or_error(look: Callable[[], _T]) -> _T | SandboxError:
    try:
        return look()
    except SandboxError as error:
        return error


def _survey(sandbox: str, context: str, argocd: str) -> str:
    return ClusterGuest().survey_host(sandbox, context, argocd) if argocd else Cluster().survey(sandbox, context)


def _daemon() -> Daemon:
    with connect() as docker:
        missing = [tag for tag in image_tags() if docker.images.find(tag) is None]
        place = _or_error(lambda: usable_place(docker)) if missing else None
        return Daemon(docker.info(), missing, place if isinstance(place, SandboxError) else None)


def _damaged() -> list[SandboxError]:
    found = [(name, _or_error(partial(Record.load, name))) for name in known_names()]
    lost = "there is a folder of it, but no record"
    return [
        record if isinstance(record, SandboxError) else UnavailableError(f"{name}: {lost}", hint=f"down --name {name}")
        for name, record in found
        if not isinstance(record, Record)
    ]


def _of_error(error: SandboxError, status: Status = Status.WRONG) -> Seen:
    return Seen(status, f"{error.what}: {error.why}" if error.why else error.what, error.hint)


def _python(host: Host) -> Seen:
    version = ".".join(map(str, host.python))
    if host.python < _OLDEST_PYTHON:
        return Seen(Status.WRONG, version, "install Python 3.11 or newer, and set PYTHON to its path")
    return Seen(Status.OK, version)


def _git(host: Host) -> Seen:
    if isinstance(host.git, SandboxError):
        return Seen(Status.WRONG, host.git.what, "install Git; on Debian: apt-get install git")
    return Seen(Status.OK, host.git)


def _space(folder: Path | SandboxError, wanted: float, least: float, variable: str) -> Seen:
    if isinstance(folder, SandboxError):
        return _of_error(folder)
    free = shutil.disk_usage(folder).free / _GIBIBYTE
    status = Status.OK if free >= wanted else Status.WARNING if free >= least else Status.WRONG
    mend = "" if status is Status.OK else f"have {wanted:g} GiB free, or name another folder by {variable}"
    return Seen(status, f"{free:.1f} GiB are free in {folder}", mend)


def _cache(host: Host) -> Seen:
    return _space(host.cache, 6, 0.25, "XDG_CACHE_HOME")


def _state(host: Host) -> Seen:
    return _space(host.state, 2, 0.25, "XDG_STATE_HOME")


def _open_files(host: Host) -> Seen:
    lines = (host.proc / "self" / "limits").read_text().splitlines()
    # The hard limit: programs in Go raise their own to it.
    hard = next((line.split()[4] for line in lines if line.startswith("Max open files")), "unlimited")
    if hard == "unlimited" or int(hard) >= _OPEN_FILES:
        return Seen(Status.OK, f"{hard} files for each process")
    return Seen(Status.WARNING, f"{hard} files for each process", f"raise nofile to {_OPEN_FILES} (limits.conf(5))")


def _inotify(host: Host) -> Seen:
    folder = host.proc / "sys" / "fs" / "inotify"
    instances, watches = (int((folder / f"max_user_{name}").read_text()) for name in ("instances", "watches"))
    seen = f"{instances} instances, {watches} watches"
    if instances >= _INSTANCES and watches >= _WATCHES:
        return Seen(Status.OK, seen)
    few = instances < _FEWEST_INSTANCES or watches < _FEWEST_WATCHES
    mend = f"sudo sysctl fs.inotify.max_user_instances={_INSTANCES} fs.inotify.max_user_watches={_WATCHES}"
    return (
        Seen(Status.WRONG, seen, mend)
        if few
        else Seen(Status.WARNING, f"{seen}, which several clusters may use up", mend)
    )


def _memory(wanted: float) -> Callable[[Host], Seen]:
    def look(host: Host) -> Seen:
        lines = (host.proc / "meminfo").read_text().splitlines()
        kibibytes = next(int(line.split()[1]) for line in lines if line.startswith("MemAvailable:"))
        free = kibibytes * 1024 / _GIBIBYTE
        enough = free >= wanted
        mend = "" if enough else f"have {wanted:g} GiB available: end what else is big"
        return Seen(Status.OK if enough else Status.WARNING, f"{free:.1f} GiB are available", mend)

    return look


def _proxy(host: Host) -> Seen:
    if not host.proxy:
        return Seen(Status.OK, "none is asked for 127.0.0.1")
    return Seen(
        Status.WARNING,
        f"your shell's git, curl and Python ask {host.proxy} for 127.0.0.1 too; the sandbox's own programs do not",
        "export NO_PROXY=127.0.0.1,localhost no_proxy=127.0.0.1,localhost, with what is there already",
    )


def _gpg(host: Host) -> Seen:
    found = shutil.which("gpg", path=host.gpg_path)
    if found:
        return Seen(Status.OK, found)
    return Seen(
        Status.WARNING, "there is no gpg: signatures of commits are not checked", "on Debian: apt-get install gnupg"
    )


def _docker(host: Host) -> Seen:
    if isinstance(host.daemon, SandboxError):
        return _of_error(host.daemon)
    info = host.daemon.info
    seen = f"{info.version}, {'rootless, ' if info.rootless else ''}cgroup v{info.cgroup_version}"
    # kind refuses both (kind, "Rootless").
    if info.rootless and info.cgroup_version == 1:
        return Seen(Status.WRONG, f"{seen}, with which no node can be rootless", "use cgroup v2, or Docker as root")
    if info.rootless and not info.limits:
        mend = "let systemd delegate to users: [Service] Delegate=cpu cpuset io memory pids for user@.service"
        return Seen(Status.WRONG, f"{seen}, which may not limit containers", f"{mend}; then log in anew")
    return Seen(Status.OK, seen)


def _containers(host: Host) -> Seen:
    if isinstance(host.daemon, SandboxError):
        return Seen(Status.WARNING, "not looked at: no daemon answers")
    reasons = host_needs(host.daemon.info, status=host.proc / "self" / "status").reasons
    if not reasons:
        return Seen(Status.OK, "as on an ordinary host")
    return Seen(
        Status.WARNING,
        "; ".join(reasons),
        "nothing, the kubelet is set for it; where no privileged container starts, give Docker what is missing",
    )


def _images(host: Host) -> Seen:
    if isinstance(host.daemon, SandboxError):
        return Seen(Status.WARNING, "not looked at: no daemon answers")
    if not host.daemon.missing:
        return Seen(Status.OK, "both are there")
    missing = f"not there: {', '.join(host.daemon.missing)}"
    unbakeable = host.daemon.unbakeable
    if unbakeable is None:
        return Seen(Status.WARNING, missing, "nothing: the first `up --engine kind` assembles them")
    return Seen(Status.WRONG, f"{missing}, and {unbakeable.why or unbakeable.what}", unbakeable.hint)


def _existing_cluster(host: Host) -> Seen:
    if host.cluster is None:
        return Seen(Status.WARNING, "not looked at: no context was named", "doctor --engine cluster --context NAME")
    return _of_error(host.cluster) if isinstance(host.cluster, SandboxError) else Seen(Status.OK, host.cluster)


def _sandboxes(host: Host) -> Seen:
    if not host.damaged:
        return Seen(Status.OK, "none is damaged")
    mends = dict.fromkeys(error.hint for error in host.damaged if error.hint)
    return Seen(Status.WARNING, "; ".join(error.what for error in host.damaged), "; ".join(mends))


@dataclass(frozen=True, slots=True)
class Check:
    """One thing to look at.

    Attributes:
        name: What it is called.
        engines: The names of the engines that it matters to.
        look: Looks at it.
    """

    name: str
    engines: tuple[str, ...]
    look: Callable[[Host], Seen]


_EMBEDDED, _KIND, _CLUSTER = (Embedded.name,), (Kind.name,), (Cluster.name,)
_ALL = _EMBEDDED + _KIND + _CLUSTER

CHECKS: tuple[Check, ...] = (
    Check("Python", _ALL, _python),
    Check("Git", _ALL, _git),
    Check("cache", _ALL, _cache),
    Check("state", _ALL, _state),
    Check("open files", _ALL, _open_files),
    Check("proxy", _ALL, _proxy),
    Check("memory", _EMBEDDED, _memory(1.5)),
    Check("memory", _KIND, _memory(3.0)),
    Check("memory", _CLUSTER, _memory(0.5)),
    Check("gpg", _EMBEDDED, _gpg),
    Check("inotify", _KIND, _inotify),
    Check("Docker", _KIND, _docker),
    Check("containers", _KIND, _containers),
    Check("images", _KIND, _images),
    Check("cluster", _CLUSTER, _existing_cluster),
    Check("sandboxes", _ALL, _sandboxes),
)
"""All that is looked at, in the order in which it is shown."""


@dataclass(frozen=True, slots=True)
class Finding:
    """What a check has found.

    Attributes:
        check: Which one.
        seen: What it saw.
    """

    check: Check
    seen: Seen

    def to_json(self) -> dict[str, object]:
        """Give it as ``doctor --json`` shows it."""
        return {
            "name": self.check.name,
            "engines": list(self.check.engines),
            "status": self.seen.status.value,
            "seen": self.seen.seen,
            "next": self.seen.next,
        }


def examine(host: Host, engines: Sequence[str] = _ALL) -> list[Finding]:
    """Look at everything that matters to one of the engines.

    Args:
        host: What to look at.
        engines: Their names; all when left out.
    """
    return [Finding(check, _looked(check, host)) for check in CHECKS if set(check.engines) & set(engines)]


def _looked(check: Check, host: Host) -> Seen:
    try:
        return check.look(host)
    except OSError as error:
        # A kernel without that file: nothing is known to be wrong.
        return Seen(Status.WARNING, f"can't be looked at: {error}")


def works(engine: str, findings: Sequence[Finding]) -> bool:
    """Say whether nothing that was found keeps an engine from working."""
    return not any(engine in found.check.engines and found.seen.status is Status.WRONG for found in findings)
