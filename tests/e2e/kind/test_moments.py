"""Reset, snapshot and restore of a real cluster: all goes back together, and its containers with it."""

from __future__ import annotations

import os
import shutil
import signal
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest

from sandbox.core.commands import CommandError
from sandbox.core.conditions import Deadline, Observation, State, met, pending, wait_for
from sandbox.engines import rewinding, sandboxes
from sandbox.engines.access import Access
from sandbox.gitops.predicates import Predicate
from sandbox.gitops.tenant import Tenant
from sandbox.gitops.world import World
from sandbox.kube.api import KubeApi
from sandbox.kube.rollout import rollout_waits_for
from tests.e2e.kind.machine import COLD_SECONDS, NAME, executed, node
from tests.e2e.moments import differences, everything
from tests.e2e.support import User

KEPT = "first-release"
SECONDS = 300.0
QUIET_SECONDS = 5.0
OF_STORIES = ("ref ", "images of ", "blob ", "CI run ", "tenant ", "working copy of ", "applications.")
WORKLOADS = ("deployments.", "statefulsets.")
# Argo CD notes anew when it last looked; a working copy is somebody's own, and of no moment.
MOVING = ("applications.argoproj.io", "working copy of ")

pytestmark = [pytest.mark.timeout(COLD_SECONDS), pytest.mark.nightly]


@pytest.fixture(scope="module")
def access(user: User) -> Iterator[Access]:
    """Give the way into the shared sandbox, in which other stories were told before."""
    user.ok("up", "--engine", "kind", "--name", NAME, seconds=COLD_SECONDS)
    with pytest.MonkeyPatch.context() as patch:
        # For what is asked of the library instead of the command line.
        patch.setenv("XDG_STATE_HOME", str(user.state))
        yield sandboxes.access(NAME)


@pytest.fixture(scope="module")
def clean(access: Access) -> dict[str, Any]:
    """Give all that the sandbox holds after a reset."""
    rewinding.reset(NAME)
    return at_rest(access)


@dataclass(frozen=True, slots=True)
class Kept:
    """What a snapshot was taken of.

    Attributes:
        held: All that the sandbox held.
        source: The commit of the application's source that answered.
        environment: The commit of the environment repository that lived.
        uid: The Deployment's.
    """

    held: dict[str, Any]
    source: str
    environment: str
    uid: str


@pytest.fixture(scope="module")
def kept(access: Access, clean: dict[str, Any]) -> Kept:
    """Keep a snapshot of a first release, which answers, in a sandbox that has seen no other story."""
    del clean
    made = World(access, Tenant("moment"))
    made.claim()
    made.environment.begin()
    made.source.begin()
    released(made, made.source.push(), register=True)
    found = Kept(at_rest(access), made.source.head, made.environment.head, uid(made))
    rewinding.snapshot(NAME, KEPT)
    made.api.close()
    return found


@pytest.fixture
def world(access: Access, kept: Kept) -> Iterator[World]:
    """Give the world in which the first release answers, and working copies of their own."""
    made = World(access, Tenant("moment"))
    if made.service.says("1.0.0", kept.source)().state is not State.MET:
        rewinding.restore(NAME, KEPT)
    shutil.rmtree(access.folder / "work", ignore_errors=True)
    yield made
    made.api.close()


def eventually(predicate: Predicate, within: float = SECONDS) -> None:
    wait_for(predicate, Deadline.after(within), wanted="it to come true", every=0.2)


def released(world: World, commit: str, *, register: bool = False) -> None:
    """Wait until a source commit was built, lives in dev, and answers."""
    eventually(world.pipeline.passes(commit), within=300.0)
    revision = world.environment.pull()
    if register:
        world.register("dev")
    eventually(world.dev.lives(revision))
    eventually(world.service.says(world.source.version, commit))


def held(access: Access) -> dict[str, Any]:
    """Give all that the sandbox holds, and which images the node has."""
    names = executed(node(), "ctr", "--namespace", "k8s.io", "images", "ls", "--quiet").split()
    return everything(access) | {f"image of the node {name}": True for name in names}


def unready(found: dict[str, Any]) -> list[str]:
    """Name the workloads that wait for a pod: on a busy machine they may do so for long without any change."""
    waiting = {key: rollout_waits_for(each) for key, each in found.items() if key.startswith(WORKLOADS)}
    return [f"{key}: {waits}" for key, waits in waiting.items() if waits]


