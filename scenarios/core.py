"""The core story: build, commit, sync, drift, rollback."""

from __future__ import annotations

from sandbox.core.conditions import Deadline, Observation, met, pending
from sandbox.gitops import sabotage
from sandbox.gitops.application import Moment
from sandbox.gitops.story import Sabotage, step, story
from sandbox.gitops.world import World

__all__ = ["core"]

PIPELINE_SECONDS = 120.0  # the first run of all compiles the application's standard library

CONTAINERS = frozenset({"containers"})
"""What a step needs that asks the application itself."""

CRASHING = """\
apiVersion: apps/v1
kind: Deployment
metadata:
  name: greeter
spec:
  template:
    spec:
      containers:
      - name: greeter
        env:
        - name: ADDRESS
          value: nowhere
"""
REFUSED = """\
apiVersion: apps/v1
kind: Deployment
metadata:
  name: greeter
spec:
  template:
    spec:
      restartPolicy: Never
"""
UNSCHEDULABLE = """\
apiVersion: apps/v1
kind: Deployment
metadata:
  name: greeter
spec:
  progressDeadlineSeconds: 1
  template:
    spec:
      containers:
      - name: greeter
        resources:
          requests:
            cpu: "100000"
"""


@step("The first version is built, published, committed and deployed to every environment")
def first_deployment(world: World) -> str:
    world.environment.begin()
    world.source.begin()
    revision = _release_through_ci(world, world.source.push())
    revision = world.environment.promote("dev", "staging", "production")
    since = Moment.now()
    world.register()
    world.then(f"{revision[:8]} to live in {', '.join(world.applications)}", world.lives_everywhere, revision, since)
    return revision


@step("A new version goes live by a commit: CI never touches the cluster")
def release(world: World) -> str:
    since = Moment.now()
    revision = _release_through_ci(world, world.source.release("1.1.0"))
    world.then(f"{revision[:8]} to live in dev", world.dev.lives, revision, since)
    return revision


def _release_through_ci(world: World, commit: str) -> str:
    """Wait for CI to release a source commit, and check that it says what it did; return the commit it made."""
    run = world.pipeline.passes(commit, Deadline.after(PIPELINE_SECONDS))
    revision = world.environment.pull()
    image = world.environment.image("dev", revision)
    world.evidence(source_commit=commit, ci_run=run.id, environment_commit=revision, image=image)
    world.check(f"the commit to name the image of {commit[:8]}", _names_tag, image, commit)
    world.check("the registry to hold that very image", world.registry.holds, image)
    return revision


def _names_tag(image: str, commit: str) -> Observation:
    tag = image.partition("@")[0].rpartition(":")[2]
    return met(image) if tag == commit else pending(f"the environment repository names {image}")


@step("The application answers, and says that it is the version of the commit", needs=CONTAINERS)
def answers(world: World) -> None:
    version, commit = world.source.version, world.source.head
    seen = world.then(f"{version} to answer", world.service.says, version, commit)
    world.evidence(answer=seen.seen)


@step("Another version goes live while it is in use, and no request is lost", needs=CONTAINERS)
def rollout_in_use(world: World) -> None:
    before, since = world.source.version, Moment.now()
    with world.traffic() as traffic:
        revision = _release_through_ci(world, world.source.release("1.2.0"))
        world.then(f"{revision[:8]} to live in dev", world.dev.lives, revision, since)
        world.then("the new version to answer", world.service.says, world.source.version, world.source.head)
    world.check("no request to be lost", traffic.lossless, before, world.source.version)
    world.evidence(requests=traffic.answers, lost=len(traffic.lost))


@step("A Deployment scaled by hand is scaled back")
def scaled_by_hand(world: World, revision: str) -> None:
    since = Moment.now()
    change = world.cluster.scale(world.dev.namespace, "greeter", 5)
    world.then("the scaling to be undone", world.dev.healed, change, revision, since)
    world.evidence(drift=change.said, healed_to=revision)


