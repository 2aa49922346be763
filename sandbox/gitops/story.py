"""Stories: plain functions over a world, told step by step, with evidence for each verdict.

A story is marked by ``@story``. Its steps are the blocks that it opens, ``with when("..."):``, or
functions marked by ``@step``. A step acts, then says what must come true:
``eventually(dev.lives(revision))``. A sabotage breaks the system just before one step, and the story
must fail at that step: a story that passes all the same is a broken check.
"""

from __future__ import annotations

import functools
import time
from collections.abc import Callable
from contextlib import AbstractContextManager, ExitStack
from dataclasses import dataclass
from typing import Any, Concatenate, ParamSpec, TypeVar, overload

from sandbox.core.timeline import Timeline
from sandbox.gitops.steps import Conduct, StepResult, StoryFailedError
from sandbox.gitops.telling import (
    Telling,
    consistently,
    eventually,
    evidence,
    expect,
    given,
    take,
    then,
    when,
)
from sandbox.gitops.world import World

__all__ = [
    "Conduct",
    "Sabotage",
    "StepResult",
    "Story",
    "StoryFailedError",
    "StoryResult",
    "Telling",
    "consistently",
    "eventually",
    "evidence",
    "expect",
    "given",
    "step",
    "story",
    "survived",
    "tell",
    "then",
    "when",
]

P = ParamSpec("P")
R = TypeVar("R")


@dataclass(frozen=True, slots=True)
class Sabotage:
    """A deliberate break under which a story must fail.

    Attributes:
        name: Its name, unique within the story.
        step: The step before which it happens, and at which the story must fail.
        sentence: What is broken.
        wreck: Breaks it when entered, and mends it when the story has ended.
        needs: What the engine must be able to do: what the step needs, and what the break itself does.
        shared: Whether it breaks what stories share, so that no other one may be told in the sandbox meanwhile.
    """

    name: str
    step: str
    sentence: str
    wreck: Callable[[World], AbstractContextManager[None]]
    needs: frozenset[str] = frozenset()
    shared: bool = False

    def missing(self, capabilities: frozenset[str]) -> str:
        """Say why it can't be shown on an engine that can do this much; empty when it can."""
        lacking = sorted(self.needs - capabilities)
        return f"this engine has no {', '.join(lacking)}" if lacking else ""


@dataclass(frozen=True, slots=True)
class Story:
    """A story of the catalogue.

    Attributes:
        name: What it is called on the command line.
        summary: The first line of its docstring.
        description: The whole docstring.
        sabotages: The breaks under which it must fail.
        play: The function itself.
    """

    name: str
    summary: str
    description: str
    sabotages: tuple[Sabotage, ...]
    play: Callable[[World], None]

    def __call__(self, world: World) -> None:
        """Tell it as a part of what is being told already: of another story, or of a test."""
        self.play(world)


@dataclass(slots=True)
class StoryResult:
    """What became of a story: its steps, and the error that ended it if one did."""

    name: str
    engine: str
    seconds: float
    steps: list[StepResult]
    error: StoryFailedError | None

    @property
    def passed(self) -> bool:
        """Whether every step that the engine can show was shown to hold."""
        return self.error is None

    def to_json(self) -> dict[str, Any]:
        """Give the result as JSON data: the steps that were taken; ``skipped`` names the others, and why."""
        return {
            "scenario": self.name,
            "passed": self.passed,
            "engine": self.engine,
            "steps": [result.to_json() for result in self.steps if result.status != "skipped"],
            "skipped": [
                {"name": result.name, "reason": result.reason} for result in self.steps if result.status == "skipped"
            ],
        }


def step(
    sentence: str, *, needs: frozenset[str] = frozenset()
) -> Callable[[Callable[Concatenate[World, P], R]], Callable[Concatenate[World, P], R]]:
    """Mark a function as a step of stories.

    Args:
        sentence: What the step shows, for people.
        needs: What the engine must be able to do (see ``Access.capabilities``).
    """

    def decorate(function: Callable[Concatenate[World, P], R]) -> Callable[Concatenate[World, P], R]:
        name = function.__name__.replace("_", "-")

        @functools.wraps(function)
        def taken(world: World, /, *args: P.args, **kwargs: P.kwargs) -> R:
            result, can = StepResult(name, sentence), world.access.capabilities
            # A step that may be skipped returns nothing that others need.
            return take(result, needs, can, lambda: function(world, *args, **kwargs))  # type: ignore[return-value]

        return taken

    return decorate


@overload
def story(function: Callable[[World], None], /) -> Story: ...


@overload
def story(*, sabotages: tuple[Sabotage, ...]) -> Callable[[Callable[[World], None]], Story]: ...


def story(
    function: Callable[[World], None] | None = None, /, *, sabotages: tuple[Sabotage, ...] = ()
) -> Story | Callable[[Callable[[World], None]], Story]:
    """Mark a function as a story; its docstring is its entry in the catalogue.

    Args:
        function: The story, where the mark stands without brackets.
        sabotages: The breaks under which it must fail.
    """

    def decorate(function: Callable[[World], None]) -> Story:
        description = (function.__doc__ or "").strip()
        name = function.__name__.replace("_", "-")
        return Story(name, description.partition("\n")[0], description, sabotages, function)

    return decorate if function is None else decorate(function)


def tell(
    told: Story, world: World, timeline: Timeline, sabotage: Sabotage | None = None, conduct: Conduct | None = None
) -> StoryResult:
    """Tell a story in a world.

    Args:
        told: Which story.
        world: Where; it is cleared of what an earlier telling under the same tenant left.
        timeline: Gets each step and verdict.
        sabotage: What to break.
        conduct: How it is conducted from outside.

    Returns:
        What became of it; a failure is in it, not raised.
    """
    began = time.monotonic()
    error = None
    with ExitStack() as mending:
        breaks = {sabotage.step: sabotage.wreck(world)} if sabotage else {}
        telling = Telling(timeline, breaks, mending, conduct)
        try:
            with telling.told(), world:
                telling.take_place(world.changed, world.access.folder / "logs", world.within)
                told.play(world)
        except StoryFailedError as failure:
            error = failure
    return StoryResult(told.name, world.access.engine, round(time.monotonic() - began, 3), telling.steps, error)


def survived(result: StoryResult, sabotage: Sabotage) -> str | None:
    """Say why a story told under a sabotage did not notice it as it must; None when it did."""
    if result.error is None:
        return "the story passed all the same"
    if result.error.step != sabotage.step:
        return f"it failed at {result.error.step} instead: {result.error.what}"
    if not result.error.by_verdict:
        return f"an action broke before any verdict was reached: {result.error.what}"
    return None
