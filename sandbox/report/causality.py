"""What set what off: happenings of many sources brought into one order, each with its cause.

A source knows names (a commit, a delivery, an Application), not causes: a happening says which names it makes known
and which it answers to. Its cause is the latest earlier happening under one of those names. Where only the order in
time speaks for a cause, the happening says so (``by_name``).
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable, Sequence
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
    waiting = sorted(drafts, key=lambda draft: draft.happening.at)
    known: dict[str, list[tuple[int, Happening]]] = {}
    for number, draft in enumerate(waiting):
        for name in draft.makes:
            known.setdefault(name, []).append((number, draft.happening))
    found = []
    for number, draft in enumerate(waiting):
        named = _latest(draft.happening, number, [each for name in draft.answers for each in known.get(name, ())])
        cause = named or _latest(
            draft.happening, number, [each for name in draft.follows for each in known.get(name, ())]
        )
        key = cause.key if cause else ""
        found.append(replace(draft.happening, cause=key, by_name=cause is named))
    return _ordered(found)


def _latest(own: Happening, number: int, candidates: Sequence[tuple[int, Happening]]) -> Happening | None:
    if own.whole_second:
        # What is said to have been at 5 s may have been at 5.9 s. Of two such the source's own order holds.
        latest = own.at + _SECOND
        before = [each for place, each in candidates if (place < number if each.whole_second else each.at < latest)]
    else:
        before = [each for place, each in candidates if place < number]
    return max(before, key=lambda each: each.at) if before else None


def _ordered(happenings: Sequence[Happening]) -> list[Happening]:
    placed = {each.key: each.at for each in happenings}
    last_of_source: dict[str, dt.datetime] = {}
    for each in happenings:
        if each.whole_second:
            limit = each.at + _SECOND
            bounds = (placed.get(each.cause), last_of_source.get(each.source))
            at = max([each.at, *(bound for bound in bounds if bound is not None and bound < limit)])
            placed[each.key] = last_of_source[each.source] = at
    # Of what stands at one moment, the one that is known finely may be the other's cause.
    return sorted(happenings, key=lambda each: (placed[each.key], each.whole_second))
