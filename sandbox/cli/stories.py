"""The verbs that tell stories: demo, scenarios, scenario, sabotage, pipeline."""

from __future__ import annotations

import datetime as dt
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from invoke.context import Context
from rich.table import Table

import scenarios as catalogue_package
from sandbox.cli.flags import Bringing
from sandbox.cli.output import Output
from sandbox.cli.reports import tell_and_report, write_kill_table
from sandbox.cli.session import bring_up, narrated
from sandbox.cli.verb import verb
from sandbox.core.errors import SandboxError, UsageError
from sandbox.core.names import check_choice
from sandbox.engines import sandboxes
from sandbox.engines.access import Access
from sandbox.gitops.own_pipeline import run_own
from sandbox.gitops.story import Sabotage, Story, StoryResult, survived
from sandbox.gitops.tenant import Tenant
from sandbox.report.findings import KilledSabotage
from sandbox.report.tables import access_panel, closing_table

__all__ = ["demo", "pipeline", "sabotage", "scenario", "scenarios"]

_LISTING = "scenarios"


@verb(help={"down": "End the sandbox afterwards."})
def demo(_: Context, *, bringing: Bringing, down: bool = False, json: bool = False) -> None:
    """Bring a sandbox up and tell the core story in it: build, commit, sync, drift, rollback.

    Examples: demo; demo --down; demo --engine kind --json
    """
    output = Output(as_json=json)
    began = time.monotonic()
    access, _timeline = bring_up(output, bringing.name, bringing.options())
    up_seconds = time.monotonic() - began
    try:
        result, report = _tell(output, access, catalogue_package.catalogue()["core"])
        found = sandboxes.status(access.name)
        seconds = {"up": round(up_seconds, 3), "story": result.seconds}
        output.result(
            {**result.to_json(), "seconds": seconds, "sandbox": found, "report": report},
            closing_table([each.to_json() for each in result.steps], seconds),
            *([] if down else [access_panel(found)]),
        )
        _raise_failures([result], access, report)
    finally:
        if down:
            sandboxes.down(access.name)


def _tell(output: Output, access: Access, story: Story) -> tuple[StoryResult, str]:
    """Tell a story under its own name; give what became of it, and where its report is."""
    with narrated(output) as timeline, sandboxes.telling(access.name, story.name):
        return tell_and_report(output, access, story, Tenant(story.name), timeline)


def _raise_failures(results: list[StoryResult], access: Access, report: str) -> None:
    """Fail as the first story did, and say where everything that helps was put."""
    failures = [result.error for result in results if result.error is not None]
    if failures:
        folder = sandboxes.diagnose(access.name)
        told = [f"read {report}" if report else "", failures[0].hint, f"everything that was there to see: {folder}"]
        failures[0].hint = "; ".join(filter(None, told))
        raise _reported(failures[0])


def _reported(error: SandboxError) -> SandboxError:
    """Mark an error as told by the result on stdout already, which holds one JSON object only."""
    error.reported = True
    return error


@verb()
def scenarios(_: Context, *, json: bool = False) -> None:
    """List the stories that there are, each with the breaks under which it must fail.

    Examples: scenarios; scenarios --json
    """
    output = Output(as_json=json)
    stories = catalogue_package.catalogue().values()
    table = Table("scenario", "what it shows", "sabotages", box=None, pad_edge=False)
    for each in stories:
        table.add_row(each.name, each.summary, str(len(each.sabotages)))
    listed = [
        {
            "name": each.name,
            "summary": each.summary,
            "description": each.description,
            "sabotages": [{"name": s.name, "step": s.step, "breaks": s.sentence} for s in each.sabotages],
        }
        for each in stories
    ]
    output.result({"scenarios": listed}, table)


@verb(words="names", help={"names": "Which scenarios.", "all": "All of them."})
def scenario(_: Context, names: str = "", *, bringing: Bringing, all: bool = False, json: bool = False) -> None:  # noqa: A002  # the flag's name
    """Tell stories in a sandbox; it is brought up if need be.

    Examples: scenario core; scenario core --engine kind; scenario --all --json
    """
    output = Output(as_json=json)
    known = catalogue_package.catalogue()
    chosen = list(known) if all else [part for part in names.split(",") if part]
    if not chosen:
        raise UsageError("no scenario was named", hint="scenario core, or scenario --all; the list: scenarios")
    stories = [known[check_choice("scenario", each, known, listing=_LISTING)] for each in chosen]
    began = time.monotonic()
    access, _timeline = bring_up(output, bringing.name, bringing.options())
    up_seconds = round(time.monotonic() - began, 3)
    told = [_tell(output, access, each) for each in stories]
    results = [result for result, _ in told]
    shown = [
        {**result.to_json(), "seconds": {"up": up_seconds, "story": result.seconds}, "report": report}
        for result, report in told
    ]
    tables = [
        closing_table([step.to_json() for step in result.steps], each["seconds"])
        for result, each in zip(results, shown, strict=True)
    ]
    output.result(shown[0] if len(shown) == 1 else {"passed": all_passed(results), "scenarios": shown}, *tables)
    _raise_failures(results, access, next((report for result, report in told if not result.passed), ""))


