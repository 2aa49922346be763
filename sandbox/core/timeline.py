"""What happened and when, on one monotonic clock; progress and reports are drawn from it."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from typing import Any

__all__ = ["Event", "Timeline"]


@dataclass(frozen=True, slots=True)
class Event:
    """One thing that happened.

    Attributes:
        at: Seconds since the timeline began.
        subject: Whom it happened to: a component, a step.
        what: starting, ready, died, passed, failed, …
        detail: A sentence more.
        data: Evidence, as JSON data.
    """

    at: float
    subject: str
    what: str
    detail: str = ""
    data: dict[str, Any] = field(default_factory=dict, hash=False)

    def to_json(self) -> dict[str, Any]:
        """Give the event as JSON data."""
        return asdict(self)


class Timeline:
    """A list of events that tells its subscribers of each new one, from any thread."""

    def __init__(self) -> None:
        self._began = time.monotonic()
        self._lock = threading.Lock()
        self._subscribers: list[Callable[[Event], None]] = []
        self.events: list[Event] = []

    def seconds(self) -> float:
        """Give the seconds since it began."""
        return time.monotonic() - self._began

    def subscribe(self, subscriber: Callable[[Event], None]) -> None:
        """Have every event from now on told to ``subscriber``, one at a time."""
        self._subscribers.append(subscriber)

    def record(self, subject: str, what: str, detail: str = "", **data: Any) -> Event:
        """Add an event that happens now."""
        with self._lock:
            event = Event(round(self.seconds(), 3), subject, what, detail, data)
            self.events.append(event)
            for subscriber in self._subscribers:
                subscriber(event)
        return event
