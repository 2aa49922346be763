"""What act (0.2.89, ``--json``) says while it runs: one JSON object a line, and a few plain lines."""

from __future__ import annotations

import base64
import itertools
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from sandbox.servers.step_shells import split_ending

__all__ = ["LogLine", "Mask", "StepResult", "parse_line"]

_STATUS = {"success": "passed", "failure": "failed", "skipped": "skipped"}
_SHORTEST_SECRET = 4
_FETCH_FAILED = "actions other than actions/checkout are fetched from their forge; give a folder in local_repositories"


@dataclass(frozen=True, slots=True)
class StepResult:
    """A step of a workflow that has ended.

    Attributes:
        job: The job's name.
        name: The step's name, or its command where it has none.
        status: ``passed``, ``failed`` or ``skipped``.
        seconds: How long it took.
    """

    job: str
    name: str
    status: str
    seconds: float

    def to_json(self) -> dict[str, object]:
        """Give the step as JSON data."""
        return {"job": self.job, "name": self.name, "status": self.status, "seconds": round(self.seconds, 6)}


@dataclass(frozen=True, slots=True)
class LogLine:
    """One line of act's.

    Attributes:
        text: What a reader of the log sees; None where it is a word for the runner alone.
        step: The step that ended with this line, if one did.
        problem: The reason, where the line gives one for a failure.
        shell: The shell that waits until this line is seen (see ``sandbox.servers.step_shells``), if one does.
    """

    text: str | None
    step: StepResult | None = None
    problem: str = ""
    shell: str = ""


def parse_line(line: str) -> LogLine:
    """Read a line; one that is no JSON object is passed on as it is."""
    try:
        entry = json.loads(line)
    except ValueError:
        entry = None
    if not isinstance(entry, dict):
        return LogLine(line.rstrip("\n"))
    job, message = _text(entry, "job"), _text(entry, "msg").rstrip("\n")
    margin, shell = "", ""
    if entry.get("raw_output") is True:
        message, shell = split_ending(message)
        if shell and not message:
            return LogLine(None, shell=shell)
        margin = "  | "
    text = f"[{job}] {margin}{message}" if job else message
    return LogLine(text, _step(entry, job), _problem(entry, message), shell)


def _step(entry: Mapping[str, Any], job: str) -> StepResult | None:
    status = _STATUS.get(_text(entry, "stepResult"))
    # What has no stage is act's own setting up and clearing away.
    if status is None or (_text(entry, "stage") != "Main" and status != "failed"):
        return None
    took = entry.get("executionTime")
    seconds = took / 1e9 if isinstance(took, int | float) else 0.0
    return StepResult(job, _text(entry, "step"), status, seconds)


def _problem(entry: Mapping[str, Any], message: str) -> str:
    if _text(entry, "level") not in {"error", "fatal"}:
        return ""
    step = _text(entry, "step")
    problem = f"step {step!r}: {message}" if step else message
    fetching = _text(entry, "stage") == "Pre" and "@" in step
    return f"{problem} ({_FETCH_FAILED})" if fetching else problem


def _text(entry: Mapping[str, Any], name: str) -> str:
    value = entry.get(name, "")
    return value if isinstance(value, str) else ""


class Mask:
    """Takes secrets out of text, also where they are encoded as Basic authentication encodes them.

    act hides the plain values itself; this also covers its plain lines and what a step encodes.
    """

    def __init__(self, secrets: Iterable[str]) -> None:
        values = [value for value in secrets if value]
        pairs = [f"{one}:{other}" for one, other in itertools.permutations(values, 2)]
        encoded = [base64.b64encode(text.encode()).decode().rstrip("=") for text in [*values, *pairs]]
        found = {text for text in [*values, *encoded] if len(text) >= _SHORTEST_SECRET}
        # The longest first: a short secret may be a part of a long one.
        self._hidden = sorted(found, key=len, reverse=True)

    def __call__(self, text: str) -> str:
        """Give ``text`` with ``***`` in the place of each secret."""
        for hidden in self._hidden:
            text = text.replace(hidden, "***")
        return text
