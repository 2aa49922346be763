"""The client's side of a sandbox's supervisor: find it, start it, ask it, end it."""

from __future__ import annotations

import contextlib
import json
import os
import select
import socket
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sandbox.core.conditions import Deadline, Observation, failed, met, pending, wait_for
from sandbox.core.errors import UnavailableError, UsageError
from sandbox.core.files import read_json
from sandbox.core.processes import FOLDER_VARIABLE, RUN_ID_VARIABLE, Process, ProcessSpec, end_marked, marked
from sandbox.core.supervisor import LEASE_KEPT, RECORD, SOCKET

__all__ = ["ComponentStatus", "Lease", "SupervisorClient"]

_ANSWER_SECONDS = 15.0
_SWEEP_SECONDS = 20.0


@dataclass(frozen=True, slots=True)
class ComponentStatus:
    """What the supervisor says of one component; states: running, restarting, stopping, stopped."""

    name: str
    state: str
    pid: int | None
    log: str
    restarts: int
    last_exit: dict[str, Any] | None
    seconds: float | None


class Lease:
    """Held by the ``up`` that started a supervisor: if it dies before ``keep``, the sandbox ends too.

    Args:
        descriptor: The write end of the supervisor's standard input; None for one that stands already.
    """

    def __init__(self, descriptor: int | None) -> None:
        self._descriptor = descriptor

    def keep(self) -> None:
        """Say that the sandbox stands: from now on it lives without its starter."""
        if self._descriptor is not None:
            os.write(self._descriptor, LEASE_KEPT)
            self.drop()

    def drop(self) -> None:
        """Let go; without ``keep`` before, the supervisor ends itself and its components."""
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None


class SupervisorClient:
    """Speaks to the supervisor of the sandbox in ``folder``."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def process(self) -> Process | None:
        """Find the supervisor's process by its record; None when it does not run."""
        try:
            record = read_json(self._folder / RECORD)
            process = Process(int(str(record["pid"])), int(str(record["started"])))
        except (FileNotFoundError, KeyError, ValueError, UsageError):
            # A damaged record is no supervisor; what it started is still found by its run id.
            return None
        return process if process.alive else None

    def run_id(self) -> str | None:
        """Give the mark of what was started here, whether or not the supervisor still runs; None when nothing was.

        Where its record is lost or damaged, the oldest process that runs for this folder says it.
        """
        try:
            return str(read_json(self._folder / RECORD)["run_id"])
        except (FileNotFoundError, KeyError, UsageError):
            left = sorted(marked(self._mark(), FOLDER_VARIABLE), key=lambda process: process.started)
            return next((mark for process in left if (mark := process.variable(RUN_ID_VARIABLE))), None)

    def _mark(self) -> str:
        # One spelling of it, whichever way the user came.
        return str(self._folder.resolve())

    def start(self, run_id: str) -> Lease:
        """Start a supervisor and wait until it answers; what an earlier one left is ended first, its guard too.

        Args:
            run_id: Marks it and all that it starts.

        Raises:
            UnavailableError: It ended at once; gives its own words.
        """
        end_marked(run_id, Deadline.after(_SWEEP_SECONDS))
        read_end, write_end = os.pipe()
        log_path = self._folder / "logs" / "supervisor.log"
        import_path = str(Path(__file__).resolve().parents[2])
        environment = {
            "PATH": "/usr/bin:/bin",
            "PYTHONPATH": import_path,
            "PYTHONDONTWRITEBYTECODE": "1",
            RUN_ID_VARIABLE: run_id,
            FOLDER_VARIABLE: self._mark(),
        }
        try:
            with log_path.open("ab") as log:
                # It forks and lives on as nobody's child, so that it leaves no zombie to whoever started it.
                subprocess.run(
                    [sys.executable, "-P", "-m", "sandbox.core.supervisor", str(self._folder)],
                    env=environment,
                    cwd=self._folder,
                    stdin=read_end,
                    stdout=log,
                    stderr=log,
                    start_new_session=True,
                    timeout=_ANSWER_SECONDS,
                    check=True,
                )
        finally:
            os.close(read_end)
        lease = Lease(write_end)

        reader_gone = select.poll()
        reader_gone.register(write_end, select.POLLERR)

        def answers() -> Observation:
            if self.process() is not None:
                return met("it answers")
            if reader_gone.poll(0):
                return failed(log_path.read_text(errors="replace")[-1000:] or "it ended without a word")
            return pending("it has not written its record yet")

        try:
            wait_for(answers, Deadline.after(10), wanted="the supervisor to start", hint=str(log_path), every=0.01)
        except BaseException:
            lease.drop()
            raise
        return lease

    def _ask(self, request: dict[str, Any], *, timeout: float = _ANSWER_SECONDS) -> list[ComponentStatus]:
        folder = os.open(self._folder, os.O_PATH | os.O_DIRECTORY)
        try:
            with socket.socket(socket.AF_UNIX) as connection:
                connection.settimeout(timeout)
                # Through the descriptor: the folder's own path may be longer than sockaddr_un allows.
                connection.connect(f"/proc/self/fd/{folder}/{SOCKET}")
                connection.sendall(json.dumps(request).encode() + b"\n")
                with connection.makefile("rb") as lines:
                    answer = json.loads(lines.readline())
        except (OSError, ValueError) as error:
            raise UnavailableError(
                "the sandbox's supervisor does not answer",
                why=str(error),
                hint=f"see {self._folder / 'logs' / 'supervisor.log'}; `up` starts it again",
            ) from error
        finally:
            os.close(folder)
        return [ComponentStatus(**component) for component in answer["components"]]

    def ensure(self, spec: ProcessSpec) -> None:
        """Have a component run as specified; nothing happens when it already does."""
        self._ask({"op": "ensure", "spec": spec.to_json()})

    def stop(self, *names: str) -> None:
        """Stop components and wait until they are gone."""
        self._ask({"op": "stop", "names": list(names)})

    def components(self) -> dict[str, ComponentStatus]:
        """Give the state of every component by name; empty when no supervisor runs."""
        if self.process() is None:
            return {}
        return {component.name: component for component in self._ask({"op": "status"}, timeout=5.0)}

    def end(self, run_id: str, deadline: Deadline) -> None:
        """End the supervisor and all that carries its run id, whatever state they are in.

        Raises:
            DeadlineError: Something could not be ended.
        """
        if self.process() is not None:
            # Stopped, stuck or just killed: the sweep that follows ends it without its help.
            with contextlib.suppress(UnavailableError):
                self._ask({"op": "shutdown"}, timeout=max(0.1, min(5.0, deadline.remaining() / 2)))
        end_marked(run_id, deadline)
