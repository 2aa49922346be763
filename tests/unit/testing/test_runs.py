from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from sandbox.core.conditions import Deadline
from sandbox.core.errors import UnavailableError
from sandbox.core.locks import FileLease
from sandbox.core.processes import Process
from sandbox.engines import sandboxes
from sandbox.engines.embedded import Embedded
from sandbox.testing.notes import Note
from sandbox.testing.runs import Run, abandoned_runs
from sandbox.toolchain.tool import SilentProgress


@pytest.fixture(autouse=True)
def state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    yield
    for lease in abandoned_runs():
        lease.drop()


def held(run: Run, note: Note | None) -> FileLease:
    run.folder.mkdir(parents=True)
    lease = FileLease.share(run.lease, Deadline.after(1))
    if note is not None:
        note.write(run.lease)
    return lease


def me() -> Process:
    process = Process.of(os.getpid())
    assert process is not None
    return process


GONE = Process(1 << 22, 1)


def test_a_run_that_nobody_uses_and_whose_first_process_is_gone_is_abandoned() -> None:
    run = Run("a", GONE)
    lease = held(run, Note(GONE))
    assert list(abandoned_runs()) == []
    lease.drop()
    assert [found.path for found in abandoned_runs()] == [run.lease]


def test_a_run_whose_first_process_lives_is_not_abandoned_while_a_worker_is_replaced() -> None:
    held(Run("a", me()), Note(me())).drop()
    assert list(abandoned_runs()) == []


def test_a_run_that_was_killed_before_it_could_say_whose_it_is_is_abandoned() -> None:
    held(Run("a", GONE), None).drop()
    assert len(list(abandoned_runs())) == 1


def test_a_run_that_has_no_sandbox_has_nothing_to_end() -> None:
    assert Run("a", me()).end() is False


def test_a_run_that_is_kept_is_forgotten() -> None:
    run = Run("a", me())
    held(run, Note(me())).drop()
    run.keep()
    assert not run.folder.exists()


def test_a_note_says_why_a_sandbox_did_not_come_up(tmp_path: Path) -> None:
    path = tmp_path / "lease"
    Note(me(), failed="no memory").write(path)
    assert Note.read(path) == Note(me(), failed="no memory")
    path.write_text("{}")
    assert Note.read(path) is None


def test_a_run_of_a_process_that_has_ended_is_over() -> None:
    with pytest.raises(UnavailableError, match="is over"):
        Run.of("a", 1 << 22)


def entered(run: Run) -> str:
    with run.entered(sandboxes.UpOptions(), SilentProgress()) as access:
        return str(access)


def test_a_sandbox_that_did_not_come_up_is_not_tried_again_by_another_worker(monkeypatch: pytest.MonkeyPatch) -> None:
    run = Run("a", me())
    held(run, Note(me(), failed="no memory")).drop()
    monkeypatch.setattr(sandboxes, "up", lambda *_: pytest.fail("tried again"))
    with pytest.raises(UnavailableError, match="did not come up") as caught:
        entered(run)
    assert caught.value.why == "no memory"


def test_a_worker_brings_up_what_a_killed_one_has_begun_and_the_next_one_finds_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    run, brought = Run("a", me()), list[str]()
    held(run, Note(me())).drop()
    monkeypatch.setattr(Embedded, "fetch", lambda *_: None)
    monkeypatch.setattr(sandboxes, "up", lambda name, *_: brought.append(name))
    monkeypatch.setattr(sandboxes, "access", lambda name: name)
    assert [entered(run), entered(run)] == ["pytest-a", "pytest-a"]
    assert brought == ["pytest-a"]
