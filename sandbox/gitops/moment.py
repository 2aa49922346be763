"""Points in time that can be compared with Argo CD's own."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass

__all__ = ["Moment"]


@dataclass(frozen=True, slots=True)
class Moment:
    """A point in time that an operation can be compared with; Argo CD's own stamps have whole seconds."""

    at: dt.datetime

    @classmethod
    def now(cls) -> Moment:
        """Give this moment, cut to the second as Argo CD cuts its stamps."""
        return cls(dt.datetime.now(dt.UTC).replace(microsecond=0))

    def precedes(self, stamp: str | None) -> bool:
        """Whether an RFC 3339 stamp is of this moment or later."""
        return stamp is not None and dt.datetime.fromisoformat(stamp) >= self.at
