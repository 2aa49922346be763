from __future__ import annotations

import string

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sandbox.toolchain.release import expected_sum
from sandbox.toolchain.sources import SourceError
from sandbox.toolchain.system import version_key

SUMS = st.text("0123456789abcdef", min_size=64, max_size=64)
NAMES = st.text(string.ascii_letters + string.digits + "._-", min_size=1, max_size=20)


@given(SUMS)
def test_a_file_that_holds_one_sum_alone_gives_it(value: str) -> None:
    assert expected_sum(f"{value}\n", "kube-apiserver") == value
    assert expected_sum(value.upper(), "kube-apiserver") == value


@given(st.dictionaries(NAMES, SUMS, min_size=1, max_size=5), st.sampled_from(["  ", " *", "  ./", "  dist/"]))
def test_the_sum_beside_the_exact_name_is_taken(sums: dict[str, str], between: str) -> None:
    text = "".join(f"{value}{between}{name}\n" for name, value in sums.items())
    for name, value in sums.items():
        assert expected_sum(text, name) == value


@given(st.text(max_size=200))
def test_a_file_without_a_sum_is_refused(text: str) -> None:
    with pytest.raises(SourceError, match="0 sums of etcd"):
        expected_sum(text, "etcd")


def test_two_sums_for_one_name_are_refused() -> None:
    text = f"{'a' * 64}  etcd\n{'b' * 64}  etcd\n"
    with pytest.raises(SourceError, match="2 sums of etcd"):
        expected_sum(text, "etcd")


def test_a_name_that_only_ends_alike_is_another_file() -> None:
    with pytest.raises(SourceError):
        expected_sum(f"{'a' * 64}  not-etcd\n", "etcd")


@given(st.lists(st.integers(0, 999), min_size=1, max_size=4))
def test_versions_compare_by_their_numbers(numbers: list[int]) -> None:
    version = ".".join(map(str, numbers))
    assert version_key(f"v{version}") == version_key(f"{version}.0")
    assert version_key(f"{version}.1") > version_key(version)


def test_a_tenth_release_is_newer_than_a_ninth() -> None:
    assert version_key("3.10") > version_key("3.9.1")
