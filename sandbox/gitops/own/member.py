"""One Application of a repository that is checked: how it was last seen, for how long, and where it has come to."""

from __future__ import annotations

import enum
import time
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from sandbox.gitops.moment import Moment

__all__ = ["End", "Member", "Patience", "spec_errors"]

_UNUSABLE = ("ComparisonError", "InvalidSpecError", "UnknownError")

Json = dict[str, Any]


class End(enum.Enum):
    """Where an Application has come to."""

    HEALTHY = "healthy"
    LIMITED = "healthy as far as the engine can show it"
    UNRENDERED = "not rendered"
    REFUSED = "its sync failed"
    OUT_OF_SYNC = "out of sync after a sync that succeeded"
    UNHEALTHY = "not healthy"
    STUCK = "nothing changed any more"
    LATE = "still at it when the time was over"


@dataclass(frozen=True, slots=True)
class Patience:
    """How long something may look the same before it is taken for what it is, in seconds.

    Attributes:
        wrong: What looks wrong: degraded, or out of sync.
        still: What looks under way.
    """

    wrong: float
    still: float

    def with_work(self, seconds: float) -> Patience:
        """Give as much again for what may take so long without a sign of it: a comparison of many objects."""
        return replace(self, still=self.still + seconds)


@dataclass(slots=True)
class Member:
    """One Application of the family.

    Attributes:
        application: As it was last seen.
        made_by: What made it.
        since: Operations that ended before are none of ours.
        end: Where it has come to; None while it is under way.
        firm: Whether that holds whatever becomes of the others.
        seen: What it was last seen to wait for.
        nodes: Its objects with their health, where it is synced and not healthy.
        seconds: How long it took, since its Application was first seen.
        regarded: After how many seconds of how it looks Argo CD was last asked to look again; 0 where it was not.
    """

    application: Json
    made_by: str
    since: Moment
    end: End | None = None
    firm: bool = True
    seen: str = ""
    nodes: list[Json] = field(default_factory=list)
    seconds: float = 0.0
    attempts: int = 0
    starts: int = 0
    begun: float = field(default_factory=time.monotonic)
    changed: float = field(default_factory=time.monotonic)
    looked: str = ""
    looks: int = 0
    tried: float = 0.0
    compared: str = ""
    regarded: float = 0.0

    @property
    def name(self) -> str:
        """The Application's name."""
        return str(self.application["metadata"]["name"])

    @property
    def status(self) -> Json:
        """Its status."""
        return self.application.get("status") or {}

    @property
    def operation(self) -> Json:
        """Its last operation."""
        return self.status.get("operationState") or {}

    def unchanged(self, look: str) -> float:
        """Note how it looks, and say for how many seconds it has looked like this."""
        self.looks += 1
        if look != self.looked:
            self.looked, self.changed, self.regarded = look, time.monotonic(), 0.0
        return time.monotonic() - self.changed


def spec_errors(status: Mapping[str, Any]) -> list[str]:
    """Give what keeps Argo CD from comparing an Application at all."""
    return [each["message"] for each in status.get("conditions") or () if each["type"] in _UNUSABLE]
