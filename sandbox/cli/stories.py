"""The verbs that tell stories: demo, scenarios, scenario, pipeline."""

from __future__ import annotations

import time
from pathlib import Path

from invoke.context import Context
from rich.table import Table

from sandbox.cli.catalogue import known_stories, stories_named
from sandbox.cli.flags import Bringing, Course, Pausing
from sandbox.cli.output import Output
from sandbox.cli.pausing import Pauses, pauses
from sandbox.cli.session import bring_up, check_alone, narrated
from sandbox.cli.verb import verb
from sandbox.core.errors import SandboxError, UsageError
from sandbox.core.jobs import Job, Turn, run_jobs
from sandbox.engines import sandboxes
from sandbox.engines.access import Access
from sandbox.gitops.own_pipeline import run_own
from sandbox.gitops.reporting import tell_and_report
from sandbox.gitops.story import Story, StoryResult
from sandbox.gitops.tenant import Tenant
from sandbox.gitops.world import World
from sandbox.report.tables import access_panel, closing_table

__all__ = ["demo", "pipeline", "scenario", "scenarios"]


@verb(help={"down": "End the sandbox afterwards."})
def demo(_: Context, *, bringing: Bringing, pausing: Pausing, down: bool = False, json: bool = False) -> None:
    """Bring a sandbox up and tell the core story in it: build, commit, sync, drift, rollback.

    Examples: demo; demo --down; demo --step; demo --engine kind --json
    """
    output = Output(as_json=json)
    with pauses(output, pausing) as paused:
        began = time.monotonic()
        access, _timeline = bring_up(output, bringing.name, bringing.options())
        up_seconds = time.monotonic() - began
        try:
            [(result, report)] = run_jobs([_job(output, access, known_stories()["core"], paused)], 1)
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


Told = tuple[StoryResult, str]
"""What became of a story, and the path of its report."""


def _job(output: Output, access: Access, story: Story, paused: Pauses, prefix: str = "") -> Job[Told]:
    """Make a job of telling a story under its own name."""
    tenant = Tenant.called(story.name)

    def act(turn: Turn) -> Told:
        conduct = paused.conduct(access, tenant.name, turn.cancelled)
        with narrated(output, prefix=prefix) as timeline, sandboxes.telling(access.name, tenant.name):
            return tell_and_report(World(access, tenant), story, timeline, output.note, conduct=conduct)

    return Job(act)


def _raise_failures(results: list[StoryResult], access: Access, report: str) -> None:
    """Fail as the first story did, and say where everything that helps was put."""
    failures = [result.error for result in results if result.error is not None]
    if failures:
        folder = sandboxes.diagnose(access.name)
        told = [f"read {report}" if report else "", failures[0].hint, f"everything that was there to see: {folder}"]
        failures[0].hint = "; ".join(filter(None, told))
        raise _reported(failures[0])


def _reported(error: SandboxError) -> SandboxError:
    """Note that the result is on stdout already, which holds one JSON object only."""
    error.reported = True
    return error


@verb()
def scenarios(_: Context, *, json: bool = False) -> None:
    """List the stories that there are, your project's too, each with the breaks under which it must fail.

    Examples: scenarios; scenarios --json
    """
    output = Output(as_json=json)
    stories = known_stories().values()
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


@verb(
    words="names",
    optional=["shuffle"],
    help={"names": "Which scenarios: by name, or FILE.py, or FILE.py::NAME.", "all": "All of them."},
)
def scenario(
    _: Context,
    names: str = "",
    *,
    json: bool = False,
    bringing: Bringing,
    all: bool = False,  # noqa: A002  # the flag's name
    course: Course,
    pausing: Pausing,
) -> None:
    """Tell stories in a sandbox; it is brought up if need be.

    Examples: scenario core; scenario core --engine kind; scenario tests/stories.py::release --step;
    scenario --all --jobs 2 --shuffle --json
    """
    output = Output(as_json=json)
    chosen = list(known_stories()) if all else [part for part in names.split(",") if part]
    if not chosen:
        raise UsageError("no scenario was named", hint="scenario core, or scenario --all; the list: scenarios")
    stories = stories_named(chosen)
    order = course.order(len(stories), output.note)
    check_alone(pausing, course)
    with pauses(output, pausing) as paused:
        began = time.monotonic()
        access, _timeline = bring_up(output, bringing.name, bringing.options())
        up_seconds = round(time.monotonic() - began, 3)
        several = course.jobs > 1
        jobs = [_job(output, access, stories[n], paused, stories[n].name if several else "") for n in order]
        found = dict(zip(order, run_jobs(jobs, course.jobs), strict=True))
        _show(output, access, [found[n] for n in range(len(stories))], up_seconds)


def _show(output: Output, access: Access, told: list[Told], up_seconds: float) -> None:
    results = [result for result, _ in told]
    shown = [
        {**result.to_json(), "seconds": {"up": up_seconds, "story": result.seconds}, "report": report}
        for result, report in told
    ]
    tables = [
        closing_table([step.to_json() for step in result.steps], each["seconds"])
        for result, each in zip(results, shown, strict=True)
    ]
    passed = all(result.passed for result in results)
    output.result(shown[0] if len(shown) == 1 else {"passed": passed, "scenarios": shown}, *tables)
    _raise_failures(results, access, next((report for result, report in told if not result.passed), ""))


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
