from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sandbox.core.errors import UsageError
from sandbox.core.names import check_choice, check_repository_name, check_sandbox_name

# Close to what is allowed, so that many examples are; and anything at all.
NEAR = st.text(alphabet="ab9-._/ \nA~é", min_size=1, max_size=40)
ROOT = Path("/srv/git")


def allowed(check: Callable[[str], str], name: str) -> bool:
    try:
        return check(name) == name
    except UsageError as error:
        return not (repr(name) in error.what and error.why and error.hint)


@given(NEAR | st.text())
def test_no_name_of_a_sandbox_leaves_its_folder_or_reads_as_an_option(name: str) -> None:
    if allowed(check_sandbox_name, name):
        assert 1 <= len(name) <= 32
        assert name.isascii()
        assert not set(name) & set("./ \n~")
        assert not name.startswith("-")
        assert not name.endswith("-")
        assert (ROOT / name).parent == ROOT


@given(NEAR, st.sampled_from(["..", "/", " ", "\n", "\0", "A", "_", "é"]), NEAR)
def test_no_dangerous_part_is_allowed_in_the_name_of_a_sandbox(before: str, danger: str, after: str) -> None:
    assert not allowed(check_sandbox_name, before + danger + after)


@pytest.mark.parametrize("name", ["", "-a", "a-", "-", "--name", ".", "..", "a" * 33, "a\n", "ports.json"])
def test_such_a_name_of_a_sandbox_is_refused(name: str) -> None:
    assert not allowed(check_sandbox_name, name)


@given(st.from_regex(r"[a-z0-9]([a-z0-9-]{0,30}[a-z0-9])?", fullmatch=True))
def test_every_dns_label_of_32_characters_can_be_the_name_of_a_sandbox(name: str) -> None:
    assert allowed(check_sandbox_name, name)


@given(NEAR | st.text())
def test_no_name_of_a_repository_leaves_the_root(name: str) -> None:
    if allowed(check_repository_name, name):
        path = Path(os.path.normpath(ROOT / f"{name}.git"))
        assert path.is_relative_to(ROOT)
        assert path != ROOT
        assert len(path.relative_to(ROOT).parts) == len(name.split("/")) <= 3
        for part in name.split("/"):
            assert part[0].isalnum()
            assert not part.endswith((".git", ".lock"))


@given(
    st.lists(st.from_regex(r"[a-z0-9]([a-z0-9-]{0,20}[a-z0-9])?", fullmatch=True), min_size=1, max_size=3).map("/".join)
)
def test_up_to_three_plain_parts_make_the_name_of_a_repository(name: str) -> None:
    assert allowed(check_repository_name, name)


@pytest.mark.parametrize(
    "name",
    ["", "/", "/etc", "a//b", "a/", "..", "a/../b", "a..b", "a.git", "a.git/b", "a.lock", "a/b/c/d", ".a", "-a", "A"],
)
def test_such_a_name_of_a_repository_is_refused(name: str) -> None:
    assert not allowed(check_repository_name, name)


def test_a_wrong_choice_names_the_closest_one_and_all_others() -> None:
    assert check_choice("engine", "kind", ("kind", "embedded")) == "kind"
    with pytest.raises(UsageError) as caught:
        check_choice("engine", "embeded", ("kind", "embedded"), listing="scenarios --list")
    assert str(caught.value).splitlines() == [
        "there is no engine 'embeded'; did you mean 'embedded'?",
        "  why:  known: embedded, kind",
        "  next: scenarios --list",
    ]
    with pytest.raises(UsageError, match="there is no engine 'x'\n  why:  known: none"):
        check_choice("engine", "x", ())
