"""Processes as the kernel knows them: real ones, told apart and ended by their mark."""

from __future__ import annotations

import dataclasses
import os
import signal
import subprocess

from sandbox.core.conditions import Deadline, Observation, failed, met, pending, wait_for
from sandbox.core.processes import RUN_ID_VARIABLE, Process, end_marked, marked


def _found(run_id: str, pid: int) -> Observation:
    # In the middle of execve(2) a process has no environment yet, and its parent goes on meanwhile.
    found = [process.pid for process in marked(run_id)]
    return met() if found == [pid] else pending(f"{found}") if not found else failed(f"{found}, and not {pid} alone")


def test_only_what_carries_the_mark_is_ended(run_id: str) -> None:
    unmarked = subprocess.Popen(["sleep", "600"])
    environment = {"PATH": "/usr/bin:/bin", RUN_ID_VARIABLE: f"{run_id}-of-another"}
    other = subprocess.Popen(["sleep", "600"], env=environment)
    named = subprocess.Popen(["sh", "-c", "read x", f"{RUN_ID_VARIABLE}={run_id}"], stdin=subprocess.PIPE)
    mine = subprocess.Popen(["sleep", "600"], env={**environment, RUN_ID_VARIABLE: run_id})
    try:
        wait_for(
            lambda: _found(run_id, mine.pid), Deadline.after(5), wanted="the marked process, and no other, to be found"
        )
        assert end_marked(run_id, Deadline.after(5)) == 1
        assert mine.wait(5) == -signal.SIGKILL
        assert [process.poll() for process in (unmarked, other, named)] == [None] * 3
        assert end_marked(run_id, Deadline.after(5)) == 0
    finally:
        for process in (unmarked, other, named, mine):
            process.kill()
            process.wait()
        assert named.stdin is not None
        named.stdin.close()


def test_a_later_process_with_the_same_pid_is_another_one_and_gets_no_signal() -> None:
    with subprocess.Popen(["sleep", "600"]) as child:
        process = Process.of(child.pid)
        assert process is not None
        assert process.alive
        earlier = dataclasses.replace(process, started=process.started - 1)
        assert not earlier.alive
        earlier.send(signal.SIGKILL)
        assert child.poll() is None
        process.send(signal.SIGKILL)
        assert child.wait(5) == -signal.SIGKILL
    process.send(signal.SIGKILL)
    assert Process.of(child.pid) is None


def test_a_zombie_is_no_process() -> None:
    child = subprocess.Popen(["true"])
    os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)
    assert Process.of(child.pid) is None
    child.wait()
