from __future__ import annotations

import contextlib
import traceback

import pytest

from sandbox.core.conditions import pending
from sandbox.core.timeline import Timeline
from sandbox.gitops.predicates import Predicate
from sandbox.gitops.steps import StepResult, StoryFailedError
from sandbox.gitops.story import expect, then
from sandbox.gitops.telling import Telling
from sandbox.testing.sections import failure_of, own_lines

NEVER = Predicate("it to be so", lambda: pending("it is not"))


def demanded_in_a_block() -> None:
    with then("it is so"):
        expect(NEVER)


def demanded_alone() -> None:
    expect(NEVER)


@pytest.mark.parametrize("helper", [demanded_in_a_block, demanded_alone])
def test_a_failure_shows_the_lines_of_the_test_and_its_helpers_down_to_the_demand(helper: object) -> None:
    assert callable(helper)
    telling = Telling(Timeline(), {}, contextlib.ExitStack())
    with (
        pytest.raises(StoryFailedError, match="it to be so: it is not so") as caught,
        telling.told(),
        telling.whole(StepResult("test", "a test")),
    ):
        helper()
    lines = [frame.line for frame in traceback.extract_tb(own_lines(caught.value))]
    assert lines[-2:] == ["helper()", "expect(NEVER)"]
    assert {frame.filename for frame in traceback.extract_tb(own_lines(caught.value))} == {__file__}


def test_what_a_test_asserts_is_a_verdict_and_what_breaks_it_is_none() -> None:
    told = failure_of(AssertionError("assert 1 == 2\n + where 1"), "test")
    assert (told.what, told.by_verdict) == ("test: AssertionError: assert 1 == 2", True)
    assert not failure_of(ZeroDivisionError("division by zero"), "test").by_verdict
    assert failure_of(told, "other") is told