def at_rest(access: Access) -> dict[str, Any]:
    """Give all that the sandbox holds once all that runs is ready, and nothing changes any more."""
    found, quiet = held(access), Deadline.after(QUIET_SECONDS)

    def look() -> Observation:
        nonlocal found, quiet
        before, found = found, held(access)
        told = differences(before, found) or unready(found)
        if told:
            quiet = Deadline.after(QUIET_SECONDS)
        return met("nothing changed") if quiet.passed else pending("; ".join(told) or "it changed a moment ago")

    wait_for(look, Deadline.after(SECONDS), wanted="nothing to change any more", every=0.5)
    return found


def check_same(before: dict[str, Any], access: Access, *moving: str) -> None:
    """Demand that all is as it was, once containers that began anew are ready again."""

    def look() -> Observation:
        told = [each for each in differences(before, held(access)) if not any(word in each for word in moving)]
        return pending("; ".join(told)) if told else met("as it was")

    wait_for(look, Deadline.after(SECONDS), wanted="all to be as it was", every=0.5)


def uid(world: World) -> str:
    found = world.api.get("apps/v1", "Deployment", "greeter", world.dev.namespace)
    assert found is not None
    return str(found["metadata"]["uid"])


def end_pods(api: KubeApi, namespace: str, deployment: str) -> None:
    """Delete a Deployment, and wait until its pods have ended, which have to come back under the same uids."""
    names = {each["metadata"]["name"] for each in api.list("v1", "Pod", namespace)}
    theirs = {name for name in names if name.startswith(f"{deployment}-")}
    assert theirs
    api.delete("apps/v1", "Deployment", deployment, namespace)

    def gone() -> Observation:
        left = theirs & {each["metadata"]["name"] for each in api.list("v1", "Pod", namespace)}
        return pending(f"there are {sorted(left)}") if left else met("gone")

    wait_for(gone, Deadline.after(SECONDS), wanted="its pods to end", every=0.2)


def kubelet_runs() -> bool:
    """Ask whether the node's kubelet runs."""
    try:
        return executed(node(), "systemctl", "is-active", "kubelet").strip() == "active"
    except CommandError:
        return False


def test_after_a_reset_there_is_nothing_of_the_stories_told_before(clean: dict[str, Any]) -> None:
    assert [each for each in clean if each.startswith(OF_STORIES)] == []


def test_a_restore_brings_back_the_version_that_answered_with_all_that_it_is_made_of(
    world: World, kept: Kept, access: Access
) -> None:
    released(world, world.source.release("1.1.0"))
    end_pods(world.api, world.dev.namespace, "greeter")

    rewinding.restore(NAME, KEPT)

    eventually(world.service.says("1.0.0", kept.source))
    assert uid(world) == kept.uid
    check_same(kept.held, access, *MOVING)


def test_a_restore_that_is_killed_is_finished_by_up_and_the_next_release_goes_on_from_there(
    user: User, world: World, kept: Kept, access: Access
) -> None:
    world.api.delete("apps/v1", "Deployment", "greeter", world.dev.namespace)
    command = user.start("restore", KEPT, "--name", NAME)
    wait_for(
        lambda: pending("it runs") if kubelet_runs() else met("it is stopped"),
        Deadline.after(SECONDS),
        wanted="the restore to have stopped the kubelet",
        every=0.02,
    )
    os.killpg(command.pid, signal.SIGKILL)
    command.communicate()
    for words in (["reset"], ["up", "--nodes", "2"]):
        refused = user.run(*words, "--name", NAME)
        assert refused.code == 2, refused
        assert f"up --name {NAME} finishes it" in refused.stderr

    user.ok("up", "--name", NAME, seconds=600)

    assert not (access.folder / "snapshots" / ".going-back").exists()
    eventually(world.service.says("1.0.0", kept.source))
    assert world.environment.history()[0].revision == kept.environment
    released(world, world.source.release("1.2.0"))


@pytest.mark.usefixtures("kept")
def test_a_reset_brings_back_what_the_sandbox_came_with_and_no_container_or_image_of_a_story_is_left(
    access: Access, clean: dict[str, Any]
) -> None:
    assert any(each.startswith("new: image of the node ") for each in differences(clean, held(access)))
    api = KubeApi(access.kubeconfig)
    api.apply({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "left", "namespace": "default"}})
    api.delete("argoproj.io/v1alpha1", "AppProject", "default", "argocd")
    end_pods(api, "argocd", "argocd-server")
    api.close()

    rewinding.reset(NAME)

    check_same(clean, access)