@step("An image changed by hand is changed back")
def image_changed_by_hand(world: World, revision: str) -> None:
    since = Moment.now()
    change = world.cluster.set_image(world.dev.namespace, "greeter", "example.com/greeter:latest")
    world.then("the image to be changed back", world.dev.healed, change, revision, since)
    world.evidence(drift=change.said, healed_to=world.environment.image("dev", revision))


@step("A Service deleted by hand is made again")
def deleted_by_hand(world: World, revision: str) -> None:
    since = Moment.now()
    change = world.cluster.delete("v1", "Service", world.dev.namespace, "greeter")
    world.then("the Service to be there again", world.dev.healed, change, revision, since)
    world.evidence(drift=f"Service greeter {change.said}", healed_to=revision)


@step("An object that no commit names is pruned")
def smuggled_in(world: World, revision: str) -> None:
    since = Moment.now()
    change = world.cluster.smuggle(world.dev.name, world.dev.namespace, "not-in-git")
    world.then("the extra ConfigMap to be pruned", world.dev.healed, change, revision, since)
    world.evidence(drift=f"ConfigMap not-in-git {change.said}", healed_to=revision)


@step("A release that crashes never takes the place of the good one, and git revert clears it away", needs=CONTAINERS)
def crash_loop(world: World, good: str) -> None:
    with world.traffic() as traffic:
        bad = world.environment.patch("dev", "address", CRASHING, "Listen on an address that there is not")
        seen = world.then(f"{bad[:8]} to crash", world.dev.crashes, bad)
        world.check(f"the pods of {good[:8]} to serve on", world.dev.still_serves, good)
        since = Moment.now()
        reverted = world.environment.revert(bad)
        world.then("the revert to live", world.dev.lives, reverted, since)
    world.check("no request to be lost", traffic.lossless, world.source.version)
    world.evidence(bad_commit=bad, crash=seen.seen, revert=reverted, requests=traffic.answers, lost=len(traffic.lost))


@step("A manifest that the API server refuses is seen as refused, and changes nothing that lives")
def refused_by_the_api_server(world: World, good: str) -> str:
    bad = world.environment.patch("dev", "restart-policy", REFUSED, "Never restart the greeter")
    seen = world.then(f"{bad[:8]} to be refused", world.dev.refuses, bad)
    world.then(f"{good[:8]} to live on", world.dev.content, good)
    since = Moment.now()
    reverted = world.environment.revert(bad)
    world.then("the revert to live", world.dev.lives, reverted, since)
    world.evidence(bad_commit=bad, refusal=seen.seen, revert=reverted)
    return reverted


@step("A release that can't be rolled out is seen as Degraded, and the good pods serve on")
def rollout_past_its_deadline(world: World, good: str) -> str:
    bad = world.environment.patch("dev", "too-big", UNSCHEDULABLE, "Ask for a hundred thousand cores")
    seen = world.then(f"the rollout of {bad[:8]} to pass its deadline", world.dev.degrades, bad)
    world.check(f"the pods of {good[:8]} to serve on", world.dev.still_serves, good)
    world.evidence(bad_commit=bad, seen=seen.seen)
    return bad


@step("git revert brings the good release back")
def rollback_by_revert(world: World, bad: str, good: str) -> str:
    since = Moment.now()
    reverted = world.environment.revert(bad)
    world.then(f"{reverted[:8]} to live in dev", world.dev.lives, reverted, since)
    image = world.environment.image("dev", reverted)
    world.check("it to be the image of the good release", _same, image, world.environment.image("dev", good))
    world.check("the registry to hold it", world.registry.holds, image)
    world.evidence(reverted=bad, revert=reverted, image=image)
    return reverted


def _same(one: str, other: str) -> Observation:
    return met(one) if one == other else pending(f"{one} is not {other}")


@step("Git and Argo CD tell the same history")
def audit_trail(world: World, deployed: list[str], reverted: dict[str, str]) -> None:
    world.check("Git to hold every commit and say who and why", _git_tells, world, deployed, reverted)
    world.then("Argo CD to have deployed them in that order", _argocd_tells, world, deployed)
    history = [entry["revision"] for entry in world.dev.history()]
    world.evidence(git=[commit.short for commit in world.environment.history()], argocd=[sha[:8] for sha in history])


