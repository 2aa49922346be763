"""What a report shows: plain data that is gathered elsewhere, kept as JSON, and drawn as HTML and JUnit."""

from __future__ import annotations

import dataclasses
import datetime as dt
import enum
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, TypeVar

from sandbox.report.scrubbing import Scrubber

__all__ = [
    "Blocker",
    "ClusterEvent",
    "Difference",
    "Failure",
    "Happening",
    "KilledSabotage",
    "Lane",
    "LogExcerpt",
    "Report",
    "ReportStep",
    "scrubbed",
]

SCHEMA_VERSION = 1
"""Of the report as JSON: grows when a field goes or changes its meaning; new fields leave it."""

T = TypeVar("T")


class Lane(enum.Enum):
    """Who acts, in the order in which a commit passes them."""

    GIT = "Git"
    CI = "CI"
    WEBHOOK = "Webhook"
    RENDER = "Render"
    SYNC = "Sync"
    OBJECTS = "Objects"
    HEALTH = "Health"
    VERDICT = "Verdict"


@dataclass(frozen=True, slots=True)
class Happening:
    """One event of the causal timeline.

    Attributes:
        key: Names it within the report.
        at: When, in UTC; the begin of the second where the source says no more.
        lane: Who acted.
        what: A sentence.
        source: Where that is known from.
        whole_second: Whether the source has whole seconds only: the event may be up to a second later.
        cause: The key of what set it off; empty where nothing is known to.
        by_name: Whether both name the same thing (commit, delivery, object); otherwise only their times say so.
        good: Whether it went well; None where it is neither good nor bad.
    """

    key: str
    at: dt.datetime
    lane: Lane
    what: str
    source: str
    whole_second: bool = False
    cause: str = ""
    by_name: bool = True
    good: bool | None = None


@dataclass(frozen=True, slots=True)
class ReportStep:
    """One step of the story.

    Attributes:
        name: The step's name.
        sentence: What it shows.
        status: passed, failed or skipped.
        seconds: How long it took.
        reason: Why it failed or was skipped.
        evidence: What a reader can check, shortened nowhere.
        proofs: The verdicts that held, a sentence each.
        happenings: What happened while it was taken, in order.
    """

    name: str
    sentence: str
    status: str
    seconds: float
    reason: str = ""
    evidence: Mapping[str, Any] = field(default_factory=dict)
    proofs: tuple[str, ...] = ()
    happenings: tuple[Happening, ...] = ()


@dataclass(frozen=True, slots=True)
class Difference:
    """One field in which an object that lives differs from what Git renders.

    Attributes:
        environment: Of which Application.
        thing: The object, as people say it.
        field: Its place in the object; empty for the object as a whole.
        git: What the commit says.
        lives: What the API server has.
    """

    environment: str
    thing: str
    field: str
    git: str
    lives: str


@dataclass(frozen=True, slots=True)
class Blocker:
    """What stands in the way, by name.

    Attributes:
        kind: A word for it: finalizer, hook, resource, setting, webhook, commit, …
        thing: Its name.
        why: A sentence.
    """

    kind: str
    thing: str
    why: str


@dataclass(frozen=True, slots=True)
class ClusterEvent:
    """An Event of the cluster, as `kubectl get events` shows it; ``at`` is when it was last seen, to the second."""

    at: dt.datetime
    thing: str
    reason: str
    message: str
    warning: bool


