"""Stories: plain functions over a world, told step by step, with evidence for each verdict.

A story is marked by ``@story`` and calls functions marked by ``@step``. A step acts, then says by
``world.then`` what must come true, and gives evidence that a reader can check. A sabotage breaks
the system just before one step, and the story must fail at that step: a story that passes all the
same is a broken check.
"""

from __future__ import annotations

import functools
import time
from collections.abc import Callable
from contextlib import AbstractContextManager, ExitStack
from dataclasses import dataclass, field
from typing import Any, Concatenate, ParamSpec, TypeVar

from sandbox.core.conditions import Deadline, Observation, State, hold, wait_for
from sandbox.core.errors import ConditionFailedError, DeadlineError, SandboxError
from sandbox.core.timeline import Timeline
from sandbox.gitops.world import World

__all__ = [
    "Sabotage",
    "StepResult",
    "Story",
    "StoryFailedError",
    "StoryResult",
    "Telling",
    "step",
    "story",
    "survived",
    "tell",
]

P = ParamSpec("P")
R = TypeVar("R")

WITHIN = 30.0
"""Seconds that a verdict has: a push is live in well under one, a machine may be busy."""
UNDER_SABOTAGE = 8.0
"""Seconds that a verdict has which is meant not to come true: many times what it takes otherwise."""
LASTING = 0.3
"""Seconds that a verdict must stay true, so that no passing moment counts."""


class StoryFailedError(SandboxError):
    """A story did not hold: exit code 1.

    Attributes:
        step: The step at which it failed.
        by_verdict: Whether a verdict did not hold; otherwise an action could not even be done.
    """

    exit_code = 1

    def __init__(self, step: str, error: SandboxError, *, by_verdict: bool) -> None:
        super().__init__(f"{step}: {error.what}", why=error.why, hint=error.hint)
        self.step = step
        self.by_verdict = by_verdict


@dataclass(slots=True)
class StepResult:
    """What became of a step.

    Attributes:
        name: The step's name.
        sentence: What it shows.
        status: passed, failed or skipped.
        seconds: How long it took.
        evidence: What a reader can check: SHAs, digests, objects compared.
        reason: Why it failed or was skipped.
    """

    name: str
    sentence: str
    status: str = "passed"
    seconds: float = 0.0
    evidence: dict[str, Any] = field(default_factory=dict)
    reason: str = ""

    def to_json(self) -> dict[str, Any]:
        """Give the result as JSON data."""
        return {name: getattr(self, name) for name in self.__slots__}


@dataclass(frozen=True, slots=True)
class Sabotage:
    """A deliberate break under which a story must fail.

    Attributes:
        name: Its name, unique within the story.
        step: The step before which it happens, and at which the story must fail.
        sentence: What is broken.
        wreck: Breaks it when entered, and mends it when the story has ended.
    """

    name: str
    step: str
    sentence: str
    wreck: Callable[[World], AbstractContextManager[None]]


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
        """Give the result as JSON data; ``skipped`` names what this engine can't show, and why."""
        return {
            "scenario": self.name,
            "passed": self.passed,
            "engine": self.engine,
            "steps": [result.to_json() for result in self.steps],
            "skipped": [
                {"name": result.name, "reason": result.reason} for result in self.steps if result.status == "skipped"
            ],
        }


