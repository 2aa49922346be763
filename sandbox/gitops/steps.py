"""The steps of a telling: what became of each, how one fails, and who is asked between two of them."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from sandbox.core.errors import SandboxError

__all__ = ["Conduct", "StepResult", "StoryFailedError", "TellingCancelledError"]


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


class TellingCancelledError(BaseException):
    """The telling was broken off from outside: like Ctrl-C, it undoes on its way out what it must."""


def _nothing(step: StepResult) -> None:
    """Do nothing."""
    del step


@dataclass(frozen=True, slots=True)
class Conduct:
    """How a telling is conducted from outside; no deadline runs while one of these is called.

    Attributes:
        before: Called before each step.
        failed: Called when a step has failed, while everything is as it was then.
        cancelled: Set to break the telling off, within a moment.
    """

    before: Callable[[StepResult], None] = _nothing
    failed: Callable[[StepResult], None] = _nothing
    cancelled: threading.Event = field(default_factory=threading.Event)
