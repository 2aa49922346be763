"""What is found about a user's repository: which Application, which file or object, what, why, and what to do."""

from __future__ import annotations

import enum
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

__all__ = ["STAGES", "ApplicationVerdict", "Finding", "Level", "Stage", "worst"]


class Level(enum.Enum):
    """How much a finding weighs."""

    ERROR = "error"
    """The Application does not work for it."""
    WARNING = "warning"
    """It works here, and may not elsewhere."""
    NOTE = "note"
    """What could not be looked at, or what a reader should know."""


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that was found.

    Attributes:
        level: How much it weighs.
        application: The Application; empty where it is about the repository.
        thing: The file or object, as people say it.
        what: What is wrong, one sentence.
        why: The cause, in the words of who noticed it.
        hint: What to do.
    """

    level: Level
    application: str
    thing: str
    what: str
    why: str = ""
    hint: str = ""

    def to_json(self) -> dict[str, str]:
        """Give it as JSON data."""
        return {
            "level": self.level.value,
            "application": self.application,
            "thing": self.thing,
            "what": self.what,
            "why": self.why,
            "next": self.hint,
        }

    def __str__(self) -> str:
        """Give it in one paragraph."""
        parts = [f"{self.thing}: {self.what}" if self.thing else self.what]
        parts += [f"why: {self.why}"] if self.why else []
        parts += [f"next: {self.hint}"] if self.hint else []
        return "\n".join(parts)


class Stage(enum.Enum):
    """How far something was shown."""

    YES = "yes"
    NO = "no"
    UNSEEN = "not reached"
    """Something before it did not hold, or it was not to be looked at."""
    LIMITED = "as far as shown"
    """So, as far as this engine can show it; a note says what it can't."""


STAGES = ("renders", "accepted", "synced", "proved", "healthy")
"""The questions that a verdict answers, in order."""


@dataclass(slots=True)
class ApplicationVerdict:
    """What became of one Application.

    Attributes:
        name: The Application.
        source: What it deploys: path or chart, and revision.
        namespace: Where to.
        made_by: What created it: the file, the parent Application, or the ApplicationSet.
        renders: Whether its manifests can be made.
        accepted: Whether the API server takes each of them.
        synced: Whether a sync of the revision succeeded.
        proved: Whether what lives equals what was rendered.
        healthy: Whether everything of it is healthy.
        revision: The commit that was rendered.
        objects: How many objects were compared.
        findings: What was found.
        seconds: How long it took until this was known.
        timed_out: Whether it was still waited for when the time was over.
    """

    name: str
    source: str
    namespace: str
    made_by: str = ""
    renders: Stage = Stage.UNSEEN
    accepted: Stage = Stage.UNSEEN
    synced: Stage = Stage.UNSEEN
    proved: Stage = Stage.UNSEEN
    healthy: Stage = Stage.UNSEEN
    revision: str = ""
    objects: int = 0
    findings: list[Finding] = field(default_factory=list)
    seconds: float = 0.0
    timed_out: bool = False

    @property
    def checked(self) -> bool:
        """Whether anything of it could be looked at."""
        return self.renders is not Stage.UNSEEN

    @property
    def held(self) -> bool:
        """Whether it works, as far as it can be shown."""
        shown = all(getattr(self, stage) in (Stage.YES, Stage.LIMITED) for stage in STAGES)
        return shown and not any(each.level is Level.ERROR for each in self.findings)

    def found(self, level: Level, thing: str, what: str, why: str = "", hint: str = "") -> None:
        """Add a finding, once."""
        finding = Finding(level, self.name, thing, what, why, hint)
        if finding not in self.findings:
            self.findings.append(finding)

    def to_json(self) -> dict[str, Any]:
        """Give it as JSON data."""
        return {
            "name": self.name,
            "source": self.source,
            "namespace": self.namespace,
            "made_by": self.made_by,
            **{stage: getattr(self, stage).value for stage in STAGES},
            "held": self.held,
            "revision": self.revision,
            "objects": self.objects,
            "seconds": round(self.seconds, 3),
            "timed_out": self.timed_out,
            "findings": [each.to_json() for each in self.findings],
        }


def worst(findings: Iterable[Finding]) -> list[Finding]:
    """Give findings with those that weigh most first."""
    order = list(Level)
    return sorted(findings, key=lambda each: order.index(each.level))
