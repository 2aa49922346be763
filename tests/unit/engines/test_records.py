from __future__ import annotations

import dataclasses
import json
import threading
from pathlib import Path
from typing import Any

import pytest

from sandbox.core.errors import DeadlineError, UsageError
from sandbox.engines.records import Record, Shape, exclusive, known_names, lock_of


def nothing() -> None:
    """Do nothing."""


def rewrite(state: Path, box: str, /, **changes: Any) -> None:
    path = state / box / "sandbox.json"
    data = {**json.loads(path.read_text()), **changes}
    path.write_text(json.dumps({key: value for key, value in data.items() if value != "gone"}))


def test_a_record_is_found_as_it_was_written(state: Path) -> None:
    record = Record.new("box", "embedded", 3)
    assert record.folder == state / "box"
    assert Record.load("box") == record
    assert (state / "box" / "sandbox.json").stat().st_mode & 0o777 == 0o600
    assert (state / "box").stat().st_mode & 0o777 == 0o700


def test_what_changes_is_kept(state: Path) -> None:
    record = Record.new("box", "embedded", 3)
    assert record.with_shape(record.shape) is record
    changed = record.with_shape(Shape(5)).completed()
    assert changed == dataclasses.replace(record, nodes=5, ready=True)
    assert Record.load("box") == changed
    assert state.is_dir()


@pytest.mark.usefixtures("state")
def test_no_two_sandboxes_carry_the_same_mark() -> None:
    assert len({Record.new(f"box-{number}", "embedded", 1).run_id for number in range(20)}) == 20


@pytest.mark.usefixtures("state")
def test_a_sandbox_that_is_not_there_has_no_record() -> None:
    assert Record.load("box") is None
    assert known_names() == []


@pytest.mark.parametrize(
    "changes",
    [
        {"format": "gone"},
        {"run_id": "gone"},
        {"surprise": 1},
        {"run_id": None},
        {"nodes": "three"},
        {"ready": "no"},
        {"ha": "yes"},
        {"argocd": 1},
        {"name": "other"},
        {"name": "../../other"},
    ],
)
def test_a_damaged_record_is_told_with_the_way_out(state: Path, changes: dict[str, Any]) -> None:
    Record.new("box", "embedded", 1)
    rewrite(state, "box", **changes)
    with pytest.raises(UsageError) as caught:
        Record.load("box")
    assert caught.value.what == f"{state / 'box' / 'sandbox.json'} is damaged"
    assert caught.value.why
    assert "down --name box" in caught.value.hint


def test_a_record_cut_short_is_told(state: Path) -> None:
    path = Record.new("box", "embedded", 1).folder / "sandbox.json"
    path.write_text(path.read_text()[:-10])
    with pytest.raises(UsageError, match="is damaged"):
        Record.load("box")
    assert known_names() == ["box"]
    assert state.is_dir()


def test_a_record_of_another_version_is_left_to_that_version(state: Path) -> None:
    Record.new("box", "embedded", 1)
    rewrite(state, "box", format=99)
    with pytest.raises(UsageError, match="was written by another version"):
        Record.load("box")


def test_files_of_all_sandboxes_are_no_sandboxes(state: Path) -> None:
    for name in ("b", "a"):
        Record.new(name, "embedded", 1)
    with exclusive("a", seconds=1, on_wait=nothing):
        (state / "ports.json").write_text("{}")
        (state / ".diagnostics").mkdir()
        assert known_names() == ["a", "b"]


@pytest.mark.usefixtures("state")
def test_a_second_verb_on_the_same_sandbox_waits_and_says_so() -> None:
    waiting, order = threading.Event(), list[str]()

    def second() -> None:
        with exclusive("box", seconds=5, on_wait=waiting.set):
            order.append("second")

    with exclusive("box", seconds=5, on_wait=nothing):
        thread = threading.Thread(target=second)
        thread.start()
        assert waiting.wait(5)
        order.append("first")
    thread.join()
    assert order == ["first", "second"]


@pytest.mark.usefixtures("state")
def test_a_verb_that_waits_too_long_says_for_what() -> None:
    with exclusive("box", seconds=1, on_wait=nothing):
        with pytest.raises(DeadlineError, match="sandbox box to be free") as caught:
            exclusive("box", seconds=0.01, on_wait=nothing).__enter__()
        assert "another `up` or `down`" in caught.value.why
    with exclusive("box", seconds=0, on_wait=lambda: pytest.fail("nobody holds it")):
        pass


@pytest.mark.usefixtures("state")
def test_sandboxes_of_different_names_do_not_wait_for_each_other() -> None:
    with (
        exclusive("a", seconds=1, on_wait=nothing),
        exclusive("b", seconds=0, on_wait=lambda: pytest.fail("nobody holds it")),
    ):
        pass


@pytest.mark.usefixtures("state")
def test_who_waits_for_a_sandbox_that_is_taken_down_holds_the_next_one_alone() -> None:
    waiting, order = threading.Event(), list[str]()

    def second() -> None:
        with exclusive("box", seconds=5, on_wait=waiting.set):
            with pytest.raises(DeadlineError):
                exclusive("box", seconds=0, on_wait=nothing).__enter__()
            order.append("second")

    with exclusive("box", seconds=5, on_wait=nothing):
        thread = threading.Thread(target=second)
        thread.start()
        assert waiting.wait(5)
        lock_of("box").unlink()
        order.append("first")
    thread.join()
    assert order == ["first", "second"]
