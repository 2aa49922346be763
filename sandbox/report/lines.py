"""From events to lines: what is said of a run once and for all, on a terminal and in a log.

Components tell ``starting``, then ``ready`` or ``failed``. Work that takes long and the steps of a story tell
``starting`` with a sentence; a step then tells ``proved`` for each verdict, and ``passed``, ``failed`` or ``skipped``.
"""

from __future__ import annotations

import textwrap
from collections.abc import Iterable
from dataclasses import dataclass, replace

from rich.text import Text

from sandbox.core.timeline import Event

__all__ = ["ASCII", "UNICODE", "LogLines", "Marks", "Running", "TerminalLines", "narrated"]

_TIMES_AT = 100  # the column that times end at, where the terminal is that wide
_NAMES = 32  # the longest component's name


@dataclass(frozen=True, slots=True)
class Marks:
    """The signs that lines begin with, by what became of a thing."""

    good: str
    bad: str
    left_out: str
    more: str


UNICODE = Marks("✓", "✗", "–", "…")  # noqa: RUF001  # an en dash is meant
ASCII = Marks("ok", "FAILED", "-", "...")


@dataclass(frozen=True, slots=True)
class Running:
    """Something that started and has not ended.

    Attributes:
        subject: Its name.
        sentence: What it does; empty for a component.
        at: When it started, on the timeline's clock.
        proved: The verdicts that hold so far.
    """

    subject: str
    sentence: str
    at: float
    proved: tuple[str, ...] = ()


class TerminalLines:
    """Says of each thing how it ended, on one line; why, when it ended badly.

    Args:
        width: The columns that a line may take.
        marks: The signs to use.
    """

    _repeats_proofs = True

    def __init__(self, width: int, marks: Marks) -> None:
        self._width = width
        self._marks = marks
        self._first_failure = ""
        self.running: dict[str, Running] = {}
        self.ready = 0
        self.components_since = 0.0

    def of(self, event: Event) -> list[Text]:
        """Take an event in and give the lines that it is worth; most often none or one."""
        tell = {
            "starting": self._starting,
            "ready": self._ready,
            "proved": self._proved,
            "passed": self._passed,
            "failed": self._failed,
            "skipped": self._skipped,
            "died": self._died,
        }.get(event.what)
        return tell(event) if tell else []

    def _starting(self, event: Event) -> list[Text]:
        if not event.detail and not self.running:
            self.components_since = event.at
        self.running[event.subject] = Running(event.subject, event.detail, event.at)
        return []

    def _ready(self, event: Event) -> list[Text]:
        known = self.running.pop(event.subject, None)
        if known and known.sentence:
            told = replace(known, sentence=f"{event.subject}: {known.sentence}")
            return self._with_time(self._marks.good, "green", told, event)
        self.ready += 1
        return [self._ended(self._marks.good, "green", event.subject.ljust(_NAMES), known, event)]

    def _proved(self, event: Event) -> list[Text]:
        if known := self.running.get(event.subject):
            self.running[event.subject] = replace(known, proved=(*known.proved, event.detail))
        return []

    def _passed(self, event: Event) -> list[Text]:
        known = self.running.pop(event.subject, None)
        return self._with_time(self._marks.good, "green", known, event)

    def _failed(self, event: Event) -> list[Text]:
        known = self.running.pop(event.subject, None)
        if event.detail:
            proofs = known.proved if known and self._repeats_proofs else ()
            lines = self._with_time(self._marks.bad, "bold red", known, event)
            lines += [self._detail(f"before that, proved: {proof}", "dim") for proof in proofs]
            lines += [self._detail(line, "red") for line in _plain_lines(event.detail)]
            return lines
        if known is None:
            # It never started, because something else failed; that one has said why.
            return []
        if self._first_failure:
            return [self._ended(self._marks.left_out, "yellow", f"{event.subject} was still starting", known, event)]
        self._first_failure = event.subject
        return [self._ended(self._marks.bad, "bold red", event.subject.ljust(_NAMES), known, event)]

    def _skipped(self, event: Event) -> list[Text]:
        self.running.pop(event.subject, None)
        said = f"{event.subject} skipped: {event.detail or 'no reason was given'}"
        return self._wrapped(f"{self._marks.left_out} ", "yellow", said, self._width)

    def _died(self, event: Event) -> list[Text]:
        said = f"{event.subject} died" + (f": {event.detail}" if event.detail else "")
        return self._wrapped(f"{self._marks.bad} ", "bold red", said, self._width)

    def _with_time(self, mark: str, style: str, known: Running | None, event: Event) -> list[Text]:
        """Give a sentence with its time at the right edge, on as many lines as it takes."""
        time = _took(known, event)
        edge = min(self._width, _TIMES_AT)
        lines = self._wrapped(f"{mark} ", style, (known and known.sentence) or event.subject, edge - len(time) - 2)
        last = lines[-1]
        last.append(" " * (edge - last.cell_len - len(time)) + time, "dim")
        return lines

    def _ended(self, mark: str, style: str, said: str, known: Running | None, event: Event) -> Text:
        return Text.assemble((mark, style), " ", said, "  ", (f"{_took(known, event):>7}", "dim"))

    def _wrapped(self, mark: str, style: str, said: str, width: int) -> list[Text]:
        indent = " " * len(mark)
        parts = _wrap(" ".join(_plain_lines(said)), width, indent) or [indent]
        first = Text.assemble((mark, style), parts[0][len(mark) :])
        return [first, *(Text(part) for part in parts[1:])]

    def _detail(self, said: str, style: str) -> Text:
        indent = " " * (4 + len(said) - len(said.lstrip()))
        return Text("\n".join(_wrap(said.lstrip(), self._width, indent, f"{indent}  ")), style)


class LogLines(TerminalLines):
    """Says also when a step starts and what it proves: a log is read when nobody watched."""

    _repeats_proofs = False  # they stand right above

    def _starting(self, event: Event) -> list[Text]:
        super()._starting(event)
        if not event.detail:
            return []
        return self._wrapped("", "", f"{event.subject}: {event.detail}", self._width)

    def _proved(self, event: Event) -> list[Text]:
        super()._proved(event)
        seconds = event.data.get("seconds")
        took = f" ({seconds:.1f} s)" if isinstance(seconds, int | float) else ""
        return [self._detail(f"proved {event.detail}{took}", "dim")]

    def _with_time(self, mark: str, style: str, known: Running | None, event: Event) -> list[Text]:
        # The sentence stands above, at the start.
        return [self._ended(mark, style, f"{event.subject} {event.what}", known, event)]


def narrated(events: Iterable[Event], width: int) -> list[Text]:
    """Give the lines that a terminal of this width showed of these events, to be drawn again."""
    lines = TerminalLines(width, UNICODE)
    return [line for event in events for line in lines.of(event)]


def _took(known: Running | None, event: Event) -> str:
    return f"{event.at - known.at:.1f} s" if known else ""


def _plain_lines(text: str) -> list[str]:
    """Split text into lines without the escape sequences that programs put into their logs."""
    return Text.from_ansi(text).plain.splitlines()


def _wrap(line: str, width: int, indent: str, further_indent: str | None = None) -> list[str]:
    """Break between words only, so that paths, URLs and commands can be copied."""
    return textwrap.wrap(
        line,
        width=max(width, len(indent) + 20),
        initial_indent=indent,
        subsequent_indent=indent if further_indent is None else further_indent,
        replace_whitespace=False,
        break_long_words=False,
        break_on_hyphens=False,
    )
