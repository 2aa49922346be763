from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from sandbox.servers.ci_runs import Run, RunStore

EVENT = {"ref": "refs/heads/main", "after": "a" * 40, "repository": {"full_name": "core/greeter"}}


def test_runs_are_found_again_in_the_order_in_which_they_came(tmp_path: Path) -> None:
    store = RunStore(tmp_path / "runs")
    added = [store.add(EVENT, f"delivery-{number}") for number in range(20)]

    again = RunStore(tmp_path / "runs")

    assert again.all() == added
    assert again.event(again.all()[0]) == EVENT
    assert {run.status for run in again.all()} == {"queued"}


def test_a_delivery_is_recorded_once_also_across_a_restart(tmp_path: Path) -> None:
    assert RunStore(tmp_path / "runs").add(EVENT, "delivery") is not None

    assert RunStore(tmp_path / "runs").add(EVENT, "delivery") is None


def test_a_folder_whose_run_was_never_recorded_is_no_run(tmp_path: Path) -> None:
    (tmp_path / "runs/1").mkdir(parents=True)
    (tmp_path / "runs/1/event.json").write_text("{}")

    assert RunStore(tmp_path / "runs").all() == []


def test_a_run_that_ended_keeps_what_it_was(tmp_path: Path) -> None:
    store = RunStore(tmp_path / "runs")
    run = store.add(EVENT, "delivery")
    assert run is not None

    store.write(run.ended("failed", "because"))

    (read,) = RunStore(tmp_path / "runs").all()
    assert (read.status, read.reason, read.commit, bool(read.finished)) == ("failed", "because", "a" * 40, True)


def ended(store: RunStore, delivery: str) -> Run:
    run = store.add(EVENT, delivery)
    assert run is not None
    return store.finish(run.ended("passed", ""))


def test_a_checkout_goes_when_its_run_ends_and_the_record_stays(tmp_path: Path) -> None:
    store = RunStore(tmp_path / "runs")
    run = store.add(EVENT, "delivery")
    assert run is not None
    (store.work(run) / "locked").mkdir(parents=True)
    (store.work(run) / "locked").chmod(0)

    store.finish(run.ended("passed", ""))

    assert sorted(path.name for path in store.folder(run).iterdir()) == ["event.json", "result.json"]


def test_only_the_newest_runs_that_ended_are_kept(tmp_path: Path) -> None:
    store = RunStore(tmp_path / "runs", kept=3)
    for number in range(5):
        ended(store, f"delivery-{number}")
        store.prune()

    assert [run.delivery for run in store.all()] == ["delivery-2", "delivery-3", "delivery-4"]
    assert len(list((tmp_path / "runs").iterdir())) == 3


def test_a_run_that_waits_or_goes_on_is_kept_however_old_it_is(tmp_path: Path) -> None:
    store = RunStore(tmp_path / "runs", kept=1)
    waits, goes = store.add(EVENT, "waits"), store.add(EVENT, "goes")
    assert waits is not None
    assert goes is not None
    store.write(replace(goes, status="running"))
    for number in range(3):
        ended(store, f"delivery-{number}")

    store.prune()

    assert [run.delivery for run in store.all()] == ["waits", "goes", "delivery-2"]


def test_what_a_removal_that_was_broken_off_left_is_removed_too(tmp_path: Path) -> None:
    store = RunStore(tmp_path / "runs", kept=1)
    first = ended(store, "delivery-0")
    (store.folder(first) / "result.json").unlink()
    for number in range(1, 3):
        ended(store, f"delivery-{number}")

    store.prune()

    assert not store.folder(first).exists()


def test_a_run_is_cancelled_across_processes_and_removed_with_all_that_is_kept_of_it(tmp_path: Path) -> None:
    store, other = RunStore(tmp_path / "runs"), RunStore(tmp_path / "runs")
    run = store.add(EVENT, "delivery")
    assert run is not None
    assert not store.is_cancelled(run)

    other.cancel(run)

    assert store.is_cancelled(run)
    other.remove(run)
    other.remove(run)
    other.cancel(run)
    assert list((tmp_path / "runs").iterdir()) == []
