"""The supervisor as the program that it is: what it starts, restarts, ends, and survives."""

from __future__ import annotations

import dataclasses
import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from sandbox.core.conditions import Deadline, met, pending, wait_for
from sandbox.core.errors import ConditionFailedError, UnavailableError
from sandbox.core.processes import FOLDER_VARIABLE, RUN_ID_VARIABLE, Process, marked
from sandbox.core.supervision import SupervisorClient
from sandbox.core.supervisor import RECORD, SOCKET
from tests.integration.core.support import Box, command_line, kill, open_files, parent_of, wait_gone

STUBBORN = "import signal,time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print('up', flush=True); time.sleep(600)"
# A process that leaves its group, session and parent behind, and one of its own below it.
ESCAPE = """
import os, time
if os.fork() == 0:
    os.setsid()
    if os.fork() == 0:
        print("escaped", os.getpid(), flush=True)
        time.sleep(600)
    time.sleep(600)
time.sleep(600)
"""


def test_a_component_runs_as_specified_until_it_is_stopped(box: Box) -> None:
    asked = "json.dumps([os.getcwd(), [*os.environ], sys.stdin.read()])"
    code = f"import json,os,sys,time; print({asked}, flush=True); time.sleep(600)"
    process = box.running(box.script("asker", code))
    box.wait_log("asker", "]")
    folder, variables, given = json.loads(box.log("asker"))
    assert (folder, given) == (str(box.folder), "")
    # The one left out is the interpreter's own doing.
    assert set(variables) - {"LC_CTYPE"} == {"PATH", RUN_ID_VARIABLE, FOLDER_VARIABLE}
    assert box.status("asker").state == "running"
    assert box.status("asker").restarts == 0
    box.client.stop("asker")
    assert not process.alive
    assert (box.status("asker").state, box.status("asker").pid) == ("stopped", None)
    assert box.status("asker").last_exit is not None


def test_a_component_that_runs_already_is_left_alone(box: Box) -> None:
    first = box.running(box.sleeper())
    assert box.running(box.sleeper()) == first


def test_a_component_whose_specification_changed_is_replaced(box: Box) -> None:
    first = box.running(box.sleeper())
    second = box.running(dataclasses.replace(box.sleeper(), argv=("sleep", "601")))
    assert not first.alive
    assert command_line(second.pid) == ["sleep", "601"]


def test_a_component_that_was_killed_is_started_again_and_status_says_so(box: Box) -> None:
    first = box.running(box.sleeper())
    kill(first)
    status = box.wait_restarts("sleeper", 1)
    assert status.pid != first.pid
    assert status.last_exit is not None
    assert status.last_exit["reason"] == "killed by SIGKILL"
    assert not status.last_exit["told"]
    assert abs(status.last_exit["at"] - time.time()) < 10


def test_a_component_that_ends_by_itself_is_started_again_after_a_while_that_grows(box: Box) -> None:
    box.client.ensure(box.script("quitter", "print('again', flush=True); raise SystemExit(7)"))
    status = box.status("quitter")
    wait_for(
        lambda: met() if box.log("quitter").count("again") >= 3 else pending(str(status)),
        Deadline.after(10),
        wanted="three starts",
        every=0.01,
    )
    last = box.status("quitter").last_exit
    assert last is not None
    assert last["reason"] == "exit code 7"
    box.client.stop("quitter")
    count = box.log("quitter").count("again")
    assert box.status("quitter").state == "stopped"
    assert count < 6


@pytest.mark.parametrize("number", [signal.SIGSEGV, 40, signal.SIGRTMAX])
def test_a_death_by_any_signal_is_told_and_survived(box: Box, number: int) -> None:
    box.client.ensure(box.script("dier", f"import os,time; os.kill(os.getpid(), {int(number)}); time.sleep(600)"))
    wait_for(
        lambda: met() if box.status("dier").last_exit else pending("alive"),
        Deadline.after(10),
        wanted="a death",
        every=0.01,
    )
    last = box.status("dier").last_exit
    assert last is not None
    assert last["reason"].startswith("killed by ")


def test_a_program_that_does_not_exist_is_told(box: Box) -> None:
    box.client.ensure(box.spec("nothing", "/no/such/program"))
    status = box.status("nothing")
    assert status.pid is None
    assert status.last_exit is not None
    assert "No such file" in status.last_exit["reason"]


