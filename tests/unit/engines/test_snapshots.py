"""The kept moments of a sandbox, whose parts are files here."""

from __future__ import annotations

import itertools
from pathlib import Path

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule, run_state_machine_as_test

from sandbox.components.base import Context
from sandbox.core.errors import DeadlineError, UnavailableError, UsageError
from sandbox.core.supervision import SupervisorClient
from sandbox.engines import snapshots
from sandbox.engines.snapshots import Snapshots
from tests.unit.engines.parts import Cluster, Memory, Part, Worker, Writer

_COUNTER = itertools.count()


def made(folder: Path) -> tuple[Snapshots, Part, Part, Writer]:
    folder.mkdir(parents=True)
    context = Context("one", "run", folder, ports={}, tools={}, nodes=1, supervisor=SupervisorClient(folder))
    etcd, git, writer = Part("etcd", starts_empty=False), Part("git", starts_empty=True), Writer()
    etcd.holds = "seeded"
    found = Snapshots(context, [etcd, git, writer])
    found.keep_clean()
    return found, etcd, git, writer


@pytest.fixture
def parts(tmp_path: Path) -> tuple[Snapshots, Part, Part, Writer]:
    return made(tmp_path / "one")


class Moments(RuleBasedStateMachine):
    """Whatever is kept, changed, put back, removed and broken off: each moment is all of a kind."""

    folder: Path

    def __init__(self) -> None:
        super().__init__()
        self.found, *self.parts, self.writer = made(self.folder / str(next(_COUNTER)))
        self.kept: dict[str, list[str]] = {".clean": ["seeded", ""]}
        self.on_the_way: str | None = None

    @rule(texts=st.tuples(st.text(max_size=2), st.text(max_size=2)))
    def change(self, texts: tuple[str, str]) -> None:
        """Somebody changes what the parts hold."""
        for part, text in zip(self.parts, texts, strict=True):
            part.holds = text

    @precondition(lambda self: self.on_the_way is None)
    @rule(name=st.sampled_from("abc"))
    def keep(self, name: str) -> None:
        """Somebody keeps a moment."""
        if name in self.kept:
            with pytest.raises(UsageError, match="already"):
                self.found.keep(name)
            return
        self.found.keep(name)
        self.kept[name] = [part.holds for part in self.parts]

    @rule(name=st.sampled_from("abc"), straggler=st.lists(st.text(max_size=2), max_size=2))
    def go_back(self, name: str, straggler: list[str]) -> None:
        """Somebody goes back to one, while others still write."""
        if name not in self.kept:
            with pytest.raises(UsageError, match="there is no snapshot"):
                self.found.go_back(name)
            return
        self.parts[0].stragglers = straggler
        self.found.go_back(name)
        self.on_the_way = None
        assert [part.holds for part in self.parts] == self.kept[name]

    @rule()
    def reset(self) -> None:
        """Somebody resets."""
        self.found.clean()
        self.on_the_way = None
        assert [part.holds for part in self.parts] == self.kept[".clean"]

    @precondition(lambda self: len(self.kept) > 1)
    @rule(data=st.data())
    def break_off(self, data: st.DataObject) -> None:
        """Somebody is killed on the way back."""
        name = data.draw(st.sampled_from(sorted(set(self.kept) - {".clean"})))
        self.parts[1].killed = True
        with pytest.raises(KeyboardInterrupt):
            self.found.go_back(name)
        self.parts[1].killed = False
        self.on_the_way = name

    @rule()
    def finish(self) -> None:
        """Somebody brings the sandbox up again."""
        assert self.found.finish() == self.on_the_way
        if self.on_the_way is not None:
            assert [part.holds for part in self.parts] == self.kept[self.on_the_way]
        self.on_the_way = None

    @precondition(lambda self: self.on_the_way is None)
    @rule(name=st.sampled_from("abc"))
    def remove(self, name: str) -> None:
        """Somebody removes one."""
        if self.kept.pop(name, None) is not None:
            self.found.remove(name)

    @invariant()
    def known(self) -> None:
        """What there is, is what was kept."""
        assert {each.name for each in self.found.all()} == set(self.kept) - {".clean"}
        assert self.found.broken_off == self.on_the_way
        assert not self.writer.is_held


