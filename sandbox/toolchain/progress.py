"""Showing how the making of tools goes: bars with an estimate on a terminal, plain lines everywhere else."""

from __future__ import annotations

import threading
import time
from types import TracebackType
from typing import Self

from rich.console import Console
from rich.progress import BarColumn, ProgressColumn, SpinnerColumn, Task, TaskID, TextColumn
from rich.progress import Progress as Bars
from rich.text import Text

from sandbox.toolchain.tool import Progress

__all__ = ["BarProgress", "LineProgress", "show_progress"]

_LINE_EVERY_SECONDS = 30.0


def show_progress(console: Console) -> BarProgress | LineProgress:
    """Give the progress that suits a console; used as a context manager, it cleans up what it drew."""
    return BarProgress(console) if console.is_terminal else LineProgress(console)


def _seconds(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes} min {rest} s" if minutes else f"{rest} s"


class _Times(ProgressColumn):
    """The time that has passed, and the estimate of the whole."""

    def render(self, task: Task) -> Text:
        estimate = task.fields["estimate"]
        of = f" of about {_seconds(estimate)}" if estimate else ""
        return Text(f"{_seconds(task.elapsed or 0)}{of}", style="progress.elapsed")


class BarProgress(Progress):
    """One bar for each tool in the making.

    Args:
        console: Where to draw; standard error, so that standard output stays clean.
    """

    def __init__(self, console: Console) -> None:
        self._bars = Bars(
            SpinnerColumn(),
            TextColumn("{task.description}"),
            BarColumn(),
            _Times(),
            TextColumn("{task.fields[note]}", style="dim"),
            console=console,
            transient=True,
        )
        self._console = console
        self._lock = threading.Lock()
        self._tasks: dict[str, TaskID] = {}

    def __enter__(self) -> Self:
        self._bars.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._bars.stop()

    def begin(self, tool: str, provider: str, estimate_seconds: float | None) -> None:
        """Draw a bar."""
        with self._lock:
            self._tasks[tool] = self._bars.add_task(
                f"{tool} ({provider})", total=None, note="", estimate=estimate_seconds
            )

    def update(self, tool: str, done_fraction: float | None, note: str) -> None:
        """Move the bar; without a fraction it only shows that something happens."""
        with self._lock:
            if tool in self._tasks:
                total = None if done_fraction is None else 1.0
                self._bars.update(self._tasks[tool], total=total, completed=done_fraction or 0.0, note=note[:60])

    def end(self, tool: str, seconds: float) -> None:
        """Take the bar away and leave a line."""
        with self._lock:
            task = self._tasks.pop(tool, None)
            if task is not None:
                self._bars.remove_task(task)
                self._console.print(f"{tool}: {_seconds(seconds)}", highlight=False)


class LineProgress(Progress):
    """A line when a tool begins and ends, and one every half minute between.

    Args:
        console: Where to write.
        every: Seconds between two lines on one tool.
    """

    def __init__(self, console: Console, every: float = _LINE_EVERY_SECONDS) -> None:
        self._console = console
        self._every = every
        self._lock = threading.Lock()
        self._told: dict[str, float] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Leave the lines where they are."""

    def begin(self, tool: str, provider: str, estimate_seconds: float | None) -> None:
        """Write that a provider starts on a tool."""
        about = f", about {_seconds(estimate_seconds)}" if estimate_seconds else ""
        self._say(tool, f"{tool}: from {provider}{about}")

    def update(self, tool: str, done_fraction: float | None, note: str) -> None:
        """Write how far it is, when nothing was written of it for a while."""
        if time.monotonic() - self._told.get(tool, 0.0) >= self._every:
            done = "" if done_fraction is None else f" {done_fraction:.0%}"
            self._say(tool, f"{tool}:{done} {note}".rstrip())

    def end(self, tool: str, seconds: float) -> None:
        """Write that it is over."""
        self._say(tool, f"{tool}: {_seconds(seconds)}")

    def _say(self, tool: str, line: str) -> None:
        with self._lock:
            self._told[tool] = time.monotonic()
            self._console.print(line, highlight=False, markup=False, soft_wrap=True)