def test_a_component_that_ignores_sigterm_is_killed_after_its_grace(box: Box) -> None:
    process = box.running(box.script("stubborn", STUBBORN, grace=0.2))
    box.wait_log("stubborn", "up")
    began = time.monotonic()
    box.client.stop("stubborn")
    assert 0.2 <= time.monotonic() - began < 5
    assert not process.alive
    status = box.status("stubborn")
    assert status.last_exit is not None
    assert (status.last_exit["reason"], status.last_exit["told"]) == ("killed by SIGKILL", True)


@contextmanager
def stopping(box: Box, name: str) -> Iterator[None]:
    """Have another client stop a component that takes its time, and run the block meanwhile."""
    with box.asking("stop", names=[name]):
        assert box.status(name).state == "stopping"
        yield


def test_a_component_that_is_asked_for_while_it_is_being_stopped_runs_again_when_it_has_ended(box: Box) -> None:
    spec = box.script("stubborn", STUBBORN, grace=1)
    first = box.running(spec)
    box.wait_log("stubborn", "up")
    with stopping(box, "stubborn"):
        second = box.running(spec)
        assert not first.alive
        assert second.alive
    assert box.process("stubborn") == second
    assert (box.status("stubborn").state, box.status("stubborn").restarts) == ("running", 0)


def test_of_those_who_ask_for_a_component_and_for_its_stop_the_last_has_its_way(box: Box) -> None:
    spec = box.script("stubborn", STUBBORN, grace=1)
    box.client.ensure(spec)
    box.wait_log("stubborn", "up")
    with stopping(box, "stubborn"), box.asking("ensure", spec=spec.to_json()):
        box.client.stop("stubborn")
        assert box.status("stubborn").state == "stopped"


def test_a_component_that_is_asked_for_while_it_is_being_stopped_does_not_outlive_the_sandbox(box: Box) -> None:
    spec = box.script("stubborn", STUBBORN, grace=1)
    box.client.ensure(spec)
    box.wait_log("stubborn", "up")
    with stopping(box, "stubborn"), box.asking("ensure", spec=spec.to_json()):
        box.client.end(box.run_id, Deadline.after(10))
    assert box.client.process() is None
    box.wait_none_left()


def test_components_inherit_nothing_of_the_supervisors(box: Box) -> None:
    process = box.running(box.sleeper())
    assert open_files(process.pid) == {"/dev/null", str(box.folder / "logs/sleeper.log")}
    assert parent_of(process.pid) == box.supervisor().pid
    assert os.getpgid(process.pid) == process.pid


def test_the_socket_and_the_record_are_for_this_user_alone(box: Box) -> None:
    assert (box.folder / SOCKET).stat().st_mode & 0o777 == 0o600
    assert (box.folder / RECORD).stat().st_mode & 0o777 == 0o600


def test_shutdown_ends_every_component_and_then_the_supervisor(box: Box) -> None:
    processes = [box.running(box.sleeper(name)) for name in "abc"]
    supervisor = box.supervisor()
    box.client.end(box.run_id, Deadline.after(10))
    assert not any(process.alive for process in (*processes, supervisor))
    assert box.client.process() is None
    assert box.client.components() == {}
    box.client.end(box.run_id, Deadline.after(10))


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
def test_a_supervisor_that_is_asked_to_end_takes_its_components_along(box: Box, number: signal.Signals) -> None:
    process, supervisor = box.running(box.sleeper()), box.supervisor()
    supervisor.send(number)
    wait_gone(supervisor)
    assert not process.alive
    assert not (box.folder / RECORD).exists()


def test_a_supervisor_that_is_killed_takes_its_components_along(box: Box) -> None:
    processes = [box.running(box.sleeper()), box.running(box.script("stubborn", STUBBORN))]
    kill(box.supervisor())
    for process in processes:
        wait_gone(process)
    assert box.client.process() is None
    assert box.client.components() == {}
    with pytest.raises(UnavailableError, match="the sandbox's supervisor does not answer"):
        box.client.ensure(box.sleeper())


def test_a_supervisor_can_be_started_where_one_was_killed(box: Box) -> None:
    box.running(box.sleeper())
    kill(box.supervisor())
    box.client.start(box.run_id).keep()
    assert box.running(box.sleeper()).alive


def test_what_escaped_its_supervisor_ends_with_it(box: Box) -> None:
    box.client.ensure(box.script("escaper", ESCAPE))
    box.wait_log("escaper", "escaped")
    escaped = Process.of(int(box.log("escaper").split()[1]))
    assert escaped is not None
    assert escaped in set(marked(box.run_id))
    kill(box.supervisor())
    wait_gone(escaped)