def all_passed(results: list[StoryResult]) -> bool:
    """Whether every story passed."""
    return all(result.passed for result in results)


@verb(
    words="names",
    help={
        "names": "Which sabotages.",
        "all": "All.",
        "scenario": "Of which story.",
    },
)
def sabotage(
    _: Context,
    names: str = "",
    *,
    bringing: Bringing,
    all: bool = False,  # noqa: A002  # the flag's name
    scenario: str = "core",
    json: bool = False,
) -> None:
    """Break the system on purpose and check that the story notices: it must fail at the broken step.

    Examples: sabotage self-heal-off-scale; sabotage --all --name broken
    """
    output = Output(as_json=json)
    known = catalogue_package.catalogue()
    story = known[check_choice("scenario", scenario, known, listing=_LISTING)]
    breaks = {each.name: each for each in story.sabotages}
    chosen = list(breaks) if all else [part for part in names.split(",") if part]
    if not chosen:
        raise UsageError("no sabotage was named", hint=f"sabotage --all, or one of: {', '.join(breaks)}")
    for each in chosen:
        check_choice("sabotage", each, breaks)
    access, _timeline = bring_up(output, bringing.name, bringing.options())
    skipped = {each: lacking for each in chosen if (lacking := breaks[each].missing(access.capabilities))}
    if len(skipped) == len(chosen):
        raise UsageError(f"none of {', '.join(chosen)} can be shown here", why=next(iter(skipped.values())))
    rows: list[dict[str, Any]] = []
    began = dt.datetime.now(dt.UTC)
    for each in chosen:
        if each in skipped:
            output.note(f"{each} skipped: {skipped[each]}")
            continue
        with narrated(output) as timeline, sandboxes.telling(access.name, "sabotage"):
            result, report = tell_and_report(output, access, story, Tenant("sabotage"), timeline, breaks[each])
        reason = survived(result, breaks[each])
        found = {"noticed": reason is None, "reason": reason or "", "report": report}
        rows.append({"name": each, "step": breaks[each].step, **found})
    table = Table("sabotage", "noticed at", "verdict", box=None, pad_edge=False)
    for row in rows:
        table.add_row(row["name"], row["step"], "noticed" if row["noticed"] else f"SURVIVED: {row['reason']}")
    for each, why in skipped.items():
        table.add_row(each, breaks[each].step, f"skipped: {why}")
    survivors = [row["name"] for row in rows if not row["noticed"]]
    report = write_kill_table(output, access, story, began, [_row(row, breaks[row["name"]]) for row in rows])
    left_out = [{"name": each, "reason": why} for each, why in skipped.items()]
    shown = {"passed": not survivors, "sabotages": rows, "skipped": left_out, "report": report}
    output.result(shown, table, f"report: {report}")
    if survivors:
        raise _reported(
            SandboxError(f"the story {scenario} does not notice: {', '.join(survivors)}", why="a check is broken")
        )


def _row(row: Mapping[str, Any], broken: Sabotage) -> KilledSabotage:
    return KilledSabotage(breaks=broken.sentence, **{**row, "report": Path(row["report"]).name})


@verb(positional=["path"], help={"path": "A Git repository with .github/workflows."})
def pipeline(_: Context, path: str, *, bringing: Bringing, json: bool = False) -> None:
    """Run your own repository's workflow as the sandbox's forge would, with its registry and environment repository.

    Examples: pipeline .; pipeline ~/src/service --json
    """
    output = Output(as_json=json)
    access, _timeline = bring_up(output, bringing.name, bringing.options())
    run = run_own(access, Path(path), output.note)
    table = Table("step", "status", "seconds", box=None, pad_edge=False)
    for each in run.steps:
        table.add_row(str(each["name"]), str(each["status"]), f"{each['seconds']:.2f}")
    output.result({**run.to_json(), "log": str(access.runs / run.id / "log.txt")}, table)
    if run.status != "passed":
        log = access.runs / run.id / "log.txt"
        raise _reported(SandboxError(f"the workflow {run.status}", why=run.reason, hint=f"read {log}"))
