"""The causal timeline as a picture: time runs downwards, each actor has a lane, an arrow leads from cause to effect.

Laid out here, drawn by ``templates/timeline.svg.j2``. Rows stand in order and are not to scale, so that no two texts
meet; where more than a second passes, the gap says how long.
"""

from __future__ import annotations

import datetime as dt
import textwrap
from collections.abc import Sequence
from dataclasses import dataclass

from sandbox.report.findings import Happening, Lane
from sandbox.report.tables import shortened

__all__ = ["NARROW", "WIDE", "Picture", "Row", "Sheet", "clock", "laid_out"]

_MOST_ROWS = 70
_GAP_SECONDS = 1.0


@dataclass(frozen=True, slots=True)
class Sheet:
    """The measures of a drawing, in pixels.

    Attributes:
        name: Tells the drawings of one page apart.
        width: Its width.
        first: Where the first lane is.
        pitch: From one lane to the next.
        characters: How many a line of text holds.
        times_beside: Whether times stand left of the lanes; otherwise above each text.
        upright: Whether the lanes' names are turned, since the lanes are too near to each other.
    """

    name: str
    width: int
    first: int
    pitch: int
    characters: int
    times_beside: bool
    upright: bool

    def x(self, lane: Lane) -> int:
        """Give the place of a lane."""
        return self.first + list(Lane).index(lane) * self.pitch

    @property
    def text(self) -> int:
        """Where the texts begin."""
        return self.x(Lane.VERDICT) + self.pitch // 2 + 8


WIDE = Sheet("wide", 1000, 118, 54, 66, times_beside=True, upright=False)
NARROW = Sheet("narrow", 340, 10, 15, 32, times_beside=False, upright=True)

_LINE = 16
_SPACE = 12


@dataclass(frozen=True, slots=True)
class Row:
    """One happening as it is drawn.

    Attributes:
        happening: What it is.
        x: Of its mark.
        y: Of its mark.
        clock: Its time, for people.
        lines: Its text, broken.
        arrow: The path from its cause; empty where it has none in this picture.
        head: The arrow's head.
        gap: How long nothing happened before it; empty where that was short.
    """

    happening: Happening
    x: int
    y: int
    clock: str
    lines: tuple[str, ...]
    arrow: str = ""
    head: str = ""
    gap: str = ""


@dataclass(frozen=True, slots=True)
class Picture:
    """A drawing, ready for its template.

    Attributes:
        sheet: Its measures.
        lanes: Name and place of each lane.
        rows: What is drawn.
        top: Where the lanes begin.
        height: Its height.
        left_out: How many happenings in the middle are not drawn.
        whole_seconds: Whether some of the times are of whole seconds only.
        by_time: Whether some of the arrows rest on time alone.
    """

    sheet: Sheet
    lanes: tuple[tuple[str, int], ...]
    rows: tuple[Row, ...]
    top: int
    height: int
    left_out: int
    whole_seconds: bool
    by_time: bool


def clock(happening: Happening) -> str:
    """Give a happening's time of day, UTC, as finely as its source has it."""
    seconds = happening.at.strftime("%H:%M:%S")
    return f"{seconds}.···" if happening.whole_second else f"{seconds}.{happening.at.microsecond // 1000:03}"


def laid_out(happenings: Sequence[Happening], sheet: Sheet) -> Picture:
    """Lay a timeline out; of very many happenings those in the middle are left out.

    Args:
        happenings: In their order.
        sheet: The measures.
    """
    shown = _shown(happenings)
    top = 66 if sheet.upright else 34
    rows: list[Row] = []
    places: dict[str, tuple[int, int]] = {}
    y, before = top + 8, None
    for each in shown:
        gap = _gap(before, each)
        lines = tuple(textwrap.wrap(_marked(each), sheet.characters, break_on_hyphens=False)) or ("",)
        height = len(lines) * _LINE + (0 if sheet.times_beside else _LINE)
        y += _SPACE + (_LINE if gap else 0)
        at = (sheet.x(each.lane), y)
        arrow, head = _arrow(places.get(each.cause), at)
        rows.append(Row(each, *at, clock(each), lines, arrow, head, gap))
        places[each.key] = at
        y, before = y + height, each
    return Picture(
        sheet=sheet,
        lanes=tuple((lane.value, sheet.x(lane)) for lane in Lane),
        rows=tuple(rows),
        top=top,
        height=y + _SPACE,
        left_out=len(happenings) - len(shown),
        whole_seconds=any(each.whole_second for each in shown),
        by_time=any(row.arrow and not row.happening.by_name for row in rows),
    )


def _shown(happenings: Sequence[Happening]) -> Sequence[Happening]:
    half = _MOST_ROWS // 2
    return happenings if len(happenings) <= _MOST_ROWS else [*happenings[:half], *happenings[-half:]]


def _marked(happening: Happening) -> str:
    sign = {True: "✓ ", False: "✗ ", None: ""}[happening.good]
    # The whole stands in the table.
    return f"{sign}{shortened(happening.what)}"


def _gap(before: Happening | None, after: Happening) -> str:
    # Of a time in whole seconds nobody knows how long the gap was.
    if before is None or before.whole_second or after.whole_second:
        return ""
    passed = (after.at - before.at) / dt.timedelta(seconds=1)
    return f"{passed:.1f} s later" if passed >= _GAP_SECONDS else ""


def _arrow(cause: tuple[int, int] | None, effect: tuple[int, int]) -> tuple[str, str]:
    if cause is None:
        return "", ""
    (x1, y1), (x2, y2) = cause, effect
    end = y2 - 6
    bend = min(40, (end - y1) // 2)
    # Straight down beside the effect's lane as long as may be: it then crosses few others.
    path = f"M{x1} {y1 + 5}C{x1} {y1 + bend} {x2} {y1 + bend // 2} {x2} {min(y1 + 2 * bend, end)}V{end}"
    return path, f"M{x2 - 3.5} {end - 5}L{x2} {end}L{x2 + 3.5} {end - 5}Z"
