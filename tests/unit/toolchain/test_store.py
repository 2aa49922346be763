from __future__ import annotations

import dataclasses
import fcntl
import os
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from sandbox.core.errors import UnavailableError
from sandbox.toolchain.store import Made, Store
from sandbox.toolchain.tool import SilentProgress, Tool
from sandbox.toolchain.versions import SystemSource, ToolDescription

SOURCE = SystemSource(program="thing", arguments=(), pattern="", minimum="1")
TOOL = ToolDescription(name="thing", version="1.2.3", binary="thing-server", sources=(SOURCE,), files=())
QUIET = SilentProgress()


def fill(folder: Path) -> Made:
    """Put a program and a file of data into an entry."""
    (folder / "bin" / "thing-server").write_text("program")
    (folder / "bin" / "thing-server").chmod(0o755)
    (folder / "share" / "install.yaml").write_text("data")
    return Made("a test")


def make(store: Store, how: Callable[[Path], Made] = fill) -> Tool:
    return store.make(TOOL, SOURCE, how, QUIET)


def leftovers(root: Path) -> list[Path]:
    return [path for path in root.iterdir() if path.name != ".locks"]


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path)


def test_what_was_made_is_found(store: Store) -> None:
    made = make(store)
    assert store.find(TOOL, SOURCE) == made
    assert made.binary().read_text() == "program"
    assert made.binary("thing-server") == made.binary()
    assert made.file("install.yaml").read_text() == "data"
    assert made.size == len("program") + len("data")
    assert (made.provider, made.source, made.version) == ("system", "a test", "1.2.3")


def test_what_was_not_made_is_not_found(store: Store) -> None:
    assert store.find(TOOL, SOURCE) is None
    assert store.damage(TOOL, SOURCE) == []


def test_the_version_that_a_program_reported_is_kept(store: Store) -> None:
    assert make(store, lambda folder: dataclasses.replace(fill(folder), version="1.2.9")).version == "1.2.9"


@pytest.mark.parametrize("name", ["bin/thing-server", "share/install.yaml", "manifest.json"])
def test_an_entry_without_one_of_its_files_is_made_again(store: Store, name: str) -> None:
    (make(store).root / name).unlink()
    assert store.find(TOOL, SOURCE) is None
    assert store.damage(TOOL, SOURCE) == [name]
    assert make(store).file("install.yaml").read_text() == "data"
    assert store.find(TOOL, SOURCE) is not None


def test_a_file_of_the_same_size_with_other_content_is_found_out(store: Store) -> None:
    make(store).file("install.yaml").write_text("DATA")
    assert store.find(TOOL, SOURCE) is None
    assert make(store).file("install.yaml").read_text() == "data"


def test_content_changed_under_an_unchanged_time_is_found_by_the_deep_check(store: Store) -> None:
    path = make(store).file("install.yaml")
    times = path.stat()
    path.write_text("DATA")
    os.utime(path, ns=(times.st_atime_ns, times.st_mtime_ns))
    assert store.damage(TOOL, SOURCE) == ["share/install.yaml"]


def test_a_program_that_can_not_be_run_any_more_is_found_out(store: Store) -> None:
    make(store).binary().chmod(0o644)
    assert store.find(TOOL, SOURCE) is None


def test_a_file_that_was_only_touched_is_still_good(store: Store) -> None:
    made = make(store)
    os.utime(made.binary(), ns=(1, 1))
    assert store.find(TOOL, SOURCE) == made
    assert store.damage(TOOL, SOURCE) == []


def test_a_damaged_manifest_is_a_damaged_entry(store: Store) -> None:
    (make(store).root / "manifest.json").write_text('{"files": ')
    assert store.find(TOOL, SOURCE) is None
    assert make(store).binary().exists()


def test_a_discarded_entry_is_gone(store: Store, tmp_path: Path) -> None:
    make(store)
    store.discard(TOOL, SOURCE, QUIET)
    assert leftovers(tmp_path) == []


def test_a_maker_that_fails_leaves_nothing_behind(store: Store, tmp_path: Path) -> None:
    def broken(folder: Path) -> Made:
        fill(folder)
        raise UnavailableError("it broke")

    with pytest.raises(UnavailableError, match="it broke"):
        make(store, broken)
    assert leftovers(tmp_path) == []


def test_an_interrupted_maker_leaves_nothing_behind(store: Store, tmp_path: Path) -> None:
    def interrupted(folder: Path) -> Made:
        fill(folder)
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        make(store, interrupted)
    assert leftovers(tmp_path) == []


def test_another_version_source_or_file_is_another_entry(store: Store) -> None:
    entries = {
        store.entry(TOOL, SOURCE),
        store.entry(dataclasses.replace(TOOL, version="1.2.4"), SOURCE),
        store.entry(dataclasses.replace(TOOL, binary="other"), SOURCE),
        store.entry(TOOL, dataclasses.replace(SOURCE, minimum="2")),
    }
    assert len(entries) == 4


def test_what_a_killed_maker_left_is_swept_and_what_is_in_the_making_is_not(store: Store, tmp_path: Path) -> None:
    make(store)
    abandoned = tmp_path / ".making-dead-1.0-abc.x1"
    alive = tmp_path / ".making-busy-1.0-abc.x2"
    for folder in (abandoned, alive):
        (folder / "bin").mkdir(parents=True)
    with (tmp_path / ".locks" / "busy-1.0-abc.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        store.sweep()
    assert not abandoned.exists()
    assert alive.exists()


def test_of_two_makers_at_once_one_makes_and_the_other_waits_and_finds(tmp_path: Path) -> None:
    calls = []
    waiting = threading.Event()
    results: list[Tool] = []

    class Watched(SilentProgress):
        def update(self, tool: str, done_fraction: float | None, note: str) -> None:
            assert "waiting" in note, (tool, done_fraction)
            waiting.set()

    def slow(folder: Path) -> Made:
        calls.append(folder)
        # The second maker must have run into the lock before the first one ends.
        assert waiting.wait(10)
        return fill(folder)

    def work() -> None:
        results.append(Store(tmp_path).make(TOOL, SOURCE, slow, Watched()))

    makers = [threading.Thread(target=work) for _ in range(2)]
    for maker in makers:
        maker.start()
    for maker in makers:
        maker.join(10)
    assert len(calls) == 1
    assert len(results) == 2
    assert results[0] == results[1]


def test_entries_are_for_their_user_alone_whatever_the_umask(tmp_path: Path) -> None:
    before = os.umask(0)
    try:
        made = make(Store(tmp_path / "tools"))
    finally:
        os.umask(before)
    assert made.root.stat().st_mode & 0o077 == 0
    assert made.root.parent.stat().st_mode & 0o077 == 0


def test_a_cache_that_is_no_folder_is_a_clear_error(tmp_path: Path) -> None:
    (tmp_path / "tools").write_text("")
    with pytest.raises(UnavailableError, match="can't write"):
        Store(tmp_path / "tools")
