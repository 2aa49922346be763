from __future__ import annotations

from pathlib import Path

from sandbox.servers.ci_runs import RunStore

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
