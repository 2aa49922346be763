"""A story that passes under its own sabotage is a broken check: each is broken on purpose, and must notice."""

from __future__ import annotations

import ast
import inspect
import sys

import pytest

from sandbox.core.timeline import Timeline
from sandbox.engines import sandboxes
from sandbox.engines.access import Access
from sandbox.engines.embedded import Embedded
from sandbox.gitops.story import Sabotage, Story, story, survived, tell
from sandbox.gitops.tenant import Tenant
from sandbox.gitops.world import World
from scenarios import catalogue
from scenarios.core import first_deployment, release
from tests.e2e.support import User, by_night

BREAKS = [
    (story, sabotage)
    for story in catalogue().values()
    for sabotage in story.sabotages
    if not sabotage.missing(Embedded.capabilities)
]
IDS = [f"{story.name}-{sabotage.name}" for story, sabotage in BREAKS]


# One for each thing that a step claims: that it was deployed, is what CI has built, was rolled back. That it was healed
# waits for the night: only a minute without it shows that it never comes.
ALWAYS = ("git-password-wrong", "wrong-tag", "revert-not-pushed")


assert set(ALWAYS) <= {sabotage.name for _, sabotage in BREAKS}


def is_always_shown(case: tuple[Story, Sabotage]) -> bool:
    return case[1].name in ALWAYS


pytestmark = pytest.mark.timeout(300)


@pytest.fixture(scope="module")
def access(user: User) -> Access:
    del user
    return sandboxes.up("sabotage", sandboxes.UpOptions(), Timeline())


def steps_of(story: Story) -> set[str]:
    """Give the steps of a story's module, as its source names them."""
    tree = ast.parse(inspect.getsource(sys.modules[story.play.__module__]))
    functions = [node for node in tree.body if isinstance(node, ast.FunctionDef)]
    return {
        function.name.replace("_", "-")
        for function in functions
        if any(isinstance(mark, ast.Call) and ast.unparse(mark.func) == "step" for mark in function.decorator_list)
    }


@pytest.mark.parametrize(("story", "sabotage"), by_night(BREAKS, but=is_always_shown), ids=IDS)
def test_a_story_fails_at_the_step_that_is_sabotaged(access: Access, story: Story, sabotage: Sabotage) -> None:
    # A tenant of its own: nothing has to be cleared first.
    result = tell(story, World(access, Tenant(sabotage.name)), Timeline(), sabotage)
    reason = survived(result, sabotage)
    assert reason is None, f"{reason}\n{result.error}"


@pytest.mark.parametrize("story", catalogue().values(), ids=catalogue())
def test_every_step_of_a_story_has_a_sabotage_where_it_can_be_taken(story: Story) -> None:
    assert steps_of(story) == {sabotage.step for sabotage in story.sabotages}
    for engine in sandboxes.ENGINES.values():
        shown = {sabotage.step for sabotage in story.sabotages if not sabotage.missing(engine.capabilities)}
        needy = {sabotage.step for sabotage in story.sabotages if "containers" in sabotage.needs}
        assert steps_of(story) - shown == (set() if "containers" in engine.capabilities else needy)


@story(sabotages=())
def a_release(world: World) -> None:
    """A release goes live, which takes CI, the webhook and Argo CD."""
    first_deployment(world)
    release(world)


@pytest.mark.nightly
def test_the_sandbox_is_whole_again_after_a_sabotage_that_reaches_beyond_its_story(access: Access) -> None:
    world = World(access, Tenant("whole-again"))
    sabotage = next(each for each in catalogue()["core"].sabotages if each.name == "webhook-secret-wrong")
    assert not tell(a_release, world, Timeline(), sabotage).passed
    result = tell(a_release, world, Timeline())
    assert result.passed, result.error
