from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sandbox.kube.quantities import quantity


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("1000m", 1),
        ("1000m", "1"),
        ("1Gi", "1024Mi"),
        ("1Ki", 1024),
        ("0.5", "500m"),
        ("1e3", "1k"),
        ("1000", "1k"),
        ("0", "0Mi"),
    ],
)
def test_two_ways_to_write_a_quantity_are_one_quantity(one: Any, other: Any) -> None:
    assert quantity(one) is not None
    assert quantity(one) == quantity(other)


@pytest.mark.parametrize("value", ["1G", "1001m", 2, "1Mi", "-1"])
def test_another_quantity_is_told_apart(value: Any) -> None:
    assert quantity(value) != quantity("1Gi")
    assert quantity(value) != quantity("1")


@pytest.mark.parametrize("value", ["", "lots", "1gi", "Mi", "m", None, [], {}, "1.2.3", "--1", "NaN", "inf"])
def test_what_is_no_quantity_is_none(value: Any) -> None:
    assert quantity(value) is None


@given(st.text() | st.none() | st.integers() | st.floats() | st.lists(st.text()) | st.from_regex(r"-?[0-9.]*[A-Za-z]*"))
def test_nothing_that_a_manifest_may_hold_breaks_the_reading(value: Any) -> None:
    found = quantity(value)
    assert found is None or found.is_finite()


@given(st.integers(min_value=0, max_value=10**9))
def test_a_number_is_read_as_it_is(value: int) -> None:
    assert quantity(value) == quantity(str(value)) == Decimal(value)
