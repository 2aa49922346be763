"""The life of a sandbox: whatever is killed comes back or is taken down, and what was kept is still there."""

from __future__ import annotations

import json
import os
import signal
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from sandbox.components.base import ProcessComponent
from sandbox.core.commands import run
from sandbox.core.conditions import Deadline, Observation, met, pending, wait_for
from sandbox.core.processes import Process
from sandbox.core.supervision import SupervisorClient
from sandbox.engines.embedded import Embedded
from sandbox.kube.api import KubeApi
from sandbox.servers.repositories import create_repository
from tests.e2e.support import User, by_night, crane_account, git_account, tool

NAME = "life"
COMPONENTS = [part.name for part in Embedded().components() if isinstance(part, ProcessComponent)]
# What the others stand on, what acts, and what is ours.
ALWAYS = ("etcd", "argocd-application-controller", "git-server")
assert set(ALWAYS) <= set(COMPONENTS)

pytestmark = pytest.mark.timeout(300)


@pytest.fixture
def standing(user: User) -> dict[str, Any]:
    """Give a sandbox that stands, whatever the test before did to it."""
    return user.ok("up", "--name", NAME)


def pids(status: dict[str, Any]) -> dict[str, int]:
    return {each["name"]: each["pid"] for each in status["components"]}


def component(status: dict[str, Any], name: str) -> dict[str, Any]:
    found: dict[str, Any] = next(each for each in status["components"] if each["name"] == name)
    return found


def supervisor(user: User) -> Process:
    found = SupervisorClient(user.folder / NAME).process()
    assert found is not None
    return found


def push_commit(status: dict[str, Any], repository: str, scratch: Path) -> str:
    """Push one commit to a new repository and return its revision."""
    create_repository(Path(status["state_dir"]) / "git", repository)
    environment = {**git_account(status, scratch), "HOME": str(scratch)}
    identity = ["-c", "user.name=Keeper", "-c", "user.email=keeper@example.com"]
    work = scratch / "work"
    run(["git", "init", "--quiet", "--initial-branch=main", work], timeout=30, env=environment)
    (work / "kept.txt").write_text("kept\n")
    run(["git", "-C", work, "add", "."], timeout=30, env=environment)
    run(["git", "-C", work, *identity, "commit", "--quiet", "--message=Keep"], timeout=30, env=environment)
    url = f"{status['git']['url']}/{repository}.git"
    run(["git", "-C", work, "push", "--quiet", url, "main"], timeout=30, env=environment)
    return run(["git", "-C", work, "rev-parse", "main"], timeout=30, env=environment).strip()


@pytest.mark.parametrize("name", by_night(COMPONENTS, but=ALWAYS.__contains__))
def test_a_killed_component_is_restarted_and_status_says_so(user: User, standing: dict[str, Any], name: str) -> None:
    before = component(standing, name)
    os.kill(before["pid"], signal.SIGKILL)

    def noticed() -> Observation:
        now = component(user.status(NAME), name)
        return met("") if now["restarts"] > before["restarts"] else pending(f"{name}: {now}")

    wait_for(noticed, Deadline.after(30), wanted="status to tell of the restart")
    now = component(user.wait_until_up(NAME), name)
    assert now["pid"] != before["pid"]
    assert now["last_exit"]["reason"] == "killed by SIGKILL"
    assert now["last_exit"]["told"] is False


