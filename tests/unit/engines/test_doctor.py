from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from sandbox.containers.described import DaemonInfo
from sandbox.core.errors import SandboxError, UnavailableError, UsageError
from sandbox.engines import sandboxes
from sandbox.engines.doctor import CHECKS, Daemon, Finding, Host, Seen, Status, examine, works

ORDINARY = DaemonInfo(version="28.0", cgroup_version=2, rootless=False, root="/var/lib/docker", limits=True)
STOPPED = UnavailableError("Docker does not answer", why="refused", hint="start it")


@pytest.fixture
def proc(tmp_path: Path) -> Path:
    """Give what the kernel of an ordinary host says."""
    folder = tmp_path / "proc"
    files = {
        "self/limits": "Limit Soft Hard Units\nMax open files            1024            1048576         files\n",
        "self/status": "CapBnd:\t000001ffffffffff\n",
        "meminfo": "MemTotal: 33554432 kB\nMemAvailable: 16777216 kB\n",
        "sys/fs/inotify/max_user_instances": "1024\n",
        "sys/fs/inotify/max_user_watches": "1048576\n",
    }
    for name, content in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content)
    return folder


@pytest.fixture
def host(proc: Path, tmp_path: Path) -> Host:
    """Give a host with all that is needed."""
    gpg = tmp_path / "gpg"
    gpg.write_text("")
    gpg.chmod(0o755)
    return Host(tmp_path, tmp_path, "git version 2.50", Daemon(ORDINARY), proxy="", proc=proc, gpg_path=str(tmp_path))


def seen(host: Host, name: str, engine: str = "kind") -> Seen:
    """Give what one check says of a host."""
    (found,) = [each for each in examine(host, [engine]) if each.check.name == name]
    return found.seen


def verdicts(findings: list[Finding]) -> dict[str, bool]:
    return {engine: works(engine, findings) for engine in sandboxes.ENGINES}


def test_every_engine_works_on_a_host_with_all_that_they_need(host: Host) -> None:
    assert verdicts(examine(host)) == {"embedded": True, "kind": True, "cluster": True}


def test_every_check_is_for_engines_that_there_are() -> None:
    assert {engine for check in CHECKS for engine in check.engines} == set(sandboxes.ENGINES)


def test_only_what_matters_to_an_engine_is_looked_at_for_it(host: Host) -> None:
    assert "Docker" not in {found.check.name for found in examine(host, ["embedded"])}


def test_a_stopped_daemon_stops_kind_alone_and_its_error_says_how_to_mend_it(host: Host) -> None:
    without = replace(host, daemon=STOPPED)
    assert seen(without, "Docker") == Seen(Status.WRONG, "Docker does not answer: refused", "start it")
    assert verdicts(examine(without)) == {"embedded": True, "kind": False, "cluster": True}


@pytest.mark.parametrize(
    ("changes", "name"),
    [
        ({"python": (3, 10, 4)}, "Python"),
        ({"git": UnavailableError("can't run git")}, "Git"),
        ({"cache": UnavailableError("there is no home folder")}, "cache"),
        ({"state": UnavailableError("there is no home folder")}, "state"),
    ],
)
def test_what_every_engine_needs_stops_them_all(host: Host, changes: dict[str, object], name: str) -> None:
    lacking = replace(host, **changes)  # type: ignore[arg-type]  # one field of several types
    assert seen(lacking, name).status is Status.WRONG
    assert verdicts(examine(lacking)) == {"embedded": False, "kind": False, "cluster": False}


@pytest.mark.parametrize(
    ("daemon", "status", "named"),
    [
        (replace(ORDINARY, rootless=True), Status.OK, "rootless"),
        (replace(ORDINARY, rootless=True, cgroup_version=1), Status.WRONG, "cgroup v1"),
        (replace(ORDINARY, rootless=True, limits=False), Status.WRONG, "may not limit"),
    ],
    ids=["cgroup v2", "cgroup v1", "nothing delegated"],
)
def test_a_rootless_daemon_will_do_where_kind_takes_it(
    host: Host, daemon: DaemonInfo, status: Status, named: str
) -> None:
    found = seen(replace(host, daemon=Daemon(daemon)), "Docker")
    assert found.status is status
    assert named in found.seen
    assert bool(found.next) == (status is Status.WRONG)


