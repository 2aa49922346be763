"""The core story: build, commit, sync, drift, rollback."""

from __future__ import annotations

from sandbox.core.folders import data_root
from sandbox.gitops import sabotage
from sandbox.gitops.story import Sabotage, eventually, evidence, expect, step, story
from sandbox.gitops.world import World

__all__ = ["core"]

CONTAINERS = frozenset({"containers"})
"""What a step needs that asks the application itself."""

SETTINGS = frozenset({"argocd-settings"})
"""What a sabotage needs that changes Argo CD's own settings."""

PATCHES = data_root() / "fixtures" / "patches"
PIPELINE_SECONDS = 300.0  # the first run of all compiles the application's standard library, on a busy machine too


def _released(world: World, commit: str) -> str:
    """Demand that CI releases a source commit and says what it did; return the commit that it made."""
    eventually(world.pipeline.passes(commit), within=PIPELINE_SECONDS)
    revision = world.environment.pull()
    evidence(source_commit=commit, environment_commit=revision)
    expect(world.environment.names("dev", revision, tag=commit))
    expect(world.registry.holds(world.environment.image("dev", revision)))
    return revision


@step("The first version is built, published, committed and deployed to every environment")
def first_deployment(world: World) -> None:
    world.environment.begin()
    world.source.begin()
    _released(world, world.source.push())
    revision = world.environment.promote("dev", "staging", "production")
    world.register()
    eventually(world.lives_everywhere(revision))


@step("A new version goes live by a commit: CI never touches the cluster")
def release(world: World) -> None:
    eventually(world.dev.lives(_released(world, world.source.release("1.1.0"))))


@step("The application answers, and says that it is the version of the commit", needs=CONTAINERS)
def answers(world: World) -> None:
    eventually(world.service.says(world.source.version, world.source.head))


@step("Another version goes live while it is in use, and no request is lost", needs=CONTAINERS)
def rollout_in_use(world: World) -> None:
    before = world.source.version
    with world.traffic() as traffic:
        eventually(world.dev.lives(_released(world, world.source.release("1.2.0"))))
        eventually(world.service.says(world.source.version, world.source.head))
    expect(traffic.lossless(before, world.source.version))


@step("A Deployment scaled by hand is scaled back")
def scaled_by_hand(world: World, good: str) -> None:
    change = world.cluster.scale(world.dev.namespace, "greeter", 5)
    eventually(world.dev.heals(change, good))


@step("An image changed by hand is changed back")
def image_changed_by_hand(world: World, good: str) -> None:
    change = world.cluster.set_image(world.dev.namespace, "greeter", "example.com/greeter:latest")
    eventually(world.dev.heals(change, good))


@step("A Service deleted by hand is made again")
def deleted_by_hand(world: World, good: str) -> None:
    change = world.cluster.delete("v1", "Service", world.dev.namespace, "greeter")
    eventually(world.dev.heals(change, good))


@step("An object that no commit names is pruned")
def smuggled_in(world: World, good: str) -> None:
    change = world.cluster.smuggle(world.dev.name, world.dev.namespace, "not-in-git")
    eventually(world.dev.heals(change, good))


@step("A release that crashes never takes the place of the good one, and git revert clears it away", needs=CONTAINERS)
def crash_loop(world: World, good: str) -> None:
    with world.traffic() as traffic:
        bad = world.environment.patch("dev", PATCHES / "address.yaml", "Listen on an address that there is not")
        eventually(world.dev.crashes(bad))
        expect(world.dev.still_serves(good))
        revert = world.environment.revert(bad)
        eventually(world.dev.lives(revert))
    evidence(revert=revert)
    expect(traffic.lossless(world.source.version))


@step("A manifest that the API server refuses is seen as refused, and changes nothing that lives")
def refused_by_the_api_server(world: World, good: str) -> str:
    bad = world.environment.patch("dev", PATCHES / "restart-policy.yaml", "Never restart the greeter")
    evidence(refusal=eventually(world.dev.refuses(bad)).seen)
    eventually(world.dev.is_as(good))
    mended = world.environment.revert(bad)
    eventually(world.dev.lives(mended))
    evidence(revert=mended)
    return mended


@step("A release that can't be rolled out is seen as Degraded, and the good pods serve on")
def rollout_past_its_deadline(world: World, good: str) -> str:
    bad = world.environment.patch("dev", PATCHES / "too-big.yaml", "Ask for a hundred thousand cores")
    evidence(seen=eventually(world.dev.degrades(bad)).seen)
    expect(world.dev.still_serves(good))
    return bad


@step("git revert brings the good release back")
def rollback_by_revert(world: World, bad: str, good: str) -> str:
    restored = world.environment.revert(bad)
    eventually(world.dev.lives(restored))
    evidence(reverted=bad, revert=restored)
    expect(world.environment.names_the_same("dev", restored, good))
    expect(world.registry.holds(world.environment.image("dev", restored)))
    return restored


@step("Git and Argo CD tell the same history")
def audit_trail(world: World, deployed: list[str], reverted: dict[str, str]) -> None:
    expect(world.environment.tells(deployed, reverted))
    eventually(world.dev.has_deployed(deployed))


@story(
    sabotages=(
        Sabotage(
            "git-password-wrong", "first-deployment", "Argo CD's Git password is wrong", sabotage.wrong_git_password
        ),
        Sabotage(
            "webhook-secret-wrong",
            "release",
            "Argo CD expects another webhook secret",
            sabotage.wrong_webhook_secret,
            needs=SETTINGS,
            shared=True,
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
            shared=True,
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
