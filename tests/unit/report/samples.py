"""Reports as a telling gives them, and a reader of HTML that takes nothing on trust."""

from __future__ import annotations

import datetime as dt
from html.parser import HTMLParser

from sandbox.report.findings import (
    Blocker,
    ClusterEvent,
    Difference,
    Failure,
    Happening,
    KilledSabotage,
    Lane,
    LogExcerpt,
    Report,
    ReportStep,
)

__all__ = ["AT", "PageReader", "failing", "happening", "killing", "passing"]

AT = dt.datetime(2026, 11, 24, 19, 55, 6, 149_000, dt.UTC)
SHA = "0123456789abcdef0123456789abcdef01234567"
_VOID = {"meta", "br", "hr", "link", "input", "img"}


def happening(key: str, seconds: float, lane: Lane = Lane.GIT, what: str = "something happens") -> Happening:
    """Make a happening so many seconds after ``AT``."""
    return Happening(key, AT + dt.timedelta(seconds=seconds), lane, what, "a test")


def passing(said: str = "5 replicas") -> Report:
    """Give the report of a story that held; ``said`` stands wherever a text of the run does."""
    happenings = (
        happening("push", 0.0, Lane.GIT, said),
        Happening("seen", AT + dt.timedelta(seconds=1.5), Lane.SYNC, said, said, cause="push", good=True),
    )
    steps = (
        ReportStep(
            "release", "A new version goes live", "passed", 2.5, "", {"commit": SHA, said: [said]}, (said,), happenings
        ),
        ReportStep("answers", "The application answers", "skipped", 0.0, said),
    )
    versions = {"kubectl": "1.2.3"}
    return Report("core", said, "box", "embedded", "No container runs.", AT, 12.5, True, SHA, "", versions, steps)  # noqa: FBT003


def failing(said: str = "5 replicas") -> Report:
    """Give the report of a story that did not hold."""
    failure = Failure(
        step="scaled-by-hand",
        wanted=f"the scaling to be undone: {said}",
        last_seen=said,
        hint=said,
        by_verdict=True,
        seen_at=AT,
        revision=SHA,
        blockers=(Blocker("finalizer", "example.com/hold", said),),
        differences=(Difference("dev", "Deployment greeter", "spec.replicas", "1", said),),
        compared=28,
        events=(ClusterEvent(AT, "Pod one", "FailedScheduling", said, warning=True),),
        logs=(LogExcerpt("kwok", (said, said), 3, (said,)),),
        unknown=(said,),
    )
    step = ReportStep(
        "scaled-by-hand", "It is scaled back", "failed", 8.1, said, {}, (), (happening("a", 0, what=said),)
    )
    good = passing(said)
    return Report(
        "core",
        said,
        "box",
        "embedded",
        "",
        AT,
        20.0,
        False,  # noqa: FBT003
        SHA,
        said,
        good.versions,
        (*good.steps, step),
        failure,
    )


def killing() -> Report:
    """Give the report of two sabotages, one of which survived."""
    rows = (
        KilledSabotage("push-lost", "release", "commits go to a fork", noticed=True, report="one.html"),
        KilledSabotage("paused", "deleted", "nobody reconciles", noticed=False, reason="the story passed all the same"),
    )
    return Report("core", "It", "box", "embedded", "", AT, 30.0, False, sabotages=rows)  # noqa: FBT003


class PageReader(HTMLParser):
    """Reads a page and complains of what a browser would have to guess."""

    def __init__(self, page: str) -> None:
        super().__init__(convert_charrefs=True)
        self.open: list[str] = []
        self.tags: list[str] = []
        self.ids: list[str] = []
        self.wanted_ids: set[str] = set()
        self.links: list[str] = []
        self.attributes: set[str] = set()
        self.headings: list[int] = []
        self.words: list[str] = []
        self.problems: list[str] = []
        self.feed(page)
        self.close()
        if self.open:
            self.problems.append(f"never closed: {self.open}")

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Note an element."""
        self.tags.append(tag)
        if tag not in _VOID:
            self.open.append(tag)
        if len(tag) == 2 and tag[0] == "h" and tag[1].isdigit():
            self.headings.append(int(tag[1]))
        given = dict(attrs)
        if len(given) != len(attrs):
            self.problems.append(f"an attribute twice at {tag}")
        self.attributes |= set(given)
        if found := given.get("id"):
            self.ids.append(found)
        self.wanted_ids |= set((given.get("aria-labelledby") or "").split())
        self.links += [value for name in ("href", "src") if (value := given.get(name))]

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Note an element of SVG that closes itself."""
        self.handle_starttag(tag, attrs)
        if tag not in _VOID:
            self.open.pop()

    def handle_endtag(self, tag: str) -> None:
        """Hold an element's end against what is open."""
        if not self.open or self.open[-1] != tag:
            self.problems.append(f"</{tag}> closes {self.open[-1:] or 'nothing'}")
        else:
            self.open.pop()

    def handle_data(self, data: str) -> None:
        """Note what a reader reads."""
        if self.open[-1:] != ["style"]:
            self.words.append(data)

    @property
    def text(self) -> str:
        """All words, with single spaces."""
        return " ".join(" ".join(self.words).split())
