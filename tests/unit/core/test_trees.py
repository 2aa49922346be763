from __future__ import annotations

import itertools
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sandbox.core.errors import UnavailableError
from sandbox.core.trees import keep_tree, put_back_tree

NAMES = st.sampled_from(["a", "b", "c", "refs"])
# A folder is a dictionary, a file its content.
TREES: st.SearchStrategy[dict[str, object]] = st.recursive(
    st.dictionaries(NAMES, st.binary(max_size=3), max_size=3),
    lambda below: st.dictionaries(NAMES, below | st.binary(max_size=3), max_size=3),
    max_leaves=8,
)
_COUNTER = itertools.count()


def write(folder: Path, tree: dict[str, object]) -> None:
    """Write a tree anew, as Git and Distribution write: beside it, then in its place."""
    folder.mkdir()
    fill(folder, tree)


def fill(folder: Path, tree: dict[str, object]) -> None:
    """Write a tree into a folder that is empty."""
    for name, value in tree.items():
        if isinstance(value, dict):
            write(folder / name, value)
        else:
            assert isinstance(value, bytes)
            (folder / name).write_bytes(value)


def read(folder: Path) -> dict[str, object]:
    return {path.name: read(path) if path.is_dir() else path.read_bytes() for path in folder.iterdir()}


def change(folder: Path, tree: dict[str, object]) -> None:
    """Make a folder hold another tree without changing any file in place."""
    for path in [*folder.iterdir()]:
        if path.is_dir():
            change(path, {})
            path.rmdir()
        else:
            path.unlink()
    fill(folder, tree)


@given(before=TREES, after=TREES)
def test_a_folder_is_put_back_as_it_was_whatever_came_between(
    tmp_path_factory: pytest.TempPathFactory, before: dict[str, object], after: dict[str, object]
) -> None:
    root = tmp_path_factory.getbasetemp() / f"tree-{next(_COUNTER)}"
    root.mkdir()
    write(root / "live", before)
    keep_tree(root / "live", root / "kept")
    change(root / "live", after)
    assert read(root / "kept") == before
    put_back_tree(root / "kept", root / "live")
    assert read(root / "live") == before
    assert put_back_tree(root / "kept", root / "live") == 0
    assert put_back_tree(root / "none", root / "live") == len(before)
    assert read(root / "live") == {}


def test_nothing_is_copied(tmp_path: Path) -> None:
    (tmp_path / "live").mkdir()
    (tmp_path / "live" / "large").write_text("film")
    keep_tree(tmp_path / "live", tmp_path / "kept")
    (tmp_path / "live" / "large").unlink()
    assert put_back_tree(tmp_path / "kept", tmp_path / "live") == 1
    assert (tmp_path / "live" / "large").samefile(tmp_path / "kept" / "large")


def test_a_folder_that_is_not_there_is_kept_as_an_empty_one(tmp_path: Path) -> None:
    keep_tree(tmp_path / "none", tmp_path / "kept")
    assert read(tmp_path / "kept") == {}


def test_what_is_kept_is_for_this_user_alone(tmp_path: Path) -> None:
    write(tmp_path / "live", {"a": {"b": b"c"}})
    keep_tree(tmp_path / "live", tmp_path / "kept")
    assert {path.stat().st_mode & 0o777 for path in (tmp_path / "kept", tmp_path / "kept" / "a")} == {0o700}


def test_a_disk_that_refuses_is_told_of_with_the_folder(tmp_path: Path) -> None:
    write(tmp_path / "live", {"a": b"b"})
    (tmp_path / "kept").mkdir()
    (tmp_path / "kept" / "a").write_text("is there already")
    with pytest.raises(UnavailableError, match=r"can't write .*kept"):
        keep_tree(tmp_path / "live", tmp_path / "kept")
