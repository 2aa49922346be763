"""Snapshots: the cluster, Git, images and Argo CD's cache put back together to one moment, whatever came between."""

from __future__ import annotations

import json
import os
import resource
import signal
import subprocess
from collections.abc import Iterator
from typing import Any

import pytest

from sandbox.core.conditions import Deadline, Observation, State, met, pending, wait_for
from sandbox.core.timeline import Timeline
from sandbox.engines import rewinding, sandboxes
from sandbox.engines.access import Access
from sandbox.gitops.story import tell
from sandbox.gitops.tenant import Tenant
from sandbox.gitops.world import World
from sandbox.servers.ci_runs import RunStore
from scenarios import catalogue
from tests.e2e.moments import differences, everything
from tests.e2e.support import User

NAME = "moments"

pytestmark = pytest.mark.timeout(300)


@pytest.fixture
def access(user: User) -> Access:
    """Give the way into the sandbox, which another test may have taken down: its ports are then others."""
    if NAME not in sandboxes.known_names():
        user.ok("up", "--name", NAME)
    return sandboxes.access(NAME)


@pytest.fixture
def world(access: Access) -> Iterator[World]:
    """Give the world of a story in which a first commit lives, in a sandbox that has seen none before."""
    rewinding.reset(NAME)
    for each in rewinding.snapshots(NAME):
        rewinding.remove_snapshot(NAME, each.name)
    with World(access, Tenant("story")) as made:
        made.environment.begin()
        made.register()
        lives(made, made.environment.head)
        yield made


def lives(world: World, revision: str) -> None:
    """Wait until a commit lives in every environment, by content."""
    wait_for(world.lives_everywhere(revision), Deadline.after(60), wanted="it to live", wake=world.changed, every=0.2)


def released(world: World, tag: str) -> str:
    """Push a commit that names another image, and wait until it lives."""
    for environment in world.applications:
        world.environment.set_image(environment, f"example.com/greeter:{tag}")
    revision = world.environment.copy.commit(f"Release {tag}")
    world.environment.push()
    lives(world, revision)
    return revision


def differs(world: World, revision: str) -> list[str]:
    """Say where what lives is not what a commit says."""
    looks = [each.is_as(revision)() for each in world.applications.values()]
    return [look.seen for look in looks if look.state is not State.MET]


def head_on_the_server(world: World) -> str:
    return world.environment.history()[0].revision


def test_a_snapshot_of_a_sandbox_that_is_still_deploying_is_of_the_moment_at_which_it_has_come_to_rest(
    world: World,
) -> None:
    for environment in world.applications:
        world.environment.set_image(environment, "example.com/greeter:1")
    revision = world.environment.copy.commit("Release 1")
    world.environment.push()
    # From here on each new pod is scheduled, then started, then told of: a moment between would not last.
    wait_for(world.dev.lives(revision), Deadline.after(60), wanted="it to live in dev", wake=world.changed, every=0.02)

    rewinding.snapshot(NAME, "deploying")
    rewinding.restore(NAME, "deploying")

    assert differs(world, revision) == []


def test_a_restore_brings_an_earlier_commit_back_to_life_and_the_next_push_goes_on_from_there(world: World) -> None:
    earlier = released(world, "1")
    uid = world.api.get("apps/v1", "Deployment", "greeter", world.dev.namespace)
    rewinding.snapshot(NAME, "before")
    later = released(world, "2")
    world.api.delete("apps/v1", "Deployment", "greeter", world.dev.namespace)

    rewinding.restore(NAME, "before")

    assert differs(world, earlier) == []
    assert head_on_the_server(world) == earlier
    after = world.api.get("apps/v1", "Deployment", "greeter", world.dev.namespace)
    assert uid is not None
    assert after is not None
    assert after["metadata"]["uid"] == uid["metadata"]["uid"]
    # Argo CD has seen both commits, and remembers: what it does now must follow what Git says now.
    world.environment.copy.reset(earlier)
    latest = released(world, "3")
    assert [each.revision for each in world.environment.history()][:2] == [latest, earlier]
    assert later not in [each.revision for each in world.environment.history()]
    assert differs(world, latest) == []


