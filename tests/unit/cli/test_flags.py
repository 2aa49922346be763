from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sandbox.cli.flags import Course
from sandbox.core.errors import UsageError


@given(st.integers(0, 30), st.integers(0, 10**18 - 1))
def test_the_order_that_a_number_gives_is_always_the_same(count: int, seed: int) -> None:
    said: list[str] = []
    order = Course(shuffle=str(seed)).order(count, said.append)
    assert order == Course(shuffle=str(seed)).order(count, said.append)
    assert sorted(order) == list(range(count))


def test_an_order_by_chance_says_how_to_have_it_again() -> None:
    said: list[str] = []
    # What Invoke gives for a flag that stands without a value.
    order = Course(shuffle=True).order(20, said.append)  # type: ignore[arg-type]
    seed = said[0].rpartition("--shuffle ")[2]
    assert Course(shuffle=seed).order(20, said.append) == order


def test_without_a_wish_the_order_is_that_of_the_names() -> None:
    assert Course().order(3, pytest.fail) == [0, 1, 2]


@pytest.mark.parametrize("course", [Course(jobs=0), Course(jobs=33), Course(shuffle="often")])
def test_a_course_that_can_not_be_is_refused(course: Course) -> None:
    with pytest.raises(UsageError, match=r"--jobs|--shuffle"):
        course.order(2, pytest.fail)