@dataclass(frozen=True, slots=True)
class LogExcerpt:
    """What one component wrote while the failing step was taken.

    Attributes:
        component: Its name.
        lines: The lines; at most as many as a reader takes in, the last ones.
        left_out: How many lines before them are left out.
        warnings: Those of them in which it complains.
    """

    component: str
    lines: tuple[str, ...]
    left_out: int = 0
    warnings: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Failure:
    """Why the story did not hold.

    Attributes:
        step: The step.
        wanted: The condition that was not met, or the action that broke.
        last_seen: What was seen last.
        hint: What to look at.
        by_verdict: Whether a verdict did not hold; otherwise an action could not be done.
        seen_at: When the cluster was looked at.
        revision: The commit that the live objects were compared with.
        blockers: What stands in the way.
        differences: What lives differently from what Git renders.
        compared: How many objects were compared.
        events: The cluster's Events of just that window.
        logs: The components' logs of just that window.
        unknown: What could not be had, and why.
    """

    step: str
    wanted: str
    last_seen: str
    hint: str
    by_verdict: bool
    seen_at: dt.datetime | None = None
    revision: str = ""
    blockers: tuple[Blocker, ...] = ()
    differences: tuple[Difference, ...] = ()
    compared: int = 0
    events: tuple[ClusterEvent, ...] = ()
    logs: tuple[LogExcerpt, ...] = ()
    unknown: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class KilledSabotage:
    """A row of the kill table.

    Attributes:
        name: The sabotage.
        step: Where the story must fail under it.
        breaks: What is broken.
        noticed: Whether the story failed there, by a verdict.
        reason: Why it counts as not noticed.
        report: The file name of that telling's own report, beside this one.
    """

    name: str
    step: str
    breaks: str
    noticed: bool
    reason: str = ""
    report: str = ""


@dataclass(frozen=True, slots=True)
class Report:
    """Everything that one telling, or a set of sabotages, has to say.

    Attributes:
        scenario: The story's name.
        summary: What the story shows.
        sandbox: The sandbox's name.
        engine: The engine's name.
        fidelity: What that engine can't show.
        began: When the telling began, UTC.
        seconds: How long it took.
        passed: Whether it held; for sabotages, whether each was noticed.
        revision: The newest commit of the environment repository.
        sabotage: What was broken on purpose; empty when nothing was.
        versions: Tools and their versions.
        steps: What was told.
        failure: Why it did not hold.
        sabotages: The kill table.
    """

    scenario: str
    summary: str
    sandbox: str
    engine: str
    fidelity: str
    began: dt.datetime
    seconds: float
    passed: bool
    revision: str = ""
    sabotage: str = ""
    versions: Mapping[str, str] = field(default_factory=dict)
    steps: tuple[ReportStep, ...] = ()
    failure: Failure | None = None
    sabotages: tuple[KilledSabotage, ...] = ()

    def counted(self, status: str) -> int:
        """Say how many steps ended like this."""
        return sum(step.status == status for step in self.steps)

    @property
    def verdict(self) -> str:
        """The verdict in one sentence."""
        if self.sabotages:
            noticed = sum(each.noticed for each in self.sabotages)
            total = len(self.sabotages)
            ends = "" if self.passed else f"; {total - noticed} survived: a check is broken"
            return f"The story {self.scenario} noticed {noticed} of {total} sabotages{ends}."
        left_out = self.counted("skipped")
        aside = f"; {left_out} could not be shown on this engine" if left_out else ""
        if self.failure is None:
            return f"Held: all {self.counted('passed')} steps that were taken are proved{aside}."
        ended = "Did not hold" if self.failure.by_verdict else "Could not be told to its end"
        return f"{ended}: at step {self.failure.step}, {self.failure.wanted}."

    def to_json(self) -> dict[str, Any]:
        """Give the report as JSON data; times as ISO 8601."""
        data = _plain(self)
        return {"schema_version": SCHEMA_VERSION, **data, "verdict": self.verdict}


def _plain(value: Any) -> Any:
    if isinstance(value, enum.Enum):
        return value.value
    if isinstance(value, dt.datetime):
        return value.isoformat()
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {each.name: _plain(getattr(value, each.name)) for each in dataclasses.fields(value)}
    if isinstance(value, Mapping):
        return {str(key): _plain(part) for key, part in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(part) for part in value]
    return value


def scrubbed(value: T, scrubber: Scrubber) -> T:
    """Give the same data without any secret in any of its texts."""
    return _scrubbed(value, scrubber)  # type: ignore[no-any-return]  # each branch gives back the kind that it got


def _scrubbed(value: Any, scrubber: Scrubber) -> Any:
    if isinstance(value, str):
        return scrubber.scrub(value)
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        parts = {each.name: _scrubbed(getattr(value, each.name), scrubber) for each in dataclasses.fields(value)}
        return dataclasses.replace(value, **parts)
    if isinstance(value, Mapping):
        return {_scrubbed(key, scrubber): _scrubbed(part, scrubber) for key, part in value.items()}
    if isinstance(value, list | tuple):
        return type(value)(_scrubbed(part, scrubber) for part in value)
    return value
