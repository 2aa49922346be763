"""From what servers write down to happenings: Git pushes, webhook deliveries, CI runs, and Argo CD's renderings."""

from __future__ import annotations

import datetime as dt
import json
import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from sandbox.report.causality import Draft
from sandbox.report.findings import Happening, Lane

__all__ = ["complaints", "deliveries", "parse_time", "pushes", "renderings", "runs", "short"]

_CI_BOT = "gitops-ci-bot"
_PUSH = re.compile(
    r"(?P<at>\d{4}-\d\d-\d\d \d\d:\d\d:\d\d),(?P<ms>\d{3}) INFO gitops\.git "
    r"(?P<who>\S+) pushed (?P<repository>\S+) (?P<ref>\S+): (?P<after>[0-9a-f]{40,64})"
)
_POD_STAMP = re.compile(r"(?P<stamp>\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d+Z) ")
_CACHE_KEY_SHA = re.compile(r"\|([0-9a-f]{40})\|")
_COMPLAINT = re.compile(
    r"\"level\":\"(?i:error|warn|warning|fatal)\"|level=(?:error|warning|fatal)|^[EF]\d{4} | ERROR "
)


def short(revision: str) -> str:
    """Give a revision as people say it."""
    return revision[:8]


def parse_time(stamp: str) -> tuple[dt.datetime, bool]:
    """Read an RFC 3339 stamp; the second value says whether it has whole seconds only.

    Raises:
        ValueError: It is none, or says nothing of its zone.
    """
    at = dt.datetime.fromisoformat(stamp)
    if at.tzinfo is None:
        raise ValueError(f"{stamp!r} names no time zone")
    return at.astimezone(dt.UTC), "." not in stamp


def complaints(lines: Iterable[str]) -> tuple[str, ...]:
    """Give the lines in which a component complains: klog's, logrus', slog's and Python's ways to say so."""
    return tuple(line for line in lines if _COMPLAINT.search(line))


def pushes(lines: Iterable[str]) -> Iterator[Draft]:
    """Read the Git server's log, whose times are local ones."""
    for line in lines:
        if not (found := _PUSH.match(line)):
            continue
        at = dt.datetime.fromisoformat(f"{found['at']}.{found['ms']}").astimezone(dt.UTC)
        sha, repository, who = found["after"], found["repository"], found["who"]
        by_ci = who == _CI_BOT
        yield Draft(
            Happening(
                f"push:{repository}:{sha}",
                at,
                Lane.GIT,
                f"{who} pushes {short(sha)} to {repository}",
                "Git server's log",
            ),
            makes=(f"pushed:{repository}:{sha}", f"commit:{sha}"),
            follows=("ci:running",) if by_ci else ("step",),
        )


def deliveries(lines: Iterable[str], receivers: Mapping[str, str]) -> Iterator[Draft]:
    """Read ``deliveries.jsonl`` of the Git server.

    Args:
        lines: A JSON object each.
        receivers: The name of each receiver by what its URL begins with.
    """
    for line in lines:
        entry = json.loads(line)
        # It is written down when the answer has come.
        at = parse_time(entry["time"])[0] - dt.timedelta(seconds=float(entry["seconds"]))
        to = next((name for begin, name in receivers.items() if entry["url"].startswith(begin)), entry["url"])
        sha, repository, delivered = entry["after"], entry["repository"], bool(entry["delivered"])
        ends = f"answered {entry['status']}" if entry["status"] else f"not delivered: {entry['error']}"
        makes = (f"delivery:{entry['delivery']}", f"told:{to}:{sha}", f"told:{to}") if delivered else ()
        yield Draft(
            Happening(
                f"delivery:{entry['delivery']}:{entry['attempt']}",
                at,
                Lane.WEBHOOK,
                f"{to} is told of {short(sha)}: {ends}",
                "deliveries.jsonl",
                good=None if delivered else False,
            ),
            makes=makes,
            answers=(f"pushed:{repository}:{sha}",),
        )


def runs(records: Iterable[Mapping[str, Any]]) -> Iterator[Draft]:
    """Read ``result.json`` of each CI run: when it came, and how it ended."""
    for run in records:
        key, source = f"run:{run['id']}", f"ci/{run['id']}/result.json"
        at, _ = parse_time(run["started"] or run["received"])
        said = f"run {run['id'][-6:]} of {short(run['commit'])} begins"
        begin = Happening(key, at, Lane.CI, said, source)
        yield Draft(
            begin,
            makes=(key, "ci:running"),
            answers=(f"delivery:{run['delivery']}",),
            follows=(f"commit:{run['commit']}",),
        )
        if not run["finished"]:
            continue
        at, _ = parse_time(run["finished"])
        steps = ", ".join(f"{step['name']} {step['seconds']:.1f} s" for step in run["steps"])
        ended = f"run {run['id'][-6:]} {run['status']}: {run['reason'] or steps}"
        good = run["status"] == "passed"
        yield Draft(Happening(f"{key}:end", at, Lane.CI, ended, source, good=good), answers=(key,))


def renderings(lines: Iterable[str], names: Mapping[str, str]) -> Iterator[Draft]:
    """Read the repo-server's log: which commit it rendered for which Application, the first time each.

    Args:
        lines: Its lines: JSON, from a pod's log behind a finer stamp.
        names: How people call the Applications; others are left out.
    """
    told: set[tuple[str, str]] = set()
    for line in lines:
        entry, at, whole = _entry(line)
        name = names.get(str(entry.get("application")))
        sha = _CACHE_KEY_SHA.search(str(entry.get("cacheKey", "")))
        if name is None or sha is None or at is None or entry.get("msg") != "manifest cache miss":
            continue
        application, revision = str(entry["application"]), sha[1]
        if (application, revision) in told:
            continue
        told.add((application, revision))
        yield Draft(
            Happening(
                f"render:{application}:{revision}",
                at,
                Lane.RENDER,
                f"{name}: {short(revision)} is not in the cache, so it is rendered",
                "repo-server's log",
                whole_second=whole,
            ),
            makes=(f"rendered:{application}", f"rendered:{application}:{revision}"),
            answers=(f"told:Argo CD:{revision}",),
            follows=(f"commit:{revision}", f"created:{application}"),
        )


def _entry(line: str) -> tuple[Mapping[str, Any], dt.datetime | None, bool]:
    """Read a line of an Argo CD component; without a time where it is none of its own."""
    stamp = _POD_STAMP.match(line)
    try:
        entry = json.loads(line[stamp.end() :] if stamp else line)
        at, whole = parse_time(stamp["stamp"] if stamp else entry["time"])
    except (ValueError, KeyError, TypeError):
        # A panic or a banner stands among the JSON.
        return {}, None, False
    return (entry if isinstance(entry, dict) else {}), at, whole
