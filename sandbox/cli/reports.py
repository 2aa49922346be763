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
from sandbox.core.errors import UsageError
from sandbox.core.files import read_json
from sandbox.engines import sandboxes
from sandbox.engines.access import Access
from sandbox.gitops.evidence import FIDELITY
from sandbox.gitops.reporting import REPORTS, keep_report
from sandbox.gitops.story import Story
from sandbox.report.findings import KilledSabotage, Report
from sandbox.report.writing import ReportFiles, written_reports

__all__ = ["report", "write_kill_table"]


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
    return keep_report(found, access.folder / REPORTS, f"{story.name}-sabotages", output.note)


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
    folder = Path(sandboxes.status(name)["state_dir"]) / REPORTS
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
