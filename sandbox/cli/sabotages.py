"""The verb that breaks the system on purpose: a story that does not notice is a broken check."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from invoke.context import Context
from rich.table import Table

from sandbox.cli.catalogue import stories_named
from sandbox.cli.flags import Bringing, Course, Pausing
from sandbox.cli.output import Output
from sandbox.cli.pausing import Pauses, pauses
from sandbox.cli.reports import write_kill_table
from sandbox.cli.session import bring_up, check_alone, narrated
from sandbox.cli.verb import verb
from sandbox.core.errors import SandboxError, UsageError
from sandbox.core.jobs import Job, Turn, run_jobs
from sandbox.core.locks import Mode
from sandbox.core.names import check_choice
from sandbox.engines import sandboxes
from sandbox.engines.access import Access
from sandbox.gitops.reporting import tell_and_report
from sandbox.gitops.story import Sabotage, Story, survived
from sandbox.gitops.tenant import Tenant
from sandbox.gitops.world import World
from sandbox.report.findings import KilledSabotage

__all__ = ["sabotage"]


@verb(
    words="names",
    optional=["shuffle"],
    help={
        "names": "Which sabotages.",
        "all": "All.",
        "scenario": "Of which story: its name, or FILE.py::NAME.",
    },
)
def sabotage(
    _: Context,
    names: str = "",
    *,
    json: bool = False,
    bringing: Bringing,
    all: bool = False,  # noqa: A002  # the flag's name
    scenario: str = "core",
    course: Course,
    pausing: Pausing,
) -> None:
    """Break the system on purpose and check that the story notices: it must fail at the broken step.

    Examples: sabotage self-heal-off-scale; sabotage --all --name broken; sabotage --all --jobs 2
    """
    output = Output(as_json=json)
    story = _story(scenario)
    breaks = {each.name: each for each in story.sabotages}
    chosen = list(breaks) if all else [part for part in names.split(",") if part]
    if not chosen:
        raise UsageError("no sabotage was named", hint=f"sabotage --all, or one of: {', '.join(breaks)}")
    for each in chosen:
        check_choice("sabotage", each, breaks)
    order = course.order(len(chosen), output.note)
    check_alone(pausing, course)
    with pauses(output, pausing) as paused:
        access, _timeline = bring_up(output, bringing.name, bringing.options())
        skipped = {each: lacking for each in chosen if (lacking := breaks[each].missing(access.capabilities))}
        if len(skipped) == len(chosen):
            raise UsageError(f"none of {', '.join(chosen)} can be shown here", why=next(iter(skipped.values())))
        for each, why in skipped.items():
            output.note(f"{each} skipped: {why}")
        began = dt.datetime.now(dt.UTC)
        breaking = _Breaking(output, access, story, paused, course.jobs)
        told = [breaks[chosen[place]] for place in order if chosen[place] not in skipped]
        found = run_jobs([breaking.job(each) for each in told], course.jobs)
    rows = sorted(found, key=lambda row: chosen.index(row["name"]))
    report = write_kill_table(output, access, story, began, [_row(row, breaks[row["name"]]) for row in rows])
    survivors = [row["name"] for row in rows if not row["noticed"]]
    left_out = [{"name": each, "reason": why} for each, why in skipped.items()]
    shown = {"passed": not survivors, "sabotages": rows, "skipped": left_out, "report": report}
    output.result(shown, _table(rows, breaks, skipped), f"report: {report}")
    if survivors:
        error = SandboxError(f"the story {story.name} does not notice: {', '.join(survivors)}", why="a check is broken")
        error.reported = True
        raise error


def _story(word: str) -> Story:
    found = stories_named([word])
    if len(found) > 1:
        raise UsageError(f"{word} holds several stories", hint=f"--scenario {word}::{found[0].name}")
    return found[0]


class _Breaking:
    """Tells one story under one break after the other.

    Args:
        output: Where the telling is shown.
        access: The way into the sandbox.
        story: What is told.
        paused: Where it pauses.
        at_once: How many are told at once.
    """

    def __init__(self, output: Output, access: Access, story: Story, paused: Pauses, at_once: int) -> None:
        self._output = output
        self._access = access
        self._story = story
        self._paused = paused
        self._at_once = at_once

    def job(self, broken: Sabotage) -> Job[dict[str, Any]]:
        """Give the telling under one break as a job."""
        return Job(lambda turn: self._tell(broken, turn), alone=broken.shared)

    def _tell(self, broken: Sabotage, turn: Turn) -> dict[str, Any]:
        several = self._at_once > 1
        # A tenant is used again and again, so that no more of them stay than are told at once.
        tenant = Tenant(f"sabotage-{turn.place}" if several else "sabotage")
        beside = Mode.ALONE if broken.shared else Mode.SHARED
        conduct = self._paused.conduct(self._access, tenant.name, turn.cancelled)
        with (
            narrated(self._output, prefix=broken.name if several else "") as timeline,
            sandboxes.telling(self._access.name, tenant.name, beside=beside),
        ):
            world = World(self._access, tenant)
            result, report = tell_and_report(world, self._story, timeline, self._output.note, broken, conduct)
        reason = survived(result, broken)
        found = {"noticed": reason is None, "reason": reason or "", "report": report}
        return {"name": broken.name, "step": broken.step, **found}


def _table(rows: list[dict[str, Any]], breaks: Mapping[str, Sabotage], skipped: Mapping[str, str]) -> Table:
    table = Table("sabotage", "noticed at", "verdict", box=None, pad_edge=False)
    for row in rows:
        table.add_row(row["name"], row["step"], "noticed" if row["noticed"] else f"SURVIVED: {row['reason']}")
    for each, why in skipped.items():
        table.add_row(each, breaks[each].step, f"skipped: {why}")
    return table


def _row(row: Mapping[str, Any], broken: Sabotage) -> KilledSabotage:
    return KilledSabotage(breaks=broken.sentence, **{**row, "report": Path(row["report"]).name})