def test_a_moment_is_whole_whatever_becomes_of_the_others(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(snapshots, "_QUIET", 0.001)
    monkeypatch.setattr(Moments, "folder", tmp_path, raising=False)
    run_state_machine_as_test(Moments, settings=settings(max_examples=10, stateful_step_count=12, deadline=None))


def test_a_full_disk_leaves_no_half_snapshot(parts: tuple[Snapshots, Part, Part, Writer], tmp_path: Path) -> None:
    found, etcd, _, writer = parts
    etcd.full = True
    with pytest.raises(UnavailableError, match="can't write"):
        found.keep("one")
    assert [path.name for path in (tmp_path / "one" / "snapshots").iterdir()] == [".clean"]
    assert not writer.is_held


def test_what_a_killed_snapshot_left_goes_with_the_next_one(
    parts: tuple[Snapshots, Part, Part, Writer], tmp_path: Path
) -> None:
    folder = tmp_path / "one" / "snapshots"
    (folder / ".half.x1y2").mkdir()
    assert parts[0].all() == []
    parts[0].keep("whole")
    assert sorted(path.name for path in folder.iterdir()) == [".clean", "whole"]


def test_a_snapshot_is_refused_while_something_is_under_way_and_names_it(
    parts: tuple[Snapshots, Part, Part, Writer], monkeypatch: pytest.MonkeyPatch
) -> None:
    found, _, _, writer = parts
    monkeypatch.setattr(snapshots, "_REST_SECONDS", 0.1)
    writer.going = "run 7 of core/greeter is running"
    with pytest.raises(DeadlineError) as caught:
        found.keep("one")
    assert "run 7 of core/greeter is running" in caught.value.why
    assert found.all() == []
    assert not writer.is_held


def test_a_way_back_interrupts_what_is_under_way(parts: tuple[Snapshots, Part, Part, Writer]) -> None:
    found, _, _, writer = parts
    writer.going = "run 7"
    found.clean()
    assert writer.going == ""


def test_a_sandbox_whose_clean_state_was_never_kept_says_what_to_do(tmp_path: Path) -> None:
    context = Context("old", "run", tmp_path, ports={}, tools={}, nodes=1, supervisor=SupervisorClient(tmp_path))
    with pytest.raises(UsageError, match="the clean state of sandbox old is not known") as caught:
        Snapshots(context, []).clean()
    assert caught.value.hint == "down --name old, then up again"


def test_a_snapshot_of_other_versions_can_be_removed_but_not_gone_back_to(
    parts: tuple[Snapshots, Part, Part, Writer], monkeypatch: pytest.MonkeyPatch
) -> None:
    found = parts[0]
    found.keep("old")
    monkeypatch.setattr(snapshots, "version_set", lambda: "another")
    with pytest.raises(UsageError, match="was made with other versions") as caught:
        found.go_back("old")
    assert caught.value.hint == "snapshot old --remove"
    found.remove("old")
    assert found.all() == []


def with_parts(folder: Path, *parts: Part) -> Snapshots:
    context = Context("one", "run", folder, ports={}, tools={}, nodes=1, supervisor=SupervisorClient(folder))
    return Snapshots(context, list(parts))


@pytest.mark.parametrize(
    "told",
    [[], ["ended at later", "begun at first"]],
    ids=["nothing comes back", "what it remembers may come back"],
)
def test_what_remembers_begins_anew_for_a_reset_where_that_brings_something_back(
    tmp_path: Path, told: list[str]
) -> None:
    etcd = Part("etcd", starts_empty=False)
    memory = Memory(etcd, forgets_for_reset=bool(told))
    found = with_parts(tmp_path, etcd, memory)
    etcd.holds = "first"
    found.keep_clean()
    etcd.holds = "later"
    found.clean()
    assert memory.told == told


def test_what_remembers_is_ended_before_a_snapshot_is_put_back_and_waited_for_after_it(tmp_path: Path) -> None:
    etcd = Part("etcd", starts_empty=False)
    memory = Memory(etcd, forgets_for_reset=False)
    found = with_parts(tmp_path, etcd, memory)
    etcd.holds = "first"
    found.keep("one")
    etcd.holds = "later"
    found.go_back("one")
    assert memory.told == ["ended at later", "begun at first"]
    assert memory.looks == 0


def test_a_snapshot_waits_for_whoever_is_about_to_change_something(tmp_path: Path) -> None:
    etcd = Part("etcd", starts_empty=False)
    found = with_parts(tmp_path, etcd, Worker(etcd))
    etcd.holds = "not yet"
    found.keep("one")
    etcd.holds = "later"
    found.go_back("one")
    assert etcd.holds == "rendered"


def test_what_remembers_begins_anew_when_putting_back_fails_too(tmp_path: Path) -> None:
    etcd = Part("etcd", starts_empty=False)
    memory = Memory(etcd, forgets_for_reset=False)
    found = with_parts(tmp_path, etcd, memory)
    found.keep("one")
    etcd.killed = True
    with pytest.raises(KeyboardInterrupt):
        found.go_back("one")
    assert memory.told == ["ended at ", "begun at "]
    assert found.broken_off == "one"


def test_a_moment_of_a_cluster_that_is_gone_is_refused_and_no_way_back_to_it_is_finished(tmp_path: Path) -> None:
    cluster = Cluster()
    found = with_parts(tmp_path, cluster)
    found.keep("old")
    cluster.killed = True
    with pytest.raises(KeyboardInterrupt):
        found.go_back("old")
    cluster.killed = False
    cluster.is_number, cluster.holds = 2, "new"
    assert found.finish() is None
    assert found.broken_off is None
    assert cluster.holds == "new"
    with pytest.raises(UsageError, match="is of a cluster that is gone") as caught:
        found.go_back("old")
    assert caught.value.hint == "snapshot old --remove"


def test_the_clean_state_of_another_cluster_is_kept_anew(tmp_path: Path) -> None:
    cluster = Cluster()
    found = with_parts(tmp_path, cluster)
    outlived = []
    for number in (1, 2):
        outlived.append(found.outlived_by_clean)
        cluster.is_number, cluster.holds = number, f"cluster {number} as it had just come up"
        outlived.append(found.outlived_by_clean)
        found.keep_clean()
    assert outlived == [False, False, False, True]
    cluster.holds = "later"
    found.clean()
    assert cluster.holds == "cluster 2 as it had just come up"


def test_a_reset_forgets_the_tenants_of_a_cluster_that_is_gone(tmp_path: Path) -> None:
    cluster = Cluster()
    found = with_parts(tmp_path, cluster)
    found.keep_clean()
    tenant = tmp_path / "tenants" / "local"
    tenant.parent.mkdir()
    tenant.write_text("2026-01-01T00:00:00Z")
    cluster.is_number += 1
    found.keep_clean()
    found.clean()
    assert not tenant.exists()


def test_a_snapshot_brings_its_tenants_back(tmp_path: Path) -> None:
    found = with_parts(tmp_path, Cluster())
    tenant = tmp_path / "tenants" / "local"
    tenant.parent.mkdir()
    tenant.write_text("2026-01-01T00:00:00Z")
    found.keep("with-it")
    tenant.unlink()
    found.go_back("with-it")
    assert tenant.read_text() == "2026-01-01T00:00:00Z"
