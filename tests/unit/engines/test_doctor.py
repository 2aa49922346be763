from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from sandbox.containers.described import DaemonInfo
from sandbox.core.errors import UnavailableError
from sandbox.engines.doctor import CHECKS, Daemon, Finding, Host, Status, examine, works
from sandbox.engines.sandboxes import ENGINES

ABSENT = UnavailableError("Docker does not answer", why="no such file", hint="start it")


@pytest.fixture
def host(tmp_path: Path) -> Host:
    """A machine on which everything is well."""
    proc = tmp_path / "proc"
    for path, text in {
        "self/limits": "Limit Soft Hard Units\nMax open files            1024 1048576 files\n",
        "self/status": "CapBnd:\t000001ffffffffff\n",
        "meminfo": "MemTotal: 99999999 kB\nMemAvailable: 16777216 kB\n",
        "sys/fs/inotify/max_user_instances": "8192\n",
        "sys/fs/inotify/max_user_watches": "1048576\n",
    }.items():
        (proc / path).parent.mkdir(parents=True, exist_ok=True)
        (proc / path).write_text(text)
    daemon = Daemon(DaemonInfo(version="28", cgroup_version=2, rootless=False, root="/var/lib/docker"))
    return Host(cache=tmp_path, state=tmp_path, git="git version 2.39.5", daemon=daemon, proc=proc)


def of(found: list[Finding], name: str) -> Finding:
    return next(each for each in found if each.check.name == name)


def test_where_everything_is_well_both_engines_work(host: Host) -> None:
    found = examine(host)
    assert all(works(engine, found) for engine in ENGINES)
    assert {each.seen.status for each in found} <= {Status.OK, Status.WARNING}


def test_only_what_matters_to_an_engine_is_looked_at(host: Host) -> None:
    assert all("embedded" in each.check.engines for each in examine(host, ["embedded"]))
    assert {engine for check in CHECKS for engine in check.engines} == set(ENGINES)


def test_without_docker_the_embedded_engine_works_and_kind_does_not(host: Host) -> None:
    found = examine(replace(host, daemon=ABSENT))
    assert works("embedded", found)
    assert not works("kind", found)
    seen = of(found, "Docker").seen
    assert (seen.status, "no such file" in seen.seen, seen.next) == (Status.WRONG, True, "start it")


def test_images_that_are_missing_and_can_not_be_made_are_wrong(host: Host) -> None:
    assert isinstance(host.daemon, Daemon)
    without = replace(host, daemon=replace(host.daemon, missing=["gitops-sandbox/node:1"]))
    assert works("kind", examine(without))
    unable = UnavailableError("they can't be assembled", why="this is an ordinary user", hint="once as root")
    found = examine(replace(without, unbakeable=unable))
    assert not works("kind", found)
    assert of(found, "images").seen.next == "once as root"


@pytest.mark.parametrize(("instances", "status"), [(8192, Status.OK), (128, Status.WARNING)])
def test_few_file_watches_say_how_to_have_more(host: Host, instances: int, status: Status) -> None:
    (host.proc / "sys/fs/inotify/max_user_instances").write_text(f"{instances}\n")
    seen = of(examine(host), "inotify").seen
    assert seen.status is status
    assert bool(seen.next) == (status is not Status.OK)


def test_little_memory_is_a_warning(host: Host) -> None:
    (host.proc / "meminfo").write_text("MemAvailable: 524288 kB\n")
    seen = of(examine(host), "memory").seen
    assert (seen.status, seen.seen) == (Status.WARNING, "0.5 GiB are available")


def test_what_a_kernel_does_not_tell_is_no_reason_to_stop(host: Host) -> None:
    (host.proc / "sys/fs/inotify/max_user_watches").unlink()
    assert works("kind", examine(host))


def test_an_old_python_and_a_missing_git_are_wrong_for_both(host: Host) -> None:
    for poor in (replace(host, python=(3, 10, 2)), replace(host, git=UnavailableError("can't run git"))):
        found = examine(poor)
        assert not works("embedded", found)
        assert not works("kind", found)