def test_a_supervisor_that_is_stopped_is_ended_all_the_same(box: Box) -> None:
    process, supervisor = box.running(box.sleeper()), box.supervisor()
    supervisor.send(signal.SIGSTOP)
    box.client.end(box.run_id, Deadline.after(1))
    wait_gone(process)
    assert not supervisor.alive


def test_the_sandbox_ends_with_its_starter_until_the_lease_is_kept(idle_box: Box) -> None:
    lease = idle_box.client.start(idle_box.run_id)
    process, supervisor = idle_box.running(idle_box.sleeper()), idle_box.supervisor()
    lease.drop()
    wait_gone(supervisor)
    assert not process.alive
    idle_box.wait_none_left()


def test_a_starter_that_is_killed_leaves_nothing_behind(idle_box: Box) -> None:
    code = (
        "import sys, time; from pathlib import Path; from sandbox.core.supervision import SupervisorClient\n"
        f"lease = SupervisorClient(Path({str(idle_box.folder)!r})).start({idle_box.run_id!r})\n"
        "print('started', flush=True); time.sleep(600)"
    )
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE) as starter:
        assert starter.stdout is not None
        assert starter.stdout.readline() == b"started\n"
        process = idle_box.running(idle_box.sleeper())
        starter.kill()
    wait_gone(process)
    idle_box.wait_none_left()


def test_a_supervisor_whose_lease_is_kept_outlives_its_starter(box: Box) -> None:
    # The fixture has kept the lease: nobody holds the other end any more.
    assert box.running(box.sleeper()).alive
    assert parent_of(box.supervisor().pid) != os.getpid()


def test_a_supervisor_that_can_not_start_says_why(idle_box: Box) -> None:
    (idle_box.folder / SOCKET).mkdir()
    with pytest.raises(ConditionFailedError, match="the supervisor to start: can't come true") as caught:
        idle_box.client.start(idle_box.run_id)
    assert "Is a directory" in caught.value.why
    idle_box.wait_none_left()


def test_a_damaged_record_is_no_supervisor_and_the_mark_finds_all_the_same(box: Box) -> None:
    process = box.running(box.sleeper())
    (box.folder / RECORD).write_text("{")
    assert box.client.process() is None
    assert box.client.run_id() == box.run_id
    box.client.end(box.run_id, Deadline.after(10))
    assert not process.alive
    assert box.client.run_id() is None


def test_what_a_supervisor_left_leads_to_the_mark_where_every_record_is_lost(box: Box, tmp_path: Path) -> None:
    box.client.ensure(box.script("escaper", ESCAPE))
    box.wait_log("escaper", "escaped")
    (box.folder / RECORD).unlink()
    (tmp_path / "link").symlink_to(box.folder)
    assert SupervisorClient(tmp_path / "link").run_id() == box.run_id
    assert SupervisorClient(tmp_path).run_id() is None


def test_the_record_of_an_earlier_process_with_the_same_pid_is_no_supervisor(idle_box: Box) -> None:
    me = Process.of(os.getpid())
    assert me is not None
    record = {"pid": me.pid, "started": me.started - 1, "run_id": idle_box.run_id}
    (idle_box.folder / RECORD).write_text(json.dumps(record))
    assert idle_box.client.process() is None
    assert idle_box.client.run_id() == idle_box.run_id
    idle_box.client.end(idle_box.run_id, Deadline.after(5))
    assert me.alive


def test_many_clients_at_once_are_all_answered(box: Box) -> None:
    failures = list[BaseException]()

    def work(name: str) -> None:
        try:
            for _ in range(5):
                box.client.ensure(box.sleeper(name))
                assert box.status(name).state == "running"
        except BaseException as error:  # noqa: BLE001  # shown by the test itself
            failures.append(error)

    threads = [threading.Thread(target=work, args=(f"sleeper-{number}",)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not failures
    assert len(box.client.components()) == 8


def test_a_stop_of_one_component_does_not_keep_others_waiting(box: Box) -> None:
    box.client.ensure(box.script("stubborn", STUBBORN, grace=2))
    box.wait_log("stubborn", "up")
    with stopping(box, "stubborn"):
        began = time.monotonic()
        assert box.running(box.sleeper()).alive
        assert time.monotonic() - began < 1
