"""Telling a story and keeping the report of it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from sandbox.core.errors import SandboxError
from sandbox.core.timeline import Timeline
from sandbox.gitops.evidence import Witness
from sandbox.gitops.story import Conduct, Sabotage, Story, StoryResult, tell
from sandbox.gitops.world import World
from sandbox.report.findings import Report
from sandbox.report.writing import written

__all__ = ["REPORTS", "keep_report", "tell_and_report"]

REPORTS = "reports"
"""The folder of a sandbox's reports, in its state folder."""


def tell_and_report(
    world: World,
    story: Story,
    timeline: Timeline,
    say: Callable[[str], None],
    sabotage: Sabotage | None = None,
    conduct: Conduct | None = None,
) -> tuple[StoryResult, str]:
    """Tell a story and write its report.

    Args:
        world: Where to tell it.
        story: What to tell.
        timeline: Gets each step and verdict.
        say: Told why, where no report can be written: that must not hide what became of the story.
        sabotage: What to break.
        conduct: How the telling is conducted from outside.

    Returns:
        What became of it, and the path of its HTML report; the empty text where there is none.
    """
    witness = Witness(world, timeline)
    witness.begin()
    result = tell(story, world, timeline, sabotage, conduct)
    name = f"{story.name}-{sabotage.name}" if sabotage else story.name
    try:
        found = witness.report(story, result, sabotage)
    except (SandboxError, OSError) as error:
        say(f"no report was made: {error}")
        return result, ""
    return result, keep_report(found, world.access.folder / REPORTS, name, say)


def keep_report(found: Report, folder: Path, name: str, say: Callable[[str], None]) -> str:
    """Write a report and give the path of its HTML file; the empty text where it can't be written, and ``say`` why."""
    try:
        return str(written(found, folder, name).html)
    except SandboxError as error:
        say(f"no report was written: {error}")
        return ""
