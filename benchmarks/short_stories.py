"""Short stories told in one sandbox: how long fifty take, what two at once gain, and what telling itself costs."""

from __future__ import annotations

import time

from sandbox.core.jobs import Job, Turn, run_jobs
from sandbox.core.timeline import Timeline
from sandbox.engines.access import Access
from sandbox.gitops.evidence import Witness
from sandbox.gitops.story import eventually, story, tell, then, when
from sandbox.gitops.tenant import Tenant
from sandbox.gitops.world import World

__all__ = ["many_stories", "own_overhead"]


@story
def a_deployment_goes_live(world: World) -> None:
    """A commit goes live in dev, and its tenant is cleared away."""
    with when("an environment is described and registered"):
        world.environment.begin()
        world.register("dev")
    with then("it lives in dev"):
        eventually(world.dev.lives(world.environment.head))


@story
def nothing_happens(world: World) -> None:
    """Nothing is done, and so all that takes time is the telling."""
    del world


def many_stories(access: Access, count: int, at_once: int) -> float:
    """Tell so many short stories, each in a tenant of its own that is cleared afterwards; give the seconds."""

    def job(number: int) -> Job[None]:
        def act(turn: Turn) -> None:
            del turn
            world = World(access, Tenant(f"short-{number:02}"))
            result = tell(a_deployment_goes_live, world, Timeline())
            if result.error is not None:
                raise result.error
            world.clear()

        return Job(act)

    began = time.monotonic()
    run_jobs([job(number) for number in range(count)], at_once)
    return time.monotonic() - began


def own_overhead(access: Access, number: int) -> float:
    """Tell a story in which nothing happens, watched as any, its tenant made and cleared.

    Returns:
        The CPU seconds of this process, all its threads together: what the servers take is none of ours.
    """
    began = time.process_time()
    world, timeline = World(access, Tenant(f"nothing-{number:02}")), Timeline()
    Witness(world, timeline).begin()
    tell(nothing_happens, world, timeline)
    world.clear()
    return time.process_time() - began
