"""What set what off: happenings of many sources brought into one order, each with its cause.

A source knows names (a commit, a delivery, an Application), not causes: a happening says which names it makes known
and which it answers to. Its cause is the latest earlier happening under one of those names. Where only the order in
time speaks for a cause, the happening says so (``by_name``).
"""

from __future__ import annotations

import datetime as dt
import functools
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from sandbox.report.findings import Happening

__all__ = ["Draft", "linked"]

_SECOND = dt.timedelta(seconds=1)


@dataclass(frozen=True, slots=True)
class Draft:
    """A happening whose cause is yet to be found.

    Attributes:
        happening: Without its cause.
        makes: The names under which others may be caused by it.
        answers: The names of which the latest is its cause.
        follows: The names of which the latest is taken for its cause where none of ``answers`` is known.
    """

    happening: Happening
    makes: tuple[str, ...] = ()
    answers: tuple[str, ...] = ()
    follows: tuple[str, ...] = ()


def linked(drafts: Iterable[Draft]) -> list[Happening]:
    """Give the happenings in order, each with its cause.

    A time in whole seconds is the begin of its second: such a happening stands behind its cause when that lies within
    the same second, and behind what the same source wrote before. No more is known of its place.
    """
    # Python's sort is stable: what stands at one moment keeps the order of its source.
    ordered = sorted(drafts, key=lambda draft: draft.happening.at)
    waiting = [draft.happening for draft in ordered]
    known: dict[str, list[int]] = {}
    for number, draft in enumerate(ordered):
        for name in draft.makes:
            known.setdefault(name, []).append(number)
    found = list(waiting)
    # Before which place each must stand, since something whose time is finely known is an effect of it.
    limits = [len(waiting)] * len(waiting)
    # Last come those in whole seconds, backwards: what bounds their places is known by then.
    fine = [number for number, each in enumerate(waiting) if not each.whole_second]
    coarse = [number for number, each in enumerate(waiting) if each.whole_second]
    for number in [*fine, *reversed(coarse)]:
        draft, may_be = ordered[number], functools.partial(_may_be_cause, waiting, limits[number], number)
        named = _latest(waiting, filter(may_be, _known(known, draft.answers)))
        cause = _latest(waiting, filter(may_be, _known(known, draft.follows))) if named is None else named
        if cause is not None:
            found[number] = replace(waiting[number], cause=waiting[cause].key, by_name=named is not None)
            own = limits[number] if waiting[number].whole_second else number
            limits[cause] = min(limits[cause], own)
    return _ordered(found)


def _known(known: Mapping[str, Sequence[int]], names: Sequence[str]) -> list[int]:
    return [number for name in names for number in known.get(name, ())]


def _may_be_cause(waiting: Sequence[Happening], limit: int, number: int, other: int) -> bool:
    if not waiting[number].whole_second or waiting[other].whole_second:
        return other < number
    # What is said to have been at 5 s may have been at 5.9 s, unless an effect of it was earlier.
    return waiting[other].at < waiting[number].at + _SECOND and other < limit


def _latest(waiting: Sequence[Happening], candidates: Iterable[int]) -> int | None:
    return max(candidates, key=lambda number: waiting[number].at, default=None)


def _ordered(happenings: Sequence[Happening]) -> list[Happening]:
    by_key = {each.key: each for each in happenings}
    placed = {each.key: each.at for each in happenings}
    last_of_source: dict[str, dt.datetime] = {}
    for each in happenings:
        if each.whole_second:
            limit = each.at + _SECOND
            bounds = (placed.get(each.cause), last_of_source.get(each.source))
            at = max([each.at, *(bound for bound in bounds if bound is not None and bound < limit)])
            placed[each.key] = last_of_source[each.source] = at
    told: dict[str, Happening] = {}

    def tell(each: Happening) -> None:
        if each.key not in told:
            if each.cause in by_key:
                tell(by_key[each.cause])
            told[each.key] = each

    # Of what stands at one moment, the one that is known finely may be the other's cause.
    for each in sorted(happenings, key=lambda each: (placed[each.key], each.whole_second)):
        tell(each)
    return list(told.values())