def test_a_killed_supervisor_takes_all_with_it_and_the_next_up_finds_what_was_kept(
    user: User, standing: dict[str, Any], tmp_path: Path
) -> None:
    kept = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "kept", "namespace": "default"}}
    uid = KubeApi(Path(standing["kubeconfig"])).apply(kept)["metadata"]["uid"]
    revision = push_commit(standing, "kept/environment", tmp_path)
    (tmp_path / "file").write_text("kept\n")
    layer = tmp_path / "layer.tar"
    run(["tar", "-C", tmp_path, "-cf", layer, "file"], timeout=30)
    image = f"{standing['registry']['url'].removeprefix('http://')}/kept/image:1"
    account = crane_account(standing, tmp_path)
    run([tool("crane"), "append", "--oci-empty-base", "-f", layer, "-t", image], timeout=60, env=account)
    digest = run([tool("crane"), "digest", image], timeout=30, env=account)

    supervisor(user).send(signal.SIGKILL)
    user.wait_until_alone()
    down = user.status(NAME)
    assert down["state"] == "down"
    assert {each["state"] for each in down["components"]} == {"stopped"}
    assert set(pids(down).values()) == {None}

    again = user.ok("up", "--name", NAME)
    assert again["state"] == "up"
    assert again["argocd"] == standing["argocd"]
    found = KubeApi(Path(again["kubeconfig"])).get("v1", "ConfigMap", "kept", "default")
    assert found is not None
    assert found["metadata"]["uid"] == uid
    url = f"{again['git']['url']}/kept/environment.git"
    assert run(["git", "ls-remote", url, "main"], timeout=30, env=git_account(again, tmp_path)).split()[0] == revision
    assert run([tool("crane"), "digest", image], timeout=30, env=account) == digest


def test_up_on_a_running_sandbox_changes_nothing(user: User, standing: dict[str, Any]) -> None:
    before = supervisor(user)
    again = user.ok("up", "--name", NAME)
    assert pids(again) == pids(standing)
    assert supervisor(user) == before


def test_up_starts_what_was_stopped_and_leaves_the_rest_alone(user: User, standing: dict[str, Any]) -> None:
    stopped = {"redis", "argocd-server"}
    SupervisorClient(user.folder / NAME).stop(*stopped)
    partial = user.status(NAME)
    assert partial["state"] == "partial"
    assert {each["name"] for each in partial["components"] if each["state"] != "running"} >= stopped
    before, after = pids(standing), pids(user.ok("up", "--name", NAME))
    assert user.status(NAME)["state"] == "up"
    assert {name for name in before if before[name] != after[name]} == stopped


def test_down_works_after_everything_was_killed_and_a_second_down_finds_nothing(
    user: User, standing: dict[str, Any]
) -> None:
    supervisor(user).send(signal.SIGKILL)
    for process in user.processes():
        process.send(signal.SIGKILL)
    assert user.ok("down", "--name", NAME) == {"ended": [NAME]}
    assert not Path(standing["state_dir"]).exists()
    assert not user.processes()
    assert user.ok("down", "--name", NAME) == {"ended": []}


def test_down_ends_a_sandbox_whose_processes_are_all_stopped(user: User, standing: dict[str, Any]) -> None:
    del standing
    for process in user.processes():
        process.send(signal.SIGSTOP)
    assert user.ok("down", "--name", NAME) == {"ended": [NAME]}
    assert not user.processes()


def test_two_ups_of_one_name_at_once_make_one_sandbox(user: User) -> None:
    user.ok("down", "--name", NAME)
    commands = [user.start("up", "--name", NAME, "--json") for _ in range(2)]
    outcomes = [user.finish(command) for command in commands]
    assert [outcome.code for outcome in outcomes] == [0, 0], [str(outcome) for outcome in outcomes]
    assert pids(outcomes[0].data()) == pids(outcomes[1].data())
    programs = Counter(Path(f"/proc/{process.pid}/cmdline").read_bytes() for process in user.processes())
    etcd = [program for program in programs if b"/etcd" in program.split(b"\0")[0]]
    assert [programs[program] for program in etcd] == [1]


@pytest.mark.nightly
def test_two_sandboxes_at_once_share_no_port_and_down_all_ends_both(user: User) -> None:
    user.ok("down", "--all")
    names = ["one", "other"]
    commands = [user.start("up", "--name", name, "--json") for name in names]
    outcomes = [user.finish(command) for command in commands]
    assert [outcome.code for outcome in outcomes] == [0, 0], [str(outcome) for outcome in outcomes]
    leased = json.loads((user.folder / "ports.json").read_text())
    assert not set(leased["one"].values()) & set(leased["other"].values())
    assert [each["state"] for each in user.ok("status", "--all")["sandboxes"]] == ["up", "up"]
    assert user.ok("down", "--all") == {"ended": names}
    assert not user.processes()
    assert user.ports() == {}
