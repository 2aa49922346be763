from __future__ import annotations

import json
import threading
from pathlib import Path

import pytest

from sandbox.core.errors import UsageError
from sandbox.core.ports import lease_ports
from sandbox.core.timeline import Timeline
from sandbox.engines.records import Record, Shape, exclusive
from sandbox.engines.sandboxes import UpOptions, access, down, down_all, status, up

BAD_NAMES = ["", "..", "a/b", "a b", "-a", "A", "../a"]


def nothing() -> None:
    """Do nothing."""


@pytest.mark.parametrize("name", BAD_NAMES)
def test_a_bad_name_is_refused_by_every_verb_and_touches_nothing(state: Path, name: str) -> None:
    for verb in (lambda: up(name, UpOptions(), Timeline()), lambda: down(name), lambda: status(name)):
        with pytest.raises(UsageError, match="can't be the name of a sandbox"):
            verb()
    assert not state.exists()


def test_an_unknown_engine_is_refused_before_anything_is_made(state: Path) -> None:
    with pytest.raises(UsageError, match="there is no engine 'embeded'; did you mean 'embedded'"):
        up("box", UpOptions(engine="embeded"), Timeline())
    assert not state.exists()


def test_the_command_lines_values_are_checked_and_nothing_means_the_default() -> None:
    assert UpOptions.parsed("embedded", 0, "") == UpOptions("embedded", None, None)
    assert UpOptions.parsed("embedded", 500, "go") == UpOptions("embedded", 500, "go")
    with pytest.raises(UsageError, match="there is no engine 'kin'"):
        UpOptions.parsed("kin", 0, "")
    for nodes in (-1, 501):
        with pytest.raises(UsageError, match=f"a cluster can't have {nodes} nodes"):
            UpOptions.parsed("embedded", nodes, "")


def test_a_sandbox_stays_on_its_engine(state: Path) -> None:
    record = Record("box", "kind", "unit", 1, 0.0, "versions", ready=True)
    (state / "box").mkdir(parents=True)
    record.save()
    with pytest.raises(UsageError, match="lives on the engine kind"):
        up("box", UpOptions("embedded"), Timeline())
    assert Record.load("box") == record


@pytest.mark.usefixtures("state")
def test_an_unknown_sandbox_is_told_with_those_that_there_are() -> None:
    for verb in (status, access):
        with pytest.raises(UsageError, match="there is no sandbox 'box'") as caught:
            verb("box")
        assert caught.value.why == "there is none"
    Record.new("other", "embedded", 1)
    with pytest.raises(UsageError) as caught:
        status("box")
    assert caught.value.why == "there are: other"


def test_down_removes_what_a_sandbox_kept_and_leaves_the_others(state: Path) -> None:
    for name in ("a", "b"):
        Record.new(name, "embedded", 1)
        lease_ports(state, name, ["git"])
    assert down("a")
    assert not (state / "a").exists()
    assert json.loads((state / "ports.json").read_text()).keys() == {"b"}
    assert not down("a")
    assert (state / "b").is_dir()


def test_down_removes_a_sandbox_whose_record_is_damaged(state: Path) -> None:
    Record.new("box", "embedded", 1)
    (state / "box" / "sandbox.json").write_text("{")
    (state / "box" / "supervisor.json").write_text("[]")
    assert down("box")
    assert not (state / "box").exists()


def test_of_two_downs_at_once_the_second_finds_nothing_to_do(state: Path) -> None:
    Record.new("box", "embedded", 1)
    waiting, found = threading.Event(), list[bool]()
    with exclusive("box", seconds=1, on_wait=nothing):
        second = threading.Thread(target=lambda: found.append(down("box", waiting.set)))
        second.start()
        assert waiting.wait(5)
        # What the first one does while it holds the sandbox.
        (state / "box" / "sandbox.json").unlink()
        (state / "box").rmdir()
    second.join()
    assert found == [False]


def test_down_of_all_ends_every_sandbox(state: Path) -> None:
    for name in ("a", "b"):
        Record.new(name, "embedded", 1)
    assert down_all() == ["a", "b"]
    assert not list(state.glob("[a-z]"))
    assert down_all() == []


def test_down_follows_no_link_out_of_the_state_folder(state: Path, tmp_path: Path) -> None:
    (tmp_path / "precious").mkdir()
    (tmp_path / "precious" / "file").write_text("kept")
    Record.new("box", "embedded", 1)
    (state / "box" / "link").symlink_to(tmp_path / "precious")
    assert down("box")
    assert (tmp_path / "precious" / "file").read_text() == "kept"


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (UpOptions("kind", 6), "engine kind can't have 6 nodes"),
        (UpOptions("embedded", ha=True), "engine embedded does not have Argo CD's HA variant"),
        (UpOptions("kind", 2, ha=True), "HA variant can't run on 2 nodes"),
    ],
)
def test_a_cluster_that_can_not_be_is_refused_before_anything_is_made(
    state: Path, options: UpOptions, said: str
) -> None:
    with pytest.raises(UsageError, match=said) as caught:
        up("box", options, Timeline())
    assert caught.value.why
    assert caught.value.hint
    assert not (state / "box").exists()


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (UpOptions(nodes=1), "has 2 nodes, and can't become one of 1 node"),
        (UpOptions(ha=True), "has 2 nodes, and can't become one of 2 nodes with Argo CD's HA variant"),
    ],
)
def test_a_real_cluster_is_not_made_another_one(state: Path, options: UpOptions, said: str) -> None:
    record = Record("box", "kind", "unit", 2, 0.0, "versions", ready=True)
    (state / "box").mkdir(parents=True)
    record.save()
    with pytest.raises(UsageError, match=said):
        up("box", options, Timeline())
    assert Record.load("box") == record


def test_what_is_left_out_is_as_the_sandbox_has_it_and_ha_brings_its_nodes() -> None:
    record = Record("box", "kind", "unit", 4, 0.0, "versions", ready=True, ha=True)
    assert UpOptions().shape(record) == Shape(4, ha=True)
    assert UpOptions().shape(None) == Shape(1)
    assert UpOptions(ha=True).shape(None) == Shape(3, ha=True)
    assert UpOptions(nodes=5, ha=True).shape(None) == Shape(5, ha=True)
