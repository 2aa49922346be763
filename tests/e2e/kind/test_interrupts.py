"""An `up` that is broken off at any moment leaves nothing in Docker, or nothing that `down` does not find."""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Callable

import pytest

from sandbox.components.kind.cluster import finished
from sandbox.core.conditions import Deadline, Observation, failed, met, pending, wait_for
from tests.e2e.kind.machine import COLD_SECONDS, held, node
from tests.e2e.support import Outcome, User, by_night

BROKEN = "t1-broken"


def has(thing: str) -> Callable[[User], bool]:
    return lambda _: thing in held(BROKEN)


MOMENTS: dict[str, Callable[[User], bool]] = {
    "at the network": has(f"network gitops-sandbox-{BROKEN}"),
    "at the registry": has(f"container gitops-sandbox-{BROKEN}-registry"),
    "at the node": has(f"container {node(BROKEN)}"),
    "at Argo CD": lambda user: finished(user.folder / BROKEN),
}

pytestmark = [pytest.mark.timeout(COLD_SECONDS), pytest.mark.usefixtures("user")]


def at_moments(always: str) -> pytest.MarkDecorator:
    """Have a test shown at each moment by night, and always at one."""
    return pytest.mark.parametrize(
        "reached", by_night(MOMENTS.values(), but=lambda reached: reached is MOMENTS[always]), ids=MOMENTS
    )


def broken_off(user: User, reached: Callable[[User], bool], number: signal.Signals) -> Outcome:
    """Break an `up` off when it has come so far, as a terminal or the kernel would: with all that it started."""
    command = user.start("up", "--engine", "kind", "--name", BROKEN)
    wait(user, command, reached)
    os.killpg(command.pid, number)
    return user.finish(command, seconds=120)


def wait(user: User, command: subprocess.Popen[str], reached: Callable[[User], bool]) -> None:
    def so_far() -> Observation:
        if command.poll() is not None:
            return failed(str(user.finish(command)))
        return met() if reached(user) else pending(f"there is {held(BROKEN)}")

    wait_for(so_far, Deadline.after(COLD_SECONDS), wanted="`up` to come so far", every=0.02)


@at_moments("at the node")
def test_a_killed_up_leaves_nothing_that_down_does_not_find(other: User, reached: Callable[[User], bool]) -> None:
    assert broken_off(other, reached, signal.SIGKILL).code == -signal.SIGKILL
    ended = other.run("down", "--name", BROKEN)
    assert ended.code == 0, ended
    assert held(BROKEN) == []
    other.wait_until_alone()
    assert not (other.folder / BROKEN).exists()


@at_moments("at the registry")
def test_an_up_that_is_interrupted_takes_away_all_that_it_began(other: User, reached: Callable[[User], bool]) -> None:
    outcome = broken_off(other, reached, signal.SIGINT)
    assert outcome.code == 130, outcome
    assert "Traceback" not in outcome.stderr
    assert held(BROKEN) == []
    assert not other.processes()
    assert not (other.folder / BROKEN).exists()
    assert BROKEN not in other.ports()
