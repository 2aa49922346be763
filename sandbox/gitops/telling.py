"""The telling of a story: which step is taken, what it must show, and what became of it."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, ExitStack
from dataclasses import dataclass, field
from typing import Any, TypeVar

from sandbox.core.conditions import Condition, Deadline, Observation, State, hold, wait_for
from sandbox.core.errors import ConditionFailedError, DeadlineError, SandboxError
from sandbox.core.timeline import Timeline

__all__ = ["StepResult", "StoryFailedError", "Telling"]

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


class Telling:
    """One telling of a story: notes each step, and breaks what is to be broken before one.

    Args:
        timeline: Gets each step and verdict.
        breaks: What to enter before which step; under it, the step's verdicts are not to come true.
        mending: Leaves it again when the story has ended.
    """

    def __init__(
        self, timeline: Timeline, breaks: Mapping[str, AbstractContextManager[None]], mending: ExitStack
    ) -> None:
        self._timeline = timeline
        self._breaks = breaks
        self._mending = mending
        self._within = WITHIN
        self._by_verdict = False
        self.steps: list[StepResult] = []

    def take(self, result: StepResult, missing: frozenset[str], act: Callable[[], R]) -> R | None:
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
            if result.name in self._breaks:
                self._within = UNDER_SABOTAGE
                self._mending.enter_context(self._breaks[result.name])
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

    def check(self, wanted: str, look: Condition) -> Observation:
        """Demand something that nothing changes any more: one look tells."""
        self._by_verdict = True
        seen = look()
        if seen.state is not State.MET:
            raise ConditionFailedError(f"{wanted}: it is not so", why=seen.seen)
        self._by_verdict = False
        self._timeline.record(self.steps[-1].name, "proved", f"{wanted}: {seen.seen}", seconds=0.0)
        return seen

    def then(self, wanted: str, look: Condition, *, wake: threading.Event, hint: str) -> Observation:
        """Demand that something comes true soon, and stays so for a moment."""
        began = time.monotonic()
        deadline = Deadline.after(self._within)
        self._by_verdict = True
        flicker = None
        while True:
            try:
                seen = wait_for(look, deadline, wanted=wanted, hint=hint, wake=wake, every=0.25)
            except DeadlineError as error:
                raise flicker or error from None
            seconds = time.monotonic() - began
            try:
                hold(look, LASTING, wanted=wanted, wake=wake, every=0.1)
                break
            except ConditionFailedError as error:
                # Argo CD's word on health flickers while it settles; what does not settle in time fails.
                flicker = error
                if deadline.passed:
                    raise
        self._by_verdict = False
        self._timeline.record(self.steps[-1].name, "proved", f"{wanted}: {seen.seen}", seconds=round(seconds, 3))
        return seen
