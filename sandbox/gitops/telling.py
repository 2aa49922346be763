"""The telling of a story: which step is taken, what it must show, and what became of it."""

from __future__ import annotations

import contextlib
import re
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, ExitStack
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import Any, TypeVar

from sandbox.core.conditions import Deadline, Observation, State, hold, wait_for
from sandbox.core.errors import ConditionFailedError, DeadlineError, SandboxError, UsageError
from sandbox.core.timeline import Timeline
from sandbox.gitops.moment import Moment
from sandbox.gitops.predicates import Predicate

__all__ = [
    "StepResult",
    "StoryFailedError",
    "Telling",
    "acting",
    "consistently",
    "eventually",
    "evidence",
    "expect",
    "given",
    "last_action",
    "take",
    "then",
    "when",
]

R = TypeVar("R")

WITHIN = 30.0
"""Seconds that a verdict has: a push is live in well under one, a machine may be busy."""
UNDER_SABOTAGE = 8.0
"""Seconds that a verdict has which is meant not to come true: many times what it takes otherwise."""
LASTING = 0.3
"""Seconds that what came true must stay true, so that no passing moment counts."""
CONSISTENTLY = 2.0
"""Seconds that something must stay true which is true already: several times what a heal takes."""


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

    Attributes:
        steps: What became of each step so far.
        acted: When the story last did something.
        wake: Set when something changed that a verdict may wait for.
        hint: What to look at when a verdict does not come true.
    """

    def __init__(
        self, timeline: Timeline, breaks: Mapping[str, AbstractContextManager[None]], mending: ExitStack
    ) -> None:
        self._timeline = timeline
        self._breaks = breaks
        self._mending = mending
        self._within: float | None = None
        self._by_verdict = False
        self._taking = False
        self.steps: list[StepResult] = []
        self.acted = Moment.now()
        self.wake = threading.Event()
        self.hint = ""

    @contextlib.contextmanager
    def told(self) -> Iterator[None]:
        """Be the telling that the words of the language speak to, in this thread."""
        token = _current.set(self)
        try:
            yield
        finally:
            _current.reset(token)

    def take(self, result: StepResult, missing: frozenset[str], act: Callable[[], R]) -> R | None:
        """Take one step, or skip it where the engine lacks what it needs."""
        if missing:
            self.steps.append(result)
            result.status, result.reason = "skipped", f"this engine has no {', '.join(sorted(missing))}"
            self._timeline.record(result.name, "skipped", f"{result.sentence}: {result.reason}")
            return None
        with self._step(result):
            return act()

    @contextlib.contextmanager
    def block(self, word: str, sentence: str) -> Iterator[None]:
        """Take a block of a story: a step of its own, or where a step is being taken, a part of that."""
        if self._taking:
            self._timeline.record(self.steps[-1].name, word, sentence)
            yield
            return
        name = re.sub(r"[^a-z0-9]+", "-", sentence.lower()).strip("-")
        with self._step(StepResult(name, f"{word} {sentence}")):
            yield

    @contextlib.contextmanager
    def _step(self, result: StepResult) -> Iterator[None]:
        self.steps.append(result)
        self._timeline.record(result.name, "starting", result.sentence)
        began = time.monotonic()
        self._by_verdict, self._taking = False, True
        self.acted = Moment.now()
        try:
            if result.name in self._breaks:
                self._within = UNDER_SABOTAGE
                self._mending.enter_context(self._breaks[result.name])
            yield
        except SandboxError as error:
            result.status, result.reason = "failed", str(error)
            # A server that does not answer while a verdict looks is no verdict.
            told = isinstance(error, ConditionFailedError | DeadlineError)
            raise StoryFailedError(result.name, error, by_verdict=self._by_verdict and told) from error
        except BaseException as error:
            result.status, result.reason = "failed", repr(error)
            raise
        finally:
            self._taking = False
            result.seconds = round(time.monotonic() - began, 3)
            if result.status == "failed":
                self._timeline.record(result.name, "failed", result.reason)
        self._timeline.record(result.name, "passed", **result.evidence)

    def prove(self, predicate: Predicate, look: Callable[[], Observation]) -> Observation:
        """Reach a verdict by ``look``, and note what it proved.

        Raises:
            ConditionFailedError: It is not so.
            DeadlineError: It did not come true in time.
        """
        if not self._taking:
            raise UsageError(
                f"{predicate.sentence}: nothing is being told that this could be a verdict of",
                hint='say it inside of a step, or of a block: with then("..."):',
            )
        began = time.monotonic()
        self._by_verdict = True
        seen = look()
        self._by_verdict = False
        step = self.steps[-1]
        step.evidence.update(predicate.evidence)
        self._timeline.record(
            step.name, "proved", f"{predicate.sentence}: {seen.seen}", seconds=round(time.monotonic() - began, 3)
        )
        return seen

    def comes_true(self, predicate: Predicate, within: float) -> Observation:
        """Wait until a predicate holds, and goes on to for a moment."""
        deadline = Deadline.after(min(within, self._within or within))
        flicker = None
        while True:
            try:
                seen = wait_for(
                    predicate, deadline, wanted=predicate.sentence, hint=self.hint, wake=self.wake, every=0.25
                )
            except DeadlineError as error:
                raise flicker or error from None
            if predicate.final:
                return seen
            try:
                hold(predicate, LASTING, wanted=predicate.sentence, wake=self.wake, every=0.1)
            except ConditionFailedError as error:
                # Argo CD's word on health flickers while it settles; what does not settle in time fails.
                flicker = error
                if deadline.passed:
                    raise
            else:
                return seen


_current: ContextVar[Telling | None] = ContextVar("telling", default=None)


def _telling() -> Telling:
    telling = _current.get()
    if telling is None:
        raise UsageError("no story is being told here", hint="these words belong into a function marked by @story")
    return telling


def take(result: StepResult, needs: frozenset[str], capabilities: frozenset[str], act: Callable[[], R]) -> R | None:
    """Take one step of the story that is being told, or skip it where the engine lacks what it needs."""
    return _telling().take(result, needs - capabilities, act)


# The words of the language, which speak to the telling that is under way.


def given(sentence: str) -> AbstractContextManager[None]:
    """Open the block that says where a story begins."""
    return _telling().block("given", sentence)


def when(sentence: str) -> AbstractContextManager[None]:
    """Open the block that does something."""
    return _telling().block("when", sentence)


def then(sentence: str) -> AbstractContextManager[None]:
    """Open the block that says what must come of it."""
    return _telling().block("then", sentence)


def eventually(predicate: Predicate, *, within: float | None = None) -> Observation:
    """Demand that something comes true within so many seconds, and stays so for a moment.

    Raises:
        ConditionFailedError: It can't come true any more, or did not last.
        DeadlineError: It did not come true in time; says what was last seen.
    """
    telling = _telling()
    return telling.prove(predicate, lambda: telling.comes_true(predicate, within or WITHIN))


def consistently(predicate: Predicate, *, seconds: float | None = None) -> Observation:
    """Demand that something is so now and stays so for so many seconds.

    Raises:
        ConditionFailedError: It is not, or did not stay so.
    """
    telling, lasting = _telling(), seconds or CONSISTENTLY
    return telling.prove(
        predicate, lambda: hold(predicate, lasting, wanted=predicate.sentence, wake=telling.wake, every=0.1)
    )


def expect(predicate: Predicate) -> Observation:
    """Demand something that nothing changes any more: one look tells.

    Raises:
        ConditionFailedError: It is not so.
    """

    def look() -> Observation:
        seen = predicate()
        if seen.state is not State.MET:
            raise ConditionFailedError(f"{predicate.sentence}: it is not so", why=seen.seen)
        return seen

    return _telling().prove(predicate, look)


def evidence(**items: Any) -> None:
    """Add what a reader can check to the step that is being taken; nothing happens where no story is told."""
    telling = _current.get()
    if telling is not None and telling.steps:
        telling.steps[-1].evidence.update(items)


def acting() -> None:
    """Note that the story does something now: what comes of it must be later. Called by every action."""
    telling = _current.get()
    if telling is not None:
        telling.acted = Moment.now()


def last_action() -> Moment:
    """Give the moment of the story's last action; now, where no story is told."""
    telling = _current.get()
    return telling.acted if telling is not None else Moment.now()