class Telling:
    """One telling of a story: notes each step, and breaks what its sabotage says."""

    def __init__(self, timeline: Timeline, sabotage: Sabotage | None, mending: ExitStack) -> None:
        self._timeline = timeline
        self._sabotage = sabotage
        self._mending = mending
        self._within = WITHIN
        self._by_verdict = False
        self.steps: list[StepResult] = []

    def take(self, result: StepResult, missing: frozenset[str], world: World, act: Callable[[], R]) -> R | None:
        """Take one step, or skip it where the engine lacks what it needs."""
        self.steps.append(result)
        if missing:
            result.status, result.reason = "skipped", f"this engine has no {', '.join(sorted(missing))}"
            self._timeline.record(result.name, "skipped", f"{result.sentence}: {result.reason}")
            return None
        self._timeline.record(result.name, "starting", result.sentence)
        began = time.monotonic()
        self._by_verdict = False
        try:
            if self._sabotage is not None and self._sabotage.step == result.name:
                self._within = UNDER_SABOTAGE
                self._mending.enter_context(self._sabotage.wreck(world))
            done = act()
        except SandboxError as error:
            result.status, result.reason = "failed", str(error)
            # A server that does not answer while a verdict looks is no verdict.
            told = isinstance(error, ConditionFailedError | DeadlineError)
            raise StoryFailedError(result.name, error, by_verdict=self._by_verdict and told) from error
        except BaseException as error:
            result.status, result.reason = "failed", repr(error)
            raise
        finally:
            result.seconds = round(time.monotonic() - began, 3)
            if result.status == "failed":
                self._timeline.record(result.name, "failed", result.reason)
        self._timeline.record(result.name, "passed", **result.evidence)
        return done

    def evidence(self, **items: Any) -> None:
        """Add evidence to the step that is being taken."""
        self.steps[-1].evidence.update(items)

    def check(
        self, wanted: str, condition: Callable[P, Observation], *arguments: P.args, **options: P.kwargs
    ) -> Observation:
        """Demand something that nothing changes any more: one look tells."""
        self._by_verdict = True
        seen = condition(*arguments, **options)
        if seen.state is not State.MET:
            raise ConditionFailedError(f"{wanted}: it is not so", why=seen.seen)
        self._by_verdict = False
        self._timeline.record(self.steps[-1].name, "proved", f"{wanted}: {seen.seen}", seconds=0.0)
        return seen

    def then(
        self,
        world: World,
        wanted: str,
        condition: Callable[P, Observation],
        *arguments: P.args,
        **options: P.kwargs,
    ) -> Observation:
        """Demand that something comes true soon, and stays so for a moment."""
        began = time.monotonic()
        look = functools.partial(condition, *arguments, **options)
        self._by_verdict = True
        seen = wait_for(
            look,
            Deadline.after(self._within),
            wanted=wanted,
            hint=f"logs: {world.access.folder / 'logs'}",
            wake=world.changed,
            every=0.25,
        )
        seconds = time.monotonic() - began
        hold(look, LASTING, wanted=wanted, wake=world.changed, every=0.1)
        self._by_verdict = False
        self._timeline.record(self.steps[-1].name, "proved", f"{wanted}: {seen.seen}", seconds=round(seconds, 3))
        return seen


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
            missing = needs - world.access.capabilities
            result = StepResult(name, sentence)
            # A step that may be skipped returns nothing that others need.
            return world.telling.take(result, missing, world, lambda: function(world, *args, **kwargs))  # type: ignore[return-value]

        return taken

    return decorate


def story(*, sabotages: tuple[Sabotage, ...]) -> Callable[[Callable[[World], None]], Story]:
    """Mark a function as a story; its docstring is its entry in the catalogue."""

    def decorate(function: Callable[[World], None]) -> Story:
        description = (function.__doc__ or "").strip()
        name = function.__name__.replace("_", "-")
        return Story(name, description.partition("\n")[0], description, sabotages, function)

    return decorate


def tell(told: Story, world: World, timeline: Timeline, sabotage: Sabotage | None = None) -> StoryResult:
    """Tell a story in a world.

    Args:
        told: Which story.
        world: Where; it is cleared of what an earlier telling under the same tenant left.
        timeline: Gets each step and verdict.
        sabotage: What to break.

    Returns:
        What became of it; a failure is in it, not raised.
    """
    began = time.monotonic()
    error = None
    with ExitStack() as mending:
        world.telling = Telling(timeline, sabotage, mending)
        try:
            with world:
                told.play(world)
        except StoryFailedError as failure:
            error = failure
    return StoryResult(told.name, world.access.engine, round(time.monotonic() - began, 3), world.telling.steps, error)


def survived(result: StoryResult, sabotage: Sabotage) -> str | None:
    """Say why a story told under a sabotage did not notice it as it must; None when it did."""
    if result.error is None:
        return "the story passed all the same"
    if result.error.step != sabotage.step:
        return f"it failed at {result.error.step} instead: {result.error.what}"
    if not result.error.by_verdict:
        return f"an action broke before any verdict was reached: {result.error.what}"
    return None
