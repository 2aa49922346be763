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
    waiting = sorted(drafts, key=lambda draft: draft.happening.at)
    known: dict[str, list[Draft]] = {}
    for draft in waiting:
        for name in draft.makes:
            known.setdefault(name, []).append(draft)
    found: list[Happening] = []
    for draft in waiting:
        cause = _latest(draft, draft.answers, known)
        by_name = cause is not None
        cause = cause or _latest(draft, draft.follows, known)
        key = cause.happening.key if cause else ""
        found.append(replace(draft.happening, cause=key, by_name=by_name or cause is None))
    return _ordered(found)


def _latest(draft: Draft, names: Sequence[str], known: dict[str, list[Draft]]) -> Draft | None:
    own = draft.happening
    # What is said to have been at 5 s may have been at 5.9 s.
    latest = own.at + _SECOND if own.whole_second else own.at
    before = [
        other
        for name in names
        for other in known.get(name, ())
        if other.happening.key != own.key and (other.happening.at < latest or other.happening.at == own.at)
    ]
    if own.whole_second:
        # Two of them may each seem to come before the other: a cause keeps its place in the source.
        before = [other for other in before if not other.happening.whole_second or other.happening.at <= own.at]
    return max(before, key=lambda other: other.happening.at) if before else None


def _ordered(happenings: Sequence[Happening]) -> list[Happening]:
    placed: dict[str, dt.datetime] = {}
    last_of_source: dict[str, dt.datetime] = {}
    for each in happenings:
        at = each.at
        if each.whole_second:
            limit = each.at + _SECOND
            bounds = (placed.get(each.cause), last_of_source.get(each.source))
            at = max([at, *(bound for bound in bounds if bound is not None and bound < limit)])
            last_of_source[each.source] = at
        placed[each.key] = at
    # Python's sort is stable: what stands at one moment keeps the order of its source.
    return sorted(happenings, key=lambda each: placed[each.key])