def test_all_is_as_it_was_when_the_snapshot_was_made(world: World, access: Access) -> None:
    released(world, "1")
    wait_for(lambda: quiet(access), Deadline.after(60), wanted="Argo CD to have nothing to do", every=0.5)
    before = everything(access)
    rewinding.snapshot(NAME, "before")
    released(world, "2")
    world.clear()
    assert differences(before, everything(access)) != []

    rewinding.restore(NAME, "before")

    # Argo CD notes anew when it last looked; a working copy is somebody's own, and of no moment.
    moving = ("applications.argoproj.io", "working copy")
    assert [each for each in differences(before, everything(access)) if not any(it in each for it in moving)] == []
    assert differs(world, head_on_the_server(world)) == []


def quiet(access: Access) -> Observation:
    """Look whether anything changes within a moment."""
    one = everything(access)
    changed = differences(one, everything(access))
    return pending("; ".join(changed)) if changed else met("")


@pytest.mark.nightly
def test_a_story_passes_right_after_a_restore(world: World, access: Access) -> None:
    rewinding.snapshot(NAME, "before")
    released(world, "1")
    rewinding.restore(NAME, "before")
    result = tell(catalogue()["core"], World(access, Tenant("core")), Timeline())
    assert result.passed, result.error


def test_the_verbs_keep_list_put_back_and_remove(user: User, world: World) -> None:
    assert user.ok("snapshot", "--name", NAME) == {"name": NAME, "snapshots": []}
    assert user.ok("snapshot", "first", "--name", NAME)["snapshot"]["name"] == "first"
    assert user.ok("snapshot", "second", "--name", NAME)["snapshot"]["name"] == "second"
    listed = user.ok("snapshot", "--name", NAME)["snapshots"]
    assert [each["name"] for each in listed] == ["first", "second"]
    revision = released(world, "1")
    user.ok("restore", "second", "--name", NAME)
    assert differs(world, revision) != []
    assert user.ok("snapshot", "first", "--remove", "--name", NAME)["removed"] == "first"
    assert [each["name"] for each in user.ok("snapshot", "--name", NAME)["snapshots"]] == ["second"]


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["snapshot", "../evil"], "can't be the name of a snapshot"),
        (["snapshot", "taken"], "there is a snapshot 'taken' already"),
        (["snapshot", "--remove"], "no snapshot was named"),
        (["snapshot", "unknown", "--remove"], "there is no snapshot 'unknown'"),
        (["restore"], "no snapshot was named"),
        (["restore", "unknown"], "there is no snapshot 'unknown'"),
        (["restore", "old"], "was made with other versions"),
    ],
)
def test_wrong_use_is_told_and_changes_nothing(user: User, access: Access, words: list[str], said: str) -> None:
    missing = {"taken", "old"} - {each.name for each in rewinding.snapshots(NAME)}
    if missing:
        # What an earlier test has pushed may still be at work in CI, and no moment is kept meanwhile.
        rewinding.reset(NAME)
    for name in missing:
        rewinding.snapshot(NAME, name)
    record = access.folder / "snapshots" / "old" / "snapshot.json"
    record.write_text(json.dumps({**json.loads(record.read_text()), "versions": "earlier"}))
    outcome = user.run(*words, "--name", NAME)
    assert outcome.code == 2, outcome
    assert said in outcome.stderr
    assert {each.name for each in rewinding.snapshots(NAME)} >= {"taken", "old"}


def test_a_full_disk_is_told_of_and_leaves_no_half_snapshot_and_a_sandbox_that_works(
    user: User, world: World, access: Access
) -> None:
    def little() -> None:
        # As a disk that has no more room for a file of this size.
        resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))

    outcome = user.run("snapshot", "too-large", "--name", NAME, preexec_fn=little)

    assert outcome.code == 3, outcome
    assert "can't write" in outcome.stderr
    assert "free some space" in outcome.stderr
    assert [path.name for path in (access.folder / "snapshots").iterdir()] == [".clean"]
    released(world, "1")
    assert user.ok("snapshot", "fits", "--name", NAME)["snapshot"]["name"] == "fits"


