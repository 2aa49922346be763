"""A sandbox that is left alone, and one whose machine was suspended, is as green as at the start."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Iterator
from typing import Any

import pytest

from sandbox.core.conditions import Deadline, State, wait_for
from sandbox.core.timeline import Timeline
from sandbox.engines import sandboxes
from sandbox.gitops.moment import Moment
from sandbox.gitops.tenant import Tenant
from sandbox.gitops.world import World
from tests.e2e.support import User

ALONE_SECONDS = float(os.environ.get("GITOPS_SANDBOX_SOAK_SECONDS", "60"))
SUSPENDED_SECONDS = 60.0
NAME = "soak"

pytestmark = pytest.mark.nightly


@pytest.fixture(scope="module")
def world(user: User) -> Iterator[World]:
    """Give a sandbox with its Applications live in every environment."""
    del user
    access = sandboxes.up(NAME, sandboxes.UpOptions(), Timeline())
    with World(access, Tenant("soak")) as made:
        made.environment.begin()
        since = Moment.now()
        made.register()
        wait_for(
            made.lives_everywhere(made.environment.head, since),
            Deadline.after(60),
            wanted="the Applications to live",
            wake=made.changed,
        )
        yield made


def _rest(seconds: float) -> None:
    threading.Event().wait(seconds)


def _restarts() -> dict[str, int]:
    return {each["name"]: each["restarts"] for each in sandboxes.status(NAME)["components"]}


def _greenness(world: World) -> dict[str, Any]:
    """Look at all that may have turned: components, nodes, pods, Applications and what lives."""
    pods = [
        (pod["metadata"]["name"], condition["status"])
        for application in world.applications.values()
        for pod in world.api.list("v1", "Pod", application.namespace)
        for condition in pod["status"]["conditions"]
        if condition["type"] == "Ready"
    ]
    return {
        "sandbox": sandboxes.status(NAME)["state"],
        "nodes": {
            node["metadata"]["name"]: [
                condition["status"] for condition in node["status"]["conditions"] if condition["type"] == "Ready"
            ]
            for node in world.api.list("v1", "Node")
        },
        "pods": sorted(pods),
        "health": {
            name: (each.read() or {})["status"]["health"]["status"] for name, each in world.applications.items()
        },
        "content": {name: each.is_as(world.environment.head)().state for name, each in world.applications.items()},
    }


def _is_green(green: dict[str, Any]) -> bool:
    return (
        green["sandbox"] == "up"
        and all(ready == ["True"] for ready in green["nodes"].values())
        and all(ready == "True" for _, ready in green["pods"])
        and set(green["health"].values()) == {"Healthy"}
        and set(green["content"].values()) == {State.MET}
    )


@pytest.mark.timeout(1200 + ALONE_SECONDS)
def test_a_sandbox_left_alone_stays_as_green_as_at_the_start(world: World) -> None:
    before, restarts = _greenness(world), _restarts()
    assert _is_green(before)
    _rest(ALONE_SECONDS)
    assert _greenness(world) == before
    assert _restarts() == restarts


@pytest.mark.timeout(600)
def test_a_sandbox_whose_machine_was_suspended_is_as_green_as_before(world: World, user: User) -> None:
    before = _greenness(world)
    assert _is_green(before)
    processes = user.processes()
    assert processes
    for process in processes:
        process.send(signal.SIGSTOP)
    _rest(SUSPENDED_SECONDS)
    for process in processes:
        process.send(signal.SIGCONT)
    # Connections that timed out meanwhile are made anew first.
    _rest(15.0)
    assert _greenness(world) == before