@pytest.mark.parametrize(("instances", "status"), [("512", Status.OK), ("128", Status.WARNING), ("16", Status.WRONG)])
def test_few_inotify_instances_are_told_with_the_command_that_gives_more(
    host: Host, proc: Path, instances: str, status: Status
) -> None:
    (proc / "sys/fs/inotify/max_user_instances").write_text(f"{instances}\n")
    found = seen(host, "inotify")
    assert found.status is status
    assert ("sysctl" in found.next) == (status is not Status.OK)


def test_the_hard_limit_of_open_files_counts(host: Host, proc: Path) -> None:
    (proc / "self/limits").write_text("Max open files            256                  1024                 files\n")
    assert seen(host, "open files").status is Status.WARNING


def test_no_limit_of_open_files_is_enough(host: Host, proc: Path) -> None:
    (proc / "self/limits").write_text("Max open files            unlimited            unlimited            files\n")
    assert seen(host, "open files").status is Status.OK


def test_memory_that_is_enough_for_processes_may_be_too_little_for_a_cluster(host: Host, proc: Path) -> None:
    (proc / "meminfo").write_text("MemAvailable: 2097152 kB\n")
    assert seen(host, "memory", "embedded").status is Status.OK
    assert seen(host, "memory", "kind").status is Status.WARNING


def test_a_proxy_that_is_asked_for_loopback_too_is_named_and_stops_no_engine(host: Host) -> None:
    behind = replace(host, proxy="proxy.test:3128")
    found = seen(behind, "proxy")
    assert (found.status, "proxy.test:3128" in found.seen, "NO_PROXY" in found.next) == (Status.WARNING, True, True)
    assert all(verdicts(examine(behind)).values())


def test_a_host_without_gpg_is_told_what_it_goes_without(host: Host, tmp_path: Path) -> None:
    found = seen(replace(host, gpg_path=str(tmp_path / "nowhere")), "gpg", "embedded")
    assert found.status is Status.WARNING
    assert "signatures" in found.seen


def test_what_is_unlike_an_ordinary_host_is_named(host: Host, proc: Path) -> None:
    (proc / "self/status").write_text("CapBnd:\t000001fffeffffff\n")
    found = seen(replace(host, daemon=Daemon(replace(ORDINARY, cgroup_version=1))), "containers")
    assert found.status is Status.WARNING
    assert "cgroup v1" in found.seen
    assert "CAP_SYS_RESOURCE" in found.seen


@pytest.mark.parametrize(
    ("unbakeable", "status"), [(None, Status.WARNING), (UnavailableError("can't", hint="as root"), Status.WRONG)]
)
def test_missing_images_are_wrong_only_where_they_cannot_be_made(
    host: Host, unbakeable: SandboxError | None, status: Status
) -> None:
    found = seen(replace(host, daemon=Daemon(ORDINARY, ["node:1"], unbakeable)), "images")
    assert found.status is status
    assert "node:1" in found.seen


def test_a_damaged_sandbox_is_named_and_stops_no_engine(host: Host) -> None:
    damaged = replace(host, damaged=[UsageError("sandbox.json is damaged", hint="down --name old")])
    assert seen(damaged, "sandboxes") == Seen(Status.WARNING, "sandbox.json is damaged", "down --name old")
    assert verdicts(examine(damaged)) == {"embedded": True, "kind": True, "cluster": True}


def test_a_kernel_that_does_not_tell_is_no_reason_to_stop(host: Host, tmp_path: Path) -> None:
    silent = replace(host, proc=tmp_path / "elsewhere")
    assert seen(silent, "inotify").status is Status.WARNING
    assert verdicts(examine(silent))["embedded"]


def test_a_cluster_is_looked_at_when_its_context_is_named(host: Host) -> None:
    assert seen(host, "cluster", "cluster").status is Status.WARNING
    assert seen(replace(host, cluster="Kubernetes v1.36"), "cluster", "cluster").status is Status.OK
    refused = UnavailableError("dana may not", why="not allowed: get pods", hint="./inv role")
    found = seen(replace(host, cluster=refused), "cluster", "cluster")
    assert found == Seen(Status.WRONG, "dana may not: not allowed: get pods", "./inv role")
