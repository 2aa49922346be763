"""Reports of what was told: written beside the sandbox after each telling, and the verb that finds them again."""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from pathlib import Path

from invoke.context import Context
from rich.text import Text

from sandbox.cli.flags import DEFAULT_NAME
from sandbox.cli.output import Output
from sandbox.cli.verb import verb
from sandbox.core.errors import SandboxError, UsageError
from sandbox.core.files import read_json
from sandbox.core.timeline import Timeline
from sandbox.engines import sandboxes
from sandbox.engines.access import Access
from sandbox.gitops.evidence import FIDELITY, Witness
from sandbox.gitops.story import Sabotage, Story, StoryResult, tell
from sandbox.gitops.tenant import Tenant
from sandbox.gitops.world import World
from sandbox.report.findings import KilledSabotage, Report
from sandbox.report.writing import ReportFiles, written, written_reports

__all__ = ["report", "tell_and_report", "write_kill_table"]

_FOLDER = "reports"


def tell_and_report(
    output: Output, access: Access, story: Story, tenant: Tenant, timeline: Timeline, sabotage: Sabotage | None = None
) -> tuple[StoryResult, str]:
    """Tell a story and write its report.

    Args:
        output: Hears why, where no report can be written: that must not hide what became of the story.
        access: The way into the sandbox.
        story: What to tell.
        tenant: The names that it may use.
        timeline: Gets each step and verdict.
        sabotage: What to break.

    Returns:
        What became of it, and the path of its HTML report; the empty text where there is none.
    """
    world = World(access, tenant)
    with Witness(world, timeline) as witness:
        result = tell(story, world, timeline, sabotage)
    name = f"{story.name}-{sabotage.name}" if sabotage else story.name
    try:
        found = witness.report(story, result, sabotage)
    except (SandboxError, OSError) as error:
        output.note(f"no report was made: {error}")
        return result, ""
    return result, _written(output, found, access, name)


def _written(output: Output, found: Report, access: Access, name: str) -> str:
    try:
        return str(written(found, access.folder / _FOLDER, name).html)
    except SandboxError as error:
        output.note(f"no report was written: {error}")
        return ""


def write_kill_table(
    output: Output, access: Access, story: Story, began: dt.datetime, rows: Sequence[KilledSabotage]
) -> str:
    """Write the report of a set of sabotages; each row leads to the report of its own telling.

    Args:
        output: Hears why, where it can't be written.
        access: The way into the sandbox.
        story: What was told under them.
        began: When the first telling began.
        rows: How each ended.

    Returns:
        The path of the HTML report; the empty text where there is none.
    """
    found = Report(
        scenario=story.name,
        summary=story.summary,
        sandbox=access.name,
        engine=access.engine,
        fidelity=FIDELITY.get(access.engine, ""),
        began=began,
        seconds=(dt.datetime.now(dt.UTC) - began) / dt.timedelta(seconds=1),
        passed=all(row.noticed for row in rows),
        versions={name: tool.version for name, tool in sorted(access.tools.items())},
        sabotages=tuple(rows),
    )
    return _written(output, found, access, f"{story.name}-sabotages")


@verb(words="story", help={"story": "Only reports whose name begins so.", "all": "List all that are kept."})
def report(
    _: Context,
    story: str = "",
    *,
    name: str = DEFAULT_NAME,
    all: bool = False,  # noqa: A002  # the flag's name
    json: bool = False,
) -> None:
    """Say where the newest report is: an HTML file for people, a JUnit file for CI, and everything as JSON.

    Examples: report; report core --name workshop; report --all --json
    """
    output = Output(as_json=json)
    folder = Path(sandboxes.status(name)["state_dir"]) / _FOLDER
    kept = [each for each in written_reports(folder) if _called(each).startswith(story)]
    if not kept:
        raise UsageError(
            f"sandbox {name} has no report" + (f" of {story}" if story else ""), hint=f"scenario core --name {name}"
        )
    listed = [_entry(each) for each in (kept if all else kept[:1])]
    # Not as a table: a path that is broken can't be copied.
    lines = [Text.assemble(str(entry["report"]), f"\n    {entry['verdict']}", overflow="ignore") for entry in listed]
    output.result({"reports": listed} if all else listed[0], *lines)


def _called(files: ReportFiles) -> str:
    """Give a report's name without its time, which has three parts."""
    return files.html.stem.split("-", 3)[3]


def _entry(files: ReportFiles) -> dict[str, object]:
    found = read_json(files.data)
    told = {key: found[key] for key in ("scenario", "sandbox", "engine", "began", "passed", "verdict")}
    return {**told, "report": str(files.html), "junit": str(files.junit), "data": str(files.data)}
