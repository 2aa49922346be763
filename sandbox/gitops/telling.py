"""The telling of a story: which step is taken, what it must show, and what became of it."""

from __future__ import annotations

import contextlib
import re
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, ExitStack
from contextvars import ContextVar
from pathlib import Path
from typing import Any, TypeVar

from sandbox.core.conditions import Condition, Deadline, Observation, State, hold, wait_for
from sandbox.core.errors import ConditionFailedError, DeadlineError, SandboxError, UsageError
from sandbox.core.timeline import Timeline
from sandbox.gitops.moment import Moment
from sandbox.gitops.predicates import Predicate
from sandbox.gitops.steps import Conduct, StepResult, StoryFailedError, TellingCancelledError

__all__ = [
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
"""Seconds that a verdict has where nothing says otherwise: a push is live in well under one, a machine may be busy."""
UNDER_SABOTAGE = 8.0
"""Seconds that a verdict has which is meant not to come true: many times what it takes otherwise."""
LASTING = 0.3
"""Seconds that what came true must stay true, so that no passing moment counts."""
CONSISTENTLY = 2.0
"""Seconds that something must stay true which is true already: several times what a heal takes."""


class Telling:
    """One telling of a story: notes each step, and breaks what is to be broken before one.

    Args:
        timeline: Gets each step and verdict.
        breaks: What to enter before which step; under it, the step's verdicts are not to come true.
        mending: Leaves it again when the story has ended.
        conduct: How it is conducted.

    Attributes:
        steps: What became of each step so far.
        step: The one that what is demanded now belongs to.
        acted: When the story last did something.
        wake: Set when something changed that a verdict may wait for.
        hint: What to look at when a verdict does not come true.
        within: Seconds that a verdict has of which the story does not say otherwise.
    """

    def __init__(
        self,
        timeline: Timeline,
        breaks: Mapping[str, AbstractContextManager[None]],
        mending: ExitStack,
        conduct: Conduct | None = None,
    ) -> None:
        self._timeline = timeline
        self._breaks = breaks
        self._mending = mending
        self._conduct = conduct or Conduct()
        self.within = WITHIN
        self._at_most: float | None = None
        self._by_verdict = False
        self._taking = False
        self.steps: list[StepResult] = []
        self.step: StepResult | None = None
        self.acted = Moment.now()
        self.wake = threading.Event()
        self.hint = ""

    def take_place(self, changed: threading.Event, logs: Path, within: float) -> None:
        """Take place in a world.

        Args:
            changed: Set when something has changed there.
            logs: The folder with the logs of its components.
            within: Seconds that a verdict has there.
        """
        self.wake, self.hint, self.within = changed, f"logs: {logs}", within

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
        if self._taking and self.step is not None:
            self._timeline.record(self.step.name, word, sentence)
            yield
            return
        name = re.sub(r"[^a-z0-9]+", "-", sentence.lower()).strip("-")
        with self._step(StepResult(name, f"{word} {sentence}")):
            yield

    @contextlib.contextmanager
    def whole(self, result: StepResult) -> Iterator[None]:
        """Take the story itself for a step, to which belongs what is demanded outside of any other: a test's body."""
        with self._noted(result):
            yield

    @contextlib.contextmanager
    def _step(self, result: StepResult) -> Iterator[None]:
        self.heed()
        self._conduct.before(result)
        with self._noted(result):
            self._taking = True
            try:
                if result.name in self._breaks:
                    self._at_most = UNDER_SABOTAGE
                    self._mending.enter_context(self._breaks[result.name])
                yield
            finally:
                self._taking = False

    @contextlib.contextmanager
    def _noted(self, result: StepResult) -> Iterator[None]:
        around, self.step = self.step, result
        self.steps.append(result)
        self._timeline.record(result.name, "starting", result.sentence)
        began = time.monotonic()
        self._by_verdict = False
        self.acted = Moment.now()

        def fail(reason: str) -> None:
            result.status, result.reason = "failed", reason
            result.seconds = round(time.monotonic() - began, 3)
            self._timeline.record(result.name, "failed", reason)

        try:
            yield
        except StoryFailedError as error:
            # A step within has told everybody.
            result.status, result.reason = "failed", str(error)
            raise
        except SandboxError as error:
            # A server that does not answer while a verdict looks is no verdict.
            told = isinstance(error, ConditionFailedError | DeadlineError)
            failure = StoryFailedError(result.name, error, by_verdict=self._by_verdict and told)
            fail(str(error))
            self._conduct.failed(result)
            raise failure from error
        except BaseException as error:
            fail(repr(error))
            if isinstance(error, Exception):
                self._conduct.failed(result)
            raise
        finally:
            self.step = around
            result.seconds = round(time.monotonic() - began, 3)
        self._timeline.record(result.name, "passed", **result.evidence)

    def heed(self) -> None:
        """Go on, unless the telling is to be broken off.

        Raises:
            TellingCancelledError: It is.
        """
        if self._conduct.cancelled.is_set():
            raise TellingCancelledError

    def heeding(self, predicate: Predicate) -> Condition:
        """Give a look at a predicate that does not happen any more when the telling is to be broken off."""

        def look() -> Observation:
            self.heed()
            return predicate()

        return look

    def prove(self, predicate: Predicate, look: Callable[[], Observation]) -> Observation:
        """Reach a verdict by ``look``, and note what it proved.

        Raises:
            ConditionFailedError: It is not so.
            DeadlineError: It did not come true in time.
        """
        step = self.step
        if step is None:
            raise UsageError(
                f"{predicate.sentence}: nothing is being told that this could be a verdict of",
                hint='say it inside of a step, or of a block: with then("..."):',
            )
        began = time.monotonic()
        self._by_verdict = True
        seen = look()
        self._by_verdict = False
        step.evidence.update(predicate.evidence)
        self._timeline.record(
            step.name, "proved", f"{predicate.sentence}: {seen.seen}", seconds=round(time.monotonic() - began, 3)
        )
        return seen

    def comes_true(self, predicate: Predicate, within: float) -> Observation:
        """Wait until a predicate holds, and goes on to for a moment."""
        deadline = Deadline.after(min(within, self._at_most or within))
        look, wanted = self.heeding(predicate), predicate.sentence
        flicker = None
        while True:
            try:
                seen = wait_for(
                    look,
                    deadline,
                    wanted=wanted,
                    hint=self.hint,
                    wake=self.wake,
                    every=0.25,
                )
            except DeadlineError as error:
                raise flicker or error from None
            if predicate.final:
                return seen
            try:
                hold(look, LASTING, wanted=wanted, wake=self.wake, every=LASTING / 2, seen=seen)
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
    return telling.prove(predicate, lambda: telling.comes_true(predicate, within or telling.within))


def consistently(predicate: Predicate, *, seconds: float | None = None) -> Observation:
    """Demand that something is so now and stays so for so many seconds.

    Raises:
        ConditionFailedError: It is not, or did not stay so.
    """
    telling, lasting = _telling(), seconds or CONSISTENTLY
    return telling.prove(
        predicate,
        lambda: hold(telling.heeding(predicate), lasting, wanted=predicate.sentence, wake=telling.wake, every=0.1),
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
    if telling is not None and telling.step is not None:
        telling.step.evidence.update(items)


def acting() -> None:
    """Note that the story does something now: what comes of it must be later. Called by every action."""
    telling = _current.get()
    if telling is not None:
        telling.heed()
        telling.acted = Moment.now()


def last_action() -> Moment:
    """Give the moment of the story's last action; now, where no story is told."""
    telling = _current.get()
    return telling.acted if telling is not None else Moment.now()