def _git_tells(world: World, deployed: list[str], reverted: dict[str, str]) -> Observation:
    commits = {commit.revision: commit for commit in world.environment.history()}
    missing = [revision[:8] for revision in [*deployed, *reverted] if revision not in commits]
    if missing:
        return pending(f"gone from the repository: {', '.join(missing)}")
    for revert, bad in reverted.items():
        if f"This reverts commit {bad}" not in commits[revert].message:
            return pending(f"{revert[:8]} does not say that it reverts {bad[:8]}")
    released = [commit for commit in commits.values() if "Source-Commit" in commit.trailers()]
    if not all({"Image-New", "Image-Digest", "Build-Id"} <= set(commit.trailers()) for commit in released):
        return pending("a release does not say which image, digest and build it is of")
    return met(f"{len(commits)} commits, {len(released)} releases")


def _argocd_tells(world: World, deployed: list[str]) -> Observation:
    told = [entry["revision"] for entry in world.dev.history()]
    known = [revision for revision in told if revision in deployed]
    if known != deployed:
        return pending(f"Argo CD's history is {[sha[:8] for sha in told]}, deployed were {[d[:8] for d in deployed]}")
    return met(f"{len(told)} deployments")


@story(
    sabotages=(
        Sabotage(
            "git-password-wrong", "first-deployment", "Argo CD's Git password is wrong", sabotage.wrong_git_password
        ),
        Sabotage(
            "webhook-secret-wrong", "release", "Argo CD expects another webhook secret", sabotage.wrong_webhook_secret
        ),
        Sabotage("wrong-tag", "release", "CI announces the tag of an earlier commit", sabotage.announce_wrong_tag),
        Sabotage("unpushed-image", "release", "CI announces what it never pushed", sabotage.announce_unpushed_image),
        Sabotage(
            "service-misled", "answers", "the Service leads to no pod", sabotage.mislead_service, needs=CONTAINERS
        ),
        Sabotage(
            "pods-killed",
            "rollout-in-use",
            "every pod is killed again and again",
            sabotage.keep_killing_pods,
            needs=CONTAINERS,
        ),
        Sabotage("crash-lost", "crash-loop", "commits go to a fork", sabotage.push_to_fork, needs=CONTAINERS),
        Sabotage("self-heal-off-scale", "scaled-by-hand", "self-heal is off", sabotage.self_heal_off),
        Sabotage("self-heal-off-image", "image-changed-by-hand", "self-heal is off", sabotage.self_heal_off),
        Sabotage("paused", "deleted-by-hand", "reconciliation is paused", sabotage.pause_reconciliation),
        Sabotage("prune-off", "smuggled-in", "prune is off", sabotage.prune_off),
        Sabotage("push-lost", "refused-by-the-api-server", "commits go to a fork", sabotage.push_to_fork),
        Sabotage(
            "rollout-unseen",
            "rollout-past-its-deadline",
            "reconciliation is paused",
            sabotage.pause_reconciliation,
        ),
        Sabotage(
            "big-node",
            "rollout-past-its-deadline",
            "a node joins that is big enough",
            sabotage.add_big_node,
            needs=frozenset({"played-nodes"}),
        ),
        Sabotage("revert-not-pushed", "rollback-by-revert", "the revert goes to a fork", sabotage.push_to_fork),
        Sabotage("history-rewritten", "audit-trail", "the history is squashed", sabotage.squash_history),
    )
)
def core(world: World) -> None:
    """Build, commit, sync, drift and rollback, each proved by content.

    A version is released by CI through the environment repository, changes by hand are healed, bad
    releases are seen as such, and git revert brings the good one back with the audit trail whole.
    """
    first_deployment(world)
    release(world)
    answers(world)
    rollout_in_use(world)
    good = world.environment.head
    scaled_by_hand(world, good)
    image_changed_by_hand(world, good)
    deleted_by_hand(world, good)
    smuggled_in(world, good)
    crash_loop(world, good)
    mended = refused_by_the_api_server(world, good)
    bad = rollout_past_its_deadline(world, mended)
    restored = rollback_by_revert(world, bad, mended)
    audit_trail(world, [good, mended, bad, restored], {restored: bad})
