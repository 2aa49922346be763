"""What several verbs do alike: bring a sandbox up with progress, and tell stories in it."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

from sandbox.cli.output import Output
from sandbox.core.timeline import Timeline
from sandbox.engines import sandboxes
from sandbox.engines.access import Access
from sandbox.report.narrator import Narrator
from sandbox.toolchain.progress import show_progress

__all__ = ["DEFAULT_NAME", "bring_up", "narrated"]

DEFAULT_NAME = "default"


@contextlib.contextmanager
def narrated(output: Output, expected: int = 0) -> Iterator[Timeline]:
    """Give a timeline whose events are shown as they happen.

    Args:
        output: Where to.
        expected: How many components will come up; 0 when it is not known.
    """
    timeline = Timeline()
    with Narrator(output.console, live=output.live, expected=expected) as narrator:
        narrator.follow(timeline)
        yield timeline


def bring_up(output: Output, name: str, options: sandboxes.UpOptions) -> tuple[Access, Timeline]:
    """Bring a sandbox up and show how it comes.

    Returns:
        The way into it, and the timeline of the start.
    """
    with show_progress(output.console) as progress:
        sandboxes.fetch_tools(options, progress)
    with narrated(output, sandboxes.component_count(options.engine)) as timeline:
        access = sandboxes.up(
            name,
            options,
            timeline,
            on_wait=lambda: output.note(f"another command holds sandbox {name}; waiting for it"),
        )
    return access, timeline
