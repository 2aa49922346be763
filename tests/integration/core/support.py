"""A supervisor of one test's own, and small programs for it to run."""

from __future__ import annotations

import json
import os
import signal
import socket
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from sandbox.core.conditions import Deadline, Observation, met, pending, wait_for
from sandbox.core.processes import RUN_ID_VARIABLE, Process, ProcessSpec, marked
from sandbox.core.supervision import ComponentStatus, SupervisorClient
from sandbox.core.supervisor import SOCKET


@dataclass(frozen=True)
class Box:
    """The state folder of a sandbox and the client of its supervisor."""

    folder: Path
    run_id: str
    client: SupervisorClient

    @classmethod
    def make(cls, folder: Path, run_id: str) -> Box:
        """Make the folder as ``up`` does; nothing runs yet."""
        (folder / "logs").mkdir(parents=True)
        return cls(folder, run_id, SupervisorClient(folder))

    def spec(self, name: str, *argv: str, grace: float = 5.0) -> ProcessSpec:
        """Say how to run a program that carries the mark."""
        environment = {"PATH": "/usr/bin:/bin", RUN_ID_VARIABLE: self.run_id}
        log = self.folder / "logs" / f"{name}.log"
        return ProcessSpec(name, argv, environment, str(self.folder), str(log), grace)

    def sleeper(self, name: str = "sleeper") -> ProcessSpec:
        """Say how to run a program that does nothing until it is ended."""
        return self.spec(name, "sleep", "600")

    def script(self, name: str, code: str, grace: float = 5.0) -> ProcessSpec:
        """Say how to run some lines of Python."""
        return self.spec(name, sys.executable, "-c", code, grace=grace)

    def status(self, name: str = "sleeper") -> ComponentStatus:
        """Ask how a component is."""
        return self.client.components()[name]

    def running(self, spec: ProcessSpec) -> Process:
        """Have a component run and give its process."""
        self.client.ensure(spec)
        return self.process(spec.name)

    def process(self, name: str = "sleeper") -> Process:
        """Give the process of a component, which runs."""
        pid = self.status(name).pid
        assert pid is not None
        process = Process.of(pid)
        assert process is not None
        return process

    @contextmanager
    def asking(self, op: str, **request: object) -> Iterator[None]:
        """Have a client that has asked and waits for its answer while the block runs, and then gets one."""
        folder = os.open(self.folder, os.O_PATH | os.O_DIRECTORY)
        try:
            with socket.socket(socket.AF_UNIX) as connection:
                connection.settimeout(10)
                connection.connect(f"/proc/self/fd/{folder}/{SOCKET}")
                connection.sendall(json.dumps({"op": op, **request}).encode() + b"\n")
                yield
                assert "components" in json.loads(connection.makefile("rb").read())
        finally:
            os.close(folder)

    def supervisor(self) -> Process:
        """Give the process of the supervisor, which runs."""
        process = self.client.process()
        assert process is not None
        return process

    def log(self, name: str) -> str:
        """Read what a component wrote."""
        return (self.folder / "logs" / f"{name}.log").read_text()

    def wait_log(self, name: str, text: str) -> None:
        """Wait until a component has written some text."""
        log = self.folder / "logs" / f"{name}.log"

        def written() -> Observation:
            content = log.read_text() if log.exists() else ""
            return met() if text in content else pending(content)

        wait_for(written, Deadline.after(10), wanted=f"{name} to write {text!r}", every=0.01)

    def wait_restarts(self, name: str, count: int) -> ComponentStatus:
        """Wait until a component runs that was restarted so many times."""

        def restarted() -> Observation:
            status = self.status(name)
            there = status.restarts >= count and status.state == "running"
            return met() if there else pending(str(status))

        wait_for(restarted, Deadline.after(10), wanted=f"{name} to be restarted", every=0.01)
        return self.status(name)

    def wait_none_left(self) -> None:
        """Wait until no process carries the mark."""

        def none() -> Observation:
            left = [process.pid for process in marked(self.run_id)]
            return pending(f"left: {left}") if left else met()

        wait_for(none, Deadline.after(10), wanted="no process to be left", every=0.01)


def kill(process: Process) -> None:
    """Kill a process as the kernel's out-of-memory killer would, and wait until it is gone."""
    process.send(signal.SIGKILL)
    wait_gone(process)


def wait_gone(process: Process) -> None:
    """Wait until a process is gone."""
    wait_for(
        lambda: pending("it lives") if process.alive else met(),
        Deadline.after(10),
        wanted=f"process {process.pid} to end",
        every=0.005,
    )


def parent_of(pid: int) -> int:
    """Give the parent of a process."""
    return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])


def command_line(pid: int) -> list[str]:
    """Give the arguments of a process, as every user of the machine can see them."""
    return [word.decode() for word in Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")[:-1]]


def open_files(pid: int) -> set[str]:
    """Give what a process has open."""
    return {str(entry.readlink()) for entry in Path(f"/proc/{pid}/fd").iterdir()}
