"""Waiting: a condition is observed until it is met, has failed, or its deadline passes.

The only place of the product where time is spent waiting. A condition is any callable that
returns an ``Observation``; each observation carries a sentence, so that a wait that ends badly
can say what was wanted and what was last seen.
"""

from __future__ import annotations

import enum
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass

from sandbox.core.errors import ConditionFailedError, DeadlineError

__all__ = ["Condition", "Deadline", "Observation", "State", "failed", "hold", "met", "pending", "wait_for"]


class State(enum.Enum):
    """What one look at a condition gave."""

    MET = "met"
    PENDING = "pending"
    FAILED = "failed"


@dataclass(frozen=True, slots=True)
class Observation:
    """One look at a condition: its state and a sentence on what was seen."""

    state: State
    seen: str


Condition = Callable[[], Observation]


def met(seen: str = "") -> Observation:
    """Say that the condition holds."""
    return Observation(State.MET, seen)


def pending(seen: str) -> Observation:
    """Say that the condition does not hold yet."""
    return Observation(State.PENDING, seen)


def failed(seen: str) -> Observation:
    """Say that the condition can't come true any more: the wait ends at once."""
    return Observation(State.FAILED, seen)


@dataclass(frozen=True, slots=True)
class Deadline:
    """A point on the monotonic clock, shared by nested waits so that they can't add up.

    Attributes:
        at: ``time.monotonic()`` seconds at which it passes.
        seconds: The budget it was made with, for messages.
    """

    at: float
    seconds: float

    @classmethod
    def after(cls, seconds: float) -> Deadline:
        """Make a deadline that passes so many seconds from now."""
        return cls(time.monotonic() + seconds, seconds)

    def remaining(self) -> float:
        """Give the seconds left, never less than zero."""
        return max(0.0, self.at - time.monotonic())

    @property
    def passed(self) -> bool:
        """Whether the deadline lies behind."""
        return time.monotonic() >= self.at


def wait_for(
    condition: Condition,
    deadline: Deadline,
    *,
    wanted: str,
    hint: str = "",
    wake: threading.Event | None = None,
    every: float = 0.05,
    late: float = 0.0,
) -> Observation:
    """Observe ``condition`` until it is met.

    Args:
        condition: Called at least once, also when the deadline has already passed.
        deadline: The absolute end of the wait.
        wanted: A sentence: what is waited for.
        hint: What to look at when it does not come.
        wake: Set by a watch when something changed; a look follows at once.
        every: Seconds between two looks when nothing wakes the wait earlier.
        late: By which part of the time that was waited already a look may come later than that: who waits long looks
            less often, and is late by no more than this part.

    Returns:
        The observation that met the condition.

    Raises:
        ConditionFailedError: The condition reported that it can't come true.
        DeadlineError: The deadline passed; says what was wanted and last seen.
    """
    wake, began = wake or threading.Event(), time.monotonic()
    while True:
        wake.clear()
        last_look = deadline.passed
        seen = condition()
        if seen.state is State.MET:
            return seen
        if seen.state is State.FAILED:
            raise ConditionFailedError(f"{wanted}: can't come true", why=seen.seen, hint=hint)
        if last_look:
            raise DeadlineError(
                f"{wanted}: not within {deadline.seconds:g} s", why=f"last seen: {seen.seen}", hint=hint
            )
        wake.wait(min(max(every, late * (time.monotonic() - began)), deadline.remaining()))


def hold(
    condition: Condition,
    seconds: float,
    *,
    wanted: str,
    wake: threading.Event | None = None,
    every: float = 0.05,
    seen: Observation | None = None,
) -> Observation:
    """Demand that ``condition`` stays met for a while, so that no passing moment counts.

    Args:
        condition: Called at the end of the while in any case.
        seconds: How long.
        wanted: A sentence: what is demanded.
        wake: Set by a watch when something changed; a look follows at once.
        every: Seconds between two looks when nothing wakes the wait earlier.
        seen: The look with which the while begins, where somebody has just taken it.

    Raises:
        ConditionFailedError: It stopped being met; says what was seen instead.
    """
    deadline, wake, last_look = Deadline.after(seconds), wake or threading.Event(), False
    if seen is None:
        wake.clear()
        seen = condition()
    while seen.state is State.MET and not last_look:
        wake.wait(min(every, deadline.remaining()))
        wake.clear()
        last_look = deadline.passed
        seen = condition()
    if seen.state is not State.MET:
        raise ConditionFailedError(f"{wanted}: did not last for {seconds:g} s", why=seen.seen)
    return seen
