from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from sandbox.components.base import Component, Context
from sandbox.core.conditions import Deadline, Observation, failed, met, pending
from sandbox.core.errors import ConditionFailedError, DeadlineError, SandboxError, UnavailableError
from sandbox.core.supervision import SupervisorClient
from sandbox.core.timeline import Timeline
from sandbox.engines.driver import bring_up, closure
from sandbox.engines.embedded import Embedded


@dataclass
class Part:
    """A component of ours that does what it is told, and starts no process."""

    name: str
    requires: tuple[str, ...] = ()
    ports: tuple[str, ...] = ()
    act: Callable[[], None] = field(default=lambda: None)
    look: Callable[[], Observation] = field(default=lambda: met("well"))

    def ensure(self, context: Context) -> None:
        """Act."""
        del context
        self.act()

    def ready(self, context: Context) -> Observation:
        """Look."""
        del context
        return self.look()

    def diagnose(self, context: Context, into: Path) -> None:
        """Have nothing to say."""

    def remove(self, context: Context) -> None:
        """Have nothing to remove."""


@pytest.fixture
def context(tmp_path: Path) -> Context:
    return Context("box", "unit", tmp_path, {}, {}, 1, SupervisorClient(tmp_path))


def bring(context: Context, *parts: Component, seconds: float = 5) -> Timeline:
    timeline = Timeline()
    bring_up(context, parts, Deadline.after(seconds), timeline)
    return timeline


def refuse() -> None:
    raise UnavailableError("it is broken", why="somebody dropped it")


def names(parts: list[Component]) -> list[str]:
    return [part.name for part in parts]


def test_a_closure_holds_what_is_asked_for_and_all_that_it_requires() -> None:
    parts = [Part("c", ("b",)), Part("x", ("a",)), Part("b", ("a",)), Part("a")]
    assert names(closure(parts, ["c"])) == ["c", "b", "a"]
    assert names(closure(parts, ["a"])) == ["a"]
    assert names(closure(parts, [])) == []
    assert names(closure(parts, ["x", "x", "c"])) == ["c", "x", "b", "a"]


def test_every_component_of_the_engine_can_be_brought_up_with_what_it_requires() -> None:
    parts = Embedded().components()
    assert len(set(names(parts))) == len(parts)
    for part in parts:
        found = closure(parts, [part.name])
        assert part in found
        ready = set[str]()
        while waiting := [one for one in found if one.name not in ready and set(one.requires) <= ready]:
            ready |= set(names(waiting))
        assert ready == set(names(found))


def test_a_component_starts_when_all_that_it_requires_is_ready(context: Context) -> None:
    looked = {"a": 0}

    def slowly() -> Observation:
        looked["a"] += 1
        return met("well") if looked["a"] == 3 else pending("starting")

    timeline = bring(context, Part("c", ("a", "b")), Part("b", ("a",)), Part("a", look=slowly))
    events = [(event.subject, event.what) for event in timeline.events]
    assert events == [(name, what) for name in "abc" for what in ("starting", "ready")]


def test_components_that_do_not_require_each_other_start_at_the_same_time(context: Context) -> None:
    together = threading.Barrier(3, timeout=5)

    def meet() -> None:
        together.wait()

    bring(context, *(Part(name, act=meet) for name in "abc"))
    assert not together.broken


def test_nothing_to_bring_up_is_up(context: Context) -> None:
    assert bring(context).events == []


def test_what_requires_a_failed_component_is_never_started(context: Context) -> None:
    started = threading.Event()
    with pytest.raises(UnavailableError, match="it is broken"):
        bring(context, Part("a", act=refuse), Part("b", ("a",), act=started.set))
    assert not started.is_set()


@pytest.mark.parametrize("count", [1, 5, 15])
def test_the_first_failure_is_raised_and_not_one_that_followed_from_it(context: Context, count: int) -> None:
    others = [Part(f"other-{number}", look=lambda: pending("starting")) for number in range(count)]
    for _ in range(5):
        with pytest.raises(UnavailableError) as caught:
            bring(context, *others, Part("a", act=refuse))
        assert str(caught.value) == "it is broken\n  why:  somebody dropped it"


def test_a_component_that_says_it_can_not_become_ready_ends_the_wait_at_once(context: Context) -> None:
    part = Part("a", look=lambda: failed("no such flag"))
    with pytest.raises(ConditionFailedError, match="a to be ready: can't come true") as caught:
        bring(context, part, Part("b", look=lambda: pending("starting")))
    assert caught.value.why == "no such flag"
    assert str(context.folder / "logs") in caught.value.hint


def test_a_component_that_never_becomes_ready_is_named_at_the_deadline(context: Context) -> None:
    with pytest.raises(DeadlineError, match=r"slow to be ready: not within 0\.05 s") as caught:
        bring(context, Part("quick"), Part("slow", look=lambda: pending("still reading")), seconds=0.05)
    assert caught.value.why == "last seen: still reading"


def test_an_unforeseen_error_is_raised_and_ends_the_others(context: Context) -> None:
    def look() -> Observation:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        bring(context, Part("a", look=look), Part("b", look=lambda: pending("starting")))


def test_the_timeline_says_who_failed(context: Context) -> None:
    timeline = Timeline()
    with pytest.raises(SandboxError):
        bring_up(context, [Part("a", act=refuse)], Deadline.after(5), timeline)
    assert [(event.subject, event.what) for event in timeline.events] == [("a", "starting"), ("a", "failed")]


def test_no_thread_is_left_when_all_is_up(context: Context) -> None:
    before = set(threading.enumerate())
    bring(context, *(Part(name) for name in "abc"))
    started = set(threading.enumerate()) - before
    for thread in started:
        thread.join(5)
    assert not [thread.name for thread in started if thread.is_alive()]


def test_an_interrupt_while_components_are_begun_ends_those_that_have_begun(
    context: Context, monkeypatch: pytest.MonkeyPatch
) -> None:
    submit, running = ThreadPoolExecutor.submit, list[Any]()

    def interrupted(*words: Any) -> Any:
        if running:
            raise KeyboardInterrupt
        running.append(submit(*words))
        return running[0]

    monkeypatch.setattr(ThreadPoolExecutor, "submit", interrupted)
    with pytest.raises(KeyboardInterrupt):
        bring(context, Part("waits", look=lambda: pending("not yet")), Part("never-begun"), seconds=60)
    # Python waits for such threads before it exits.
    with pytest.raises(SandboxError, match="another component failed first"):
        running[0].result(timeout=5)
