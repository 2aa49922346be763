from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sandbox.core.errors import UnavailableError
from sandbox.core.jobs import Job, Turn, run_jobs


@given(st.lists(st.booleans(), max_size=12), st.integers(1, 4))
def test_results_come_in_the_order_of_the_jobs_and_whoever_is_alone_is_alone(alone: list[bool], at_once: int) -> None:
    changing, under_way = threading.Lock(), set[int]()
    most = 0

    def job(number: int) -> Job[int]:
        def act(turn: Turn) -> int:
            nonlocal most
            with changing:
                under_way.add(turn.place)
                most = max(most, len(under_way))
                assert not alone[number] or len(under_way) == 1
            with changing:
                under_way.discard(turn.place)
            assert 1 <= turn.place <= at_once
            return number

        return Job(act, alone=alone[number])

    assert run_jobs([job(number) for number in range(len(alone))], at_once) == list(range(len(alone)))
    assert most <= at_once


def test_jobs_are_done_at_once() -> None:
    together = threading.Barrier(2)

    def act(turn: Turn) -> int:
        together.wait(timeout=10)
        return turn.place

    assert sorted(run_jobs([Job(act), Job(act)], 2)) == [1, 2]


def test_an_error_cancels_the_others_and_goes_up_when_they_have_ended() -> None:
    begun, ended = threading.Event(), list[str]()

    def fails(turn: Turn) -> None:
        del turn
        assert begun.wait(10)
        raise UnavailableError("it broke")

    def waits(turn: Turn) -> None:
        begun.set()
        assert turn.cancelled.wait(10)
        ended.append("cancelled")

    def never(turn: Turn) -> None:
        pytest.fail(f"taken after the error, in place {turn.place}")

    with pytest.raises(UnavailableError, match="it broke"):
        run_jobs([Job(fails), Job(waits), Job(never, alone=True)], 2)
    assert ended == ["cancelled"]


def test_an_interrupt_while_jobs_are_given_out_cancels_those_that_have_begun(monkeypatch: pytest.MonkeyPatch) -> None:
    submit, begun, ended = ThreadPoolExecutor.submit, threading.Event(), list[str]()

    def waits(turn: Turn) -> None:
        begun.set()
        assert turn.cancelled.wait(10)
        ended.append("cancelled")

    def interrupted(*words: Any) -> Any:
        if begun.is_set():
            raise KeyboardInterrupt
        future = submit(*words)
        assert begun.wait(10)
        return future

    monkeypatch.setattr(ThreadPoolExecutor, "submit", interrupted)
    with pytest.raises(KeyboardInterrupt):
        run_jobs([Job(waits), Job(waits)], 2)
    assert ended == ["cancelled"]
