"""The narrator: tells a person, while a run goes on, what is done and what is being waited for."""

from __future__ import annotations

import time
from dataclasses import dataclass
from types import TracebackType
from typing import IO, Self, cast

from rich.cells import cell_len
from rich.console import Console
from rich.live import Live
from rich.spinner import Spinner
from rich.text import Text

from sandbox.core.timeline import Event, Timeline
from sandbox.report.lines import ASCII, UNICODE, LogLines, Running, TerminalLines
from sandbox.report.streams import LastingStream

__all__ = ["Narrator"]

_REDRAWS_A_SECOND = 10
_BROADEST = 120


@dataclass(frozen=True, slots=True)
class _View:
    """What the bottom line is drawn from: replaced whole, since it is read by another thread."""

    running: tuple[Running, ...]
    ready: int
    components_since: float  # on the timeline's clock
    clock: float  # time.monotonic() when the timeline began


class Narrator:
    """Shows a timeline as it grows; a context manager that leaves a clean terminal.

    On a terminal the bottom line says what is being waited for and since when, and what has ended stands above it for
    good. Elsewhere there are plain lines without escape sequences. When nobody reads any more, it falls silent.

    Args:
        console: Where to write; for a verb with ``--json`` one on standard error.
        live: Whether a bottom line is wanted; it is drawn only where the console is an interactive terminal.
        expected: How many components will come up, for "9 of 18 ready"; 0 when it is not known.
        prefix: Stands before each line, where several narrate at once.
    """

    def __init__(self, console: Console, *, live: bool, expected: int = 0, prefix: str = "") -> None:
        self._console = console
        self._expected = expected
        unicode = console.encoding.lower().startswith("utf")
        self._marks = UNICODE if unicode else ASCII
        moves = live and console.is_interactive
        self._prefix = f"{prefix}  " if prefix else ""
        width = min(console.width, _BROADEST) - cell_len(self._prefix)
        self._lines = (TerminalLines if moves else LogLines)(width, self._marks)
        self._spinner = Spinner("dots" if unicode else "line", style="cyan")
        self._view = _View((), 0, 0.0, 0.0)
        self._live = (
            Live(
                get_renderable=self._bottom_line,
                console=console,
                refresh_per_second=_REDRAWS_A_SECOND,
                transient=True,
                redirect_stdout=False,
                redirect_stderr=False,
            )
            if moves
            else None
        )

    def __enter__(self) -> Self:
        if not isinstance(self._console.file, LastingStream):
            self._console.file = cast("IO[str]", LastingStream(self._console.file))
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._live is not None:
            self._live.stop()

    def follow(self, timeline: Timeline) -> None:
        """Tell of every event that the timeline records from now on."""
        timeline.subscribe(self.tell)

    def tell(self, event: Event) -> None:
        """Tell of one event; calls come from any thread, one at a time."""
        for line in self._lines.of(event):
            for part in line.split("\n"):
                self._console.print(Text.assemble((self._prefix, "cyan"), part), soft_wrap=True, highlight=False)
        self._view = _View(
            running=tuple(self._lines.running.values()),
            ready=self._lines.ready,
            components_since=self._lines.components_since,
            clock=time.monotonic() - event.at,
        )
        if self._live is not None and self._view.running:
            # From now to the end: Rich's Live can't be started twice.
            self._live.start()

    def _bottom_line(self) -> Text:
        """Draw the bottom line, on exactly one row at any width. Called by Rich's thread."""
        view = self._view
        if not view.running:
            return Text()
        said, since = self._waiting_for(view)
        elapsed = f"  {time.monotonic() - view.clock - since:.1f} s"
        sentence = Text(said)
        sentence.truncate(max(1, min(self._console.width, _BROADEST) - 3 - cell_len(elapsed)), overflow="ellipsis")
        frame = self._spinner.render(self._console.get_time())
        # The spinner is a Text as long as it has no renderable of its own beside it.
        return Text.assemble(frame if isinstance(frame, Text) else "", " ", sentence, (elapsed, "dim"), no_wrap=True)

    def _waiting_for(self, view: _View) -> tuple[str, float]:
        told = [known for known in view.running if known.sentence]
        if told:
            known = told[-1]
            proof = f" · {known.proved[-1]}" if known.proved else ""
            return f"{known.sentence}{proof}", known.at
        of = f" of {self._expected}" if self._expected else ""
        names = ", ".join(known.subject for known in view.running)
        return f"{view.ready}{of} ready · waiting for {names}", view.components_since
