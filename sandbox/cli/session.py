"""What several verbs do alike: bring a sandbox up with progress, and tell stories in it."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator

from sandbox.cli.flags import Course, Pausing
from sandbox.cli.output import Output
from sandbox.core.errors import UsageError
from sandbox.core.timeline import Timeline
from sandbox.engines import sandboxes
from sandbox.engines.access import Access
from sandbox.report.narrator import Narrator
from sandbox.toolchain.progress import show_progress

__all__ = ["bring_up", "check_alone", "narrated", "start_again", "waiting"]


@contextlib.contextmanager
def narrated(output: Output, expected: int = 0, prefix: str = "") -> Iterator[Timeline]:
    """Give a timeline whose events are shown as they happen.

    Args:
        output: Where to.
        expected: How many components will come up; 0 when it is not known.
        prefix: Stands before each line where several are narrated at once; there is then no line that moves.
    """
    timeline = Timeline()
    with Narrator(output.console, live=output.live and not prefix, expected=expected, prefix=prefix) as narrator:
        narrator.follow(timeline)
        yield timeline


def bring_up(output: Output, name: str, options: sandboxes.UpOptions) -> tuple[Access, Timeline]:
    """Bring a sandbox up and show how it comes.

    Returns:
        The way into it, and the timeline of the start.
    """
    engine = sandboxes.engine_for(name, options)
    with show_progress(output.console) as progress:
        engine.fetch(options.provider, progress)
    with narrated(output, len(engine.components())) as timeline:
        access = sandboxes.up(name, options, timeline, on_wait=waiting(output, name))
    return access, timeline


def start_again(output: Output, name: str) -> None:
    """Bring a sandbox that there is back, and show how it comes."""
    engine = sandboxes.engine_of(name)
    with show_progress(output.console) as progress:
        engine.fetch(None, progress)
    with narrated(output, len(engine.components())) as timeline:
        sandboxes.start(name, timeline, on_wait=waiting(output, name))


def check_alone(pausing: Pausing, course: Course) -> None:
    """Demand that one story at a time is told where it pauses.

    Raises:
        UsageError: Several are.
    """
    if course.jobs > 1 and (pausing.step or pausing.pause_on_failure):
        raise UsageError(
            "stories that are told at once can't pause", why="the others would go on", hint="leave --jobs out"
        )


def waiting(output: Output, name: str) -> Callable[[], None]:
    """Give what is called when another verb holds the sandbox: it says so."""
    return lambda: output.note(f"another command holds sandbox {name}; waiting for it")
