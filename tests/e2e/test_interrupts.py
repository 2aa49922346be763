"""Commands that are broken off: nothing is left running, nothing claims success, and the next try works."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from sandbox.core.conditions import Deadline, Observation, failed, met, pending, wait_for
from sandbox.core.supervision import SupervisorClient
from sandbox.kube.api import KubeApi
from tests.e2e.support import User, by_night, processes_below

NAME = "broken-off"
MOMENTS = {"at the first process": 1, "half way": 7}

pytestmark = pytest.mark.timeout(300)

STOPS = {"Ctrl-C": (signal.SIGINT, 130, "interrupted"), "SIGTERM": (signal.SIGTERM, 143, "told to end")}
moments = pytest.mark.parametrize("processes", MOMENTS.values(), ids=MOMENTS)


@pytest.fixture(autouse=True)
def nothing_stands(user: User) -> Iterator[None]:
    yield
    user.ok("down", "--all")


def reach(user: User, command: subprocess.Popen[str], processes: int) -> None:
    """Wait until a command has started so many processes of a sandbox."""

    def started() -> Observation:
        if command.poll() is not None:
            return failed(str(user.finish(command)))
        running = len(processes_below(user.state))
        return met("") if running >= processes else pending(f"{running} processes")

    wait_for(started, Deadline.after(60), wanted=f"it to have started {processes} processes", every=0.01)


def interrupted_up(user: User, processes: int, *signals: signal.Signals) -> tuple[int, str, str]:
    """Break an `up` off as a terminal or a service manager would, and give its exit code, stdout and stderr."""
    command = user.start("up", "--name", NAME)
    reach(user, command, processes)
    for number in signals:
        # To the whole group, as Ctrl-C in a terminal goes.
        with contextlib.suppress(ProcessLookupError):
            os.killpg(command.pid, number)
    outcome = user.finish(command, seconds=60)
    return outcome.code, outcome.stdout, outcome.stderr


def no_success_in(stdout: str) -> bool:
    """Say whether the lines of progress stop without the panel that tells how to get in."""
    return not any(words in stdout for words in ("KUBECONFIG", "is up", "argocd login"))


@moments
def test_an_up_that_is_killed_leaves_no_process_and_the_next_one_works(user: User, processes: int) -> None:
    code, _, _ = interrupted_up(user, processes, signal.SIGKILL)
    assert code == -signal.SIGKILL
    user.wait_until_alone()
    assert user.ok("up", "--name", NAME)["state"] == "up"


@moments
@pytest.mark.parametrize(("number", "expected", "words"), STOPS.values(), ids=STOPS)
def test_an_up_that_is_told_to_stop_ends_all_that_it_began(
    user: User, processes: int, number: signal.Signals, expected: int, words: str
) -> None:
    code, stdout, stderr = interrupted_up(user, processes, number)
    assert code == expected, stderr
    assert not user.processes()
    assert no_success_in(stdout)
    assert words in stderr
    assert "Traceback" not in stderr
    assert not (user.folder / NAME).exists()
    assert NAME not in user.ports()


@pytest.mark.parametrize(
    ("number", "expected", "words"), by_night(STOPS.values(), but=lambda stop: stop is STOPS["Ctrl-C"]), ids=STOPS
)
def test_tests_that_are_told_to_stop_take_down_what_they_have_brought_up(
    user: User, number: signal.Signals, expected: int, words: str
) -> None:
    within = User(user.state, changes={"PYTEST_DEBUG_TEMPROOT": str(user.state)})
    command = within.start("test", "many")
    reach(within, command, MOMENTS["half way"])
    command.send_signal(number)
    outcome = within.finish(command, seconds=120)
    assert outcome.code == expected, outcome
    assert words in outcome.stderr
    assert not processes_below(user.state)


@pytest.mark.nightly
@moments
def test_a_second_ctrl_c_leaves_nothing_either(user: User, processes: int) -> None:
    code, stdout, stderr = interrupted_up(user, processes, signal.SIGINT, signal.SIGINT)
    assert code == 130, stderr
    assert no_success_in(stdout)
    assert "Traceback" not in stderr
    user.wait_until_alone()
    assert user.ok("up", "--name", NAME)["state"] == "up"


def test_an_interrupted_up_with_json_says_so_in_its_one_object(user: User) -> None:
    command = user.start("up", "--name", NAME, "--json")
    reach(user, command, 3)
    os.killpg(command.pid, signal.SIGINT)
    outcome = user.finish(command, seconds=60)
    assert outcome.code == 130, outcome
    assert outcome.data()["error"]["what"] == "interrupted"


@pytest.mark.nightly
def test_an_interrupted_repair_loses_nothing_that_was_kept(user: User) -> None:
    status = user.ok("up", "--name", NAME)
    kept = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "kept", "namespace": "default"}}
    KubeApi(Path(status["kubeconfig"])).apply(kept)
    supervisor = SupervisorClient(user.folder / NAME).process()
    assert supervisor is not None
    supervisor.send(signal.SIGKILL)
    user.wait_until_alone()
    code, _, stderr = interrupted_up(user, 5, signal.SIGINT)
    assert code == 130, stderr
    user.wait_until_alone()
    again = user.ok("up", "--name", NAME)
    assert KubeApi(Path(again["kubeconfig"])).get("v1", "ConfigMap", "kept", "default") is not None


@pytest.mark.nightly
def test_a_story_that_is_interrupted_leaves_the_sandbox_standing(user: User) -> None:
    user.ok("up", "--name", NAME)
    command = user.start("demo", "--name", NAME, "--json")
    work = user.folder / NAME / "work"

    def telling() -> Observation:
        return met("") if (work / "core" / "greeter").exists() else pending("the story has not begun")

    wait_for(telling, Deadline.after(60), wanted="the story to begin", every=0.01)
    os.killpg(command.pid, signal.SIGINT)
    outcome = user.finish(command, seconds=60)
    assert outcome.code == 130, outcome
    assert "passed" not in json.loads(outcome.stdout)
    assert "Traceback" not in outcome.stderr
    assert user.wait_until_up(NAME)["state"] == "up"
    told = user.ok("demo", "--name", NAME)
    assert told["passed"]