@pytest.mark.nightly
def test_a_snapshot_is_refused_while_a_run_goes_on_and_names_it(user: User, world: World, access: Access) -> None:
    world.source.begin()
    workflow = world.source.copy.folder / ".github" / "workflows" / "ci.yaml"
    workflow.write_text("on: push\njobs: {hang: {runs-on: ubuntu-latest, steps: [{run: sleep 300}]}}\n")
    world.source.copy.commit("Take long")
    world.source.push()

    def going() -> Observation:
        statuses = [each.status for each in RunStore(access.runs).all()]
        return met("") if "running" in statuses else pending(str(statuses))

    wait_for(going, Deadline.after(60), wanted="the run to go on")
    outcome = user.run("snapshot", "meanwhile", "--name", NAME)
    assert outcome.code == 4, outcome
    assert "run " in outcome.stderr
    assert f"of {world.tenant.source} is running" in outcome.stderr
    assert user.ok("snapshot", "--name", NAME)["snapshots"] == []
    # Git serves pushes again.
    released(world, "1")


@pytest.mark.nightly
@pytest.mark.parametrize("after", [0.02, 0.5])
def test_a_restore_that_is_killed_is_finished_by_up(user: User, world: World, access: Access, after: float) -> None:
    earlier = released(world, "1")
    rewinding.snapshot(NAME, "before")
    released(world, "2")
    command = user.start("restore", "before", "--name", NAME)
    mark = access.folder / "snapshots" / ".going-back"
    wait_for(
        lambda: met("") if mark.exists() else pending("not yet"), Deadline.after(120), wanted="it to begin", every=0.01
    )
    with pytest.raises(subprocess.TimeoutExpired):
        command.wait(after)
    os.killpg(command.pid, signal.SIGKILL)
    command.communicate()
    assert f"up --name {NAME} finishes it" in user.run("reset", "--name", NAME).stderr

    user.ok("up", "--name", NAME)

    assert not mark.exists()
    assert differs(world, earlier) == []
    assert head_on_the_server(world) == earlier
    world.environment.copy.reset(earlier)
    released(world, "3")


def test_snapshots_are_for_their_user_alone(world: World, access: Access) -> None:
    del world
    rewinding.snapshot(NAME, "private")
    folder = access.folder / "snapshots"
    assert {path.stat().st_mode & 0o077 for path in (folder, folder / "private")} == {0}


@pytest.mark.nightly
def test_snapshots_go_with_the_sandbox(user: User, world: World, access: Access) -> None:
    del world
    rewinding.snapshot(NAME, "gone")
    user.ok("down", "--name", NAME)
    assert not access.folder.exists()
    user.ok("up", "--name", NAME)
    assert user.ok("snapshot", "--name", NAME)["snapshots"] == []


@pytest.mark.nightly
def test_the_deletion_of_what_a_restore_brings_back_is_not_remembered(world: World) -> None:
    """The garbage collector remembers owners that are gone: what they own must not go when they come back."""
    rewinding.snapshot(NAME, "before")
    namespace = world.dev.namespace
    owned = names(world, namespace)
    world.api.delete("apps/v1", "Deployment", "greeter", namespace)
    wait_for(
        lambda: pending("still there") if names(world, namespace) & owned else met("gone"),
        Deadline.after(60),
        wanted="what the Deployment owned to be collected",
    )
    rewinding.restore(NAME, "before")
    marked = {"metadata": {"annotations": {"example.com/looked-at": "again"}}}
    for kind, name in owned:
        world.api.merge("apps/v1" if kind == "ReplicaSet" else "v1", kind, name, namespace, marked)
    released(world, "1")
    rewinding.restore(NAME, "before")
    assert names(world, namespace) == owned


def names(world: World, namespace: str) -> set[tuple[str, Any]]:
    kinds = (("apps/v1", "ReplicaSet"), ("v1", "Pod"))
    return {
        (kind, item["metadata"]["name"]) for version, kind in kinds for item in world.api.list(version, kind, namespace)
    }
