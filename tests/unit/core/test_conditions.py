from __future__ import annotations

import threading
import time

import pytest

from sandbox.core.conditions import Deadline, Observation, failed, hold, met, pending, wait_for
from sandbox.core.errors import ConditionFailedError, DeadlineError


class Looks:
    """A condition that gives one observation after another, and the last one for ever."""

    def __init__(self, *observations: Observation) -> None:
        self._observations = list(observations)
        self.count = 0

    def __call__(self) -> Observation:
        """Look once."""
        self.count += 1
        return self._observations.pop(0) if len(self._observations) > 1 else self._observations[0]


def test_a_condition_that_holds_is_looked_at_once() -> None:
    looks = Looks(met("there"))
    assert wait_for(looks, Deadline.after(5), wanted="it") == met("there")
    assert looks.count == 1


def test_a_condition_that_comes_true_ends_the_wait() -> None:
    looks = Looks(pending("not yet"), pending("not yet"), met("there"))
    assert wait_for(looks, Deadline.after(5), wanted="it", every=0.001).seen == "there"
    assert looks.count == 3


def test_a_wake_is_followed_by_a_look_at_once() -> None:
    wake, changed = threading.Event(), threading.Event()

    def change() -> None:
        changed.set()
        wake.set()

    def look() -> Observation:
        if changed.is_set():
            return met("changed")
        threading.Timer(0.005, change).start()
        return pending("unchanged")

    began = time.monotonic()
    wait_for(look, Deadline.after(5), wanted="a change", wake=wake, every=4)
    assert time.monotonic() - began < 1


def test_a_wake_during_a_look_is_not_lost() -> None:
    wake = threading.Event()
    looks = Looks(pending("old"), met("new"))

    def look() -> Observation:
        seen = looks()
        wake.set()
        return seen

    began = time.monotonic()
    wait_for(look, Deadline.after(5), wanted="a change", wake=wake, every=4)
    assert time.monotonic() - began < 1


def test_a_condition_that_failed_ends_the_wait_at_once_with_its_reason() -> None:
    with pytest.raises(ConditionFailedError) as caught:
        wait_for(Looks(failed("it burnt down")), Deadline.after(5), wanted="the house", hint="call for help")
    assert str(caught.value) == ("the house: can't come true\n  why:  it burnt down\n  next: call for help")
    assert caught.value.exit_code == 3


def test_a_deadline_says_what_was_wanted_and_last_seen() -> None:
    with pytest.raises(DeadlineError) as caught:
        wait_for(
            Looks(pending("first"), pending("last")), Deadline.after(0.01), wanted="the guest", hint="look", every=0.001
        )
    assert str(caught.value) == "the guest: not within 0.01 s\n  why:  last seen: last\n  next: look"
    assert caught.value.exit_code == 4


def test_a_condition_is_looked_at_even_when_the_deadline_lies_behind() -> None:
    behind = Deadline(at=time.monotonic() - 1, seconds=1)
    assert behind.passed
    assert behind.remaining() == 0
    assert wait_for(Looks(met("there")), behind, wanted="it").seen == "there"


def test_a_condition_that_comes_true_while_the_deadline_passes_is_seen() -> None:
    deadline = Deadline.after(0.005)

    def look() -> Observation:
        return met("just now") if deadline.passed else pending("too early")

    # The interval is far longer than the deadline: the last look comes when it has passed, and not later.
    assert wait_for(look, deadline, wanted="it", every=5).seen == "just now"


def test_a_wait_does_not_outlast_its_deadline() -> None:
    began = time.monotonic()
    with pytest.raises(DeadlineError):
        wait_for(Looks(pending("never")), Deadline.after(0.02), wanted="it", every=5)
    assert time.monotonic() - began < 1


def test_who_may_be_late_looks_less_often_the_longer_it_waits() -> None:
    looks = Looks(pending("not yet"))
    with pytest.raises(DeadlineError):
        wait_for(looks, Deadline.after(0.5), wanted="it", every=0.005, late=0.5)
    # Each pause is half as long as all before; without that, there would be up to a hundred looks.
    assert 2 < looks.count < 20


def test_what_stays_true_for_the_time_asked_is_held() -> None:
    looks = Looks(met("steady"))
    began = time.monotonic()
    assert hold(looks, 0.02, wanted="peace", every=0.005).seen == "steady"
    assert time.monotonic() - began >= 0.02
    assert looks.count >= 2


def test_what_was_just_seen_is_not_looked_at_again_at_once_but_at_the_end() -> None:
    looks = Looks(met("steady"))
    assert hold(looks, 0.02, wanted="peace", every=5, seen=met("steady")).seen == "steady"
    assert looks.count == 1


@pytest.mark.parametrize("then", [pending("gone again"), failed("broken")])
def test_a_passing_moment_is_not_held(then: Observation) -> None:
    with pytest.raises(ConditionFailedError) as caught:
        hold(Looks(met("there"), met("there"), then), 5, wanted="peace", every=0.001)
    assert str(caught.value) == f"peace: did not last for 5 s\n  why:  {then.seen}"


def test_what_stops_being_true_at_the_very_end_is_not_held() -> None:
    deadline = Deadline.after(0.005)

    def look() -> Observation:
        return pending("gone") if deadline.passed else met("there")

    with pytest.raises(ConditionFailedError):
        hold(look, 0.01, wanted="peace", every=5)
