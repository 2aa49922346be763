"""The supervisor: one small process for each sandbox that keeps its components running.

It starts them, restarts one that dies, and takes them with it when it ends, however it ends: each
child carries a parent-death signal. It speaks JSON over a Unix socket in the sandbox's state
folder, one request and one answer a connection; see ``sandbox.core.supervision`` for its client.

It stays single-threaded: the parent-death signal follows the thread that forked.
"""

from __future__ import annotations

import json
import os
import selectors
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sandbox.core.files import write_json
from sandbox.core.guard import stand_guard
from sandbox.core.processes import RUN_ID_VARIABLE, Process, ProcessSpec, die_with_parent, inherited_marks

__all__ = ["RECORD", "SOCKET", "main"]

SOCKET = "supervisor.sock"
RECORD = "supervisor.json"
LEASE_KEPT = b"up\n"

_FIRST_DELAY = 0.2
_LAST_DELAY = 10.0
_STEADY = 10.0  # seconds of life after which a death counts as the first one again
_MAX_REQUEST = 1 << 20


@dataclass(slots=True)
class _Child:
    """One component: what it should be, and what became of it."""

    spec: ProcessSpec
    process: subprocess.Popen[bytes] | None = None
    started: float = 0.0
    restarts: int = 0
    quick_deaths: int = 0
    restart_at: float | None = None
    kill_at: float | None = None
    again: bool = False  # asked for while it was being stopped
    last_exit: dict[str, Any] | None = None

    def state(self) -> str:
        if self.kill_at is not None:
            return "stopping"
        if self.process is not None:
            return "running"
        return "stopped" if self.restart_at is None else "restarting"

    def report(self) -> dict[str, Any]:
        return {
            "name": self.spec.name,
            "state": self.state(),
            "pid": self.process.pid if self.process else None,
            "log": self.spec.log,
            "restarts": self.restarts,
            "last_exit": self.last_exit,
            "seconds": round(time.monotonic() - self.started, 1) if self.process else None,
        }

    def start(self) -> None:
        """Start it, or keep the reason and leave the rest to the restart policy."""
        self.restart_at = None
        self.started = time.monotonic()

        def prepare() -> None:
            die_with_parent()
            if self.spec.nice:
                os.nice(self.spec.nice)

        try:
            with Path(self.spec.log).open("ab") as log:
                self.process = subprocess.Popen(
                    self.spec.argv,
                    env={**self.spec.env, **inherited_marks()},
                    cwd=self.spec.cwd,
                    stdin=subprocess.DEVNULL,
                    stdout=log,
                    stderr=log,
                    start_new_session=True,
                    preexec_fn=prepare,  # noqa: PLW1509  # single-threaded by design, see the module's docstring
                )
        except (OSError, ValueError, subprocess.SubprocessError) as error:
            self.ended(reason=f"can't be started: {error}")

    def ended(self, *, reason: str) -> None:
        """Note how it ended, and when to start it again unless it was told to stop."""
        told, now = self.kill_at is not None, time.monotonic()
        lived = now - self.started
        self.process, self.kill_at = None, None
        self.last_exit = {"reason": reason, "at": time.time(), "after_seconds": round(lived, 3), "told": told}
        if told:
            self.restart_at = now if self.again else None
            self.again = False
            return
        self.quick_deaths = 0 if lived > _STEADY else self.quick_deaths + 1
        delay = 0.0 if self.quick_deaths == 0 else min(_LAST_DELAY, _FIRST_DELAY * 2 ** (self.quick_deaths - 1))
        self.restarts += 1
        self.restart_at = now + delay

    def stop(self) -> None:
        """Ask it to end; it is killed when its grace has passed."""
        self.restart_at, self.again = None, False
        if self.process is not None and self.kill_at is None:
            self.kill_at = time.monotonic() + self.spec.grace
            self.process.terminate()

    def ensure(self) -> None:
        """Have it run: now, or as soon as what is being stopped has ended, since two would meet on one port."""
        if self.process is None:
            self.start()
        else:
            self.again = self.kill_at is not None

    def stopping(self) -> list[subprocess.Popen[bytes]]:
        """Give the process that is being stopped, if there is one."""
        return [self.process] if self.process is not None and self.kill_at is not None else []

    def kill_group(self) -> None:
        if self.process is not None:
            os.killpg(self.process.pid, signal.SIGKILL)


def _describe_exit(code: int) -> str:
    if code >= 0:
        return f"exit code {code}"
    # Most real-time signals have no name.
    names = {number.value: number.name for number in signal.Signals}
    return f"killed by {names.get(-code, f'signal {-code}')}"


class Supervisor:
    """The loop: requests, deaths and timers, one after another."""

    def __init__(self, folder: Path, lease: int) -> None:
        self._folder = folder
        self._children: dict[str, _Child] = {}
        self._waiting: list[tuple[socket.socket, list[subprocess.Popen[bytes]]]] = []
        self._ending = False
        self._lease: int | None = lease
        self._selector = selectors.DefaultSelector()
        self._listener = self._listen()
        self._wake_read, self._wake_write = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)

    def _listen(self) -> socket.socket:
        # A relative path: a state folder may lie deeper than the 107 bytes of sockaddr_un.
        os.chdir(self._folder)
        Path(SOCKET).unlink(missing_ok=True)
        listener = socket.socket(socket.AF_UNIX)
        listener.bind(SOCKET)
        Path(SOCKET).chmod(0o600)
        listener.listen(32)
        return listener

    def run(self) -> None:
        """Serve until told to end and every child is gone."""
        signal.set_wakeup_fd(self._wake_write, warn_on_full_buffer=False)
        signal.signal(signal.SIGCHLD, lambda *_: None)
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            signal.signal(number, lambda *_: self._end())
        me = Process.of(os.getpid())
        assert me is not None  # noqa: S101  # the calling process exists
        write_json(self._folder / RECORD, {"pid": me.pid, "started": me.started, "run_id": os.environ[RUN_ID_VARIABLE]})
        self._selector.register(self._listener, selectors.EVENT_READ, self._accept)
        self._selector.register(self._wake_read, selectors.EVENT_READ, lambda: os.read(self._wake_read, 4096))
        if self._lease is not None:
            self._selector.register(self._lease, selectors.EVENT_READ, self._lease_changed)
        while not (self._ending and all(child.process is None for child in self._children.values())):
            for key, _ in self._selector.select(self._next_timer()):
                key.data()
            self._reap()
            self._run_timers()
            self._answer_waiting()
        self._answer_waiting()
        Path(SOCKET).unlink(missing_ok=True)
        Path(RECORD).unlink(missing_ok=True)

    def _end(self) -> None:
        self._ending = True
        for child in self._children.values():
            child.stop()

    def _lease_changed(self) -> None:
        """The ``up`` that started this supervisor said it is done, or died before it was."""
        assert self._lease is not None  # noqa: S101  # registered only while held
        said = os.read(self._lease, len(LEASE_KEPT))
        self._selector.unregister(self._lease)
        os.close(self._lease)
        self._lease = None
        if said != LEASE_KEPT:
            self._end()

    def _next_timer(self) -> float | None:
        times = [at for child in self._children.values() for at in (child.restart_at, child.kill_at) if at is not None]
        return max(0.0, min(times) - time.monotonic()) if times else None

    def _reap(self) -> None:
        for child in self._children.values():
            if child.process is not None and (code := child.process.poll()) is not None:
                child.ended(reason=_describe_exit(code))

    def _run_timers(self) -> None:
        now = time.monotonic()
        for child in self._children.values():
            if child.kill_at is not None and child.kill_at <= now:
                child.kill_group()
                child.kill_at = now + _LAST_DELAY
            elif self._ending and child.kill_at is None:
                # Started in the very moment in which the signal to end came.
                child.stop()
            if child.restart_at is not None and child.restart_at <= now and not self._ending:
                child.start()

    def _accept(self) -> None:
        connection, _ = self._listener.accept()
        connection.settimeout(2.0)
        try:
            with connection.makefile("rb") as lines:
                request = json.loads(lines.readline(_MAX_REQUEST))
            handlers: dict[str, Callable[[dict[str, Any]], list[subprocess.Popen[bytes]]]] = {
                "ensure": self._ensure,
                "status": lambda _: [],
                "stop": self._stop,
                "shutdown": self._shutdown,
            }
            leaving = handlers[request["op"]](request)
        except (OSError, ValueError, KeyError, TypeError, RecursionError) as error:
            # A client that went away or spoke nonsense must not end the sandbox.
            print(f"supervisor: bad request: {error!r}", file=sys.stderr, flush=True)  # noqa: T201  # its log
            connection.close()
            return
        self._waiting.append((connection, leaving))

    # Each gives the processes whose end the answer waits for: the very ones, since others may follow under their names.

    def _ensure(self, request: dict[str, Any]) -> list[subprocess.Popen[bytes]]:
        spec = ProcessSpec.from_json(request["spec"])
        child = self._children.get(spec.name)
        if child is None or child.spec != spec:
            if child is not None and child.process is not None:
                child.stop()
                child.kill_group()
                child.process.wait()
            child = self._children[spec.name] = _Child(spec)
        if not self._ending:
            child.ensure()
        return child.stopping()

    def _stop(self, request: dict[str, Any]) -> list[subprocess.Popen[bytes]]:
        children = [self._children[name] for name in request["names"] if name in self._children]
        for child in children:
            child.stop()
        return [process for child in children for process in child.stopping()]

    def _shutdown(self, _: dict[str, Any]) -> list[subprocess.Popen[bytes]]:
        self._end()
        return [process for child in self._children.values() for process in child.stopping()]

    def _answer_waiting(self) -> None:
        still: list[tuple[socket.socket, list[subprocess.Popen[bytes]]]] = []
        for connection, processes in self._waiting:
            if any(process.returncode is None for process in processes):
                still.append((connection, processes))
                continue
            reports = [child.report() for child in self._children.values()]
            answer = {"pid": os.getpid(), "run_id": os.environ[RUN_ID_VARIABLE], "components": reports}
            try:
                connection.sendall(json.dumps(answer).encode() + b"\n")
            except OSError as error:
                print(f"supervisor: a client went away: {error}", file=sys.stderr, flush=True)  # noqa: T201  # its log
            connection.close()
        self._waiting = still


def main(argv: list[str]) -> None:
    """Run the supervisor of the sandbox whose state folder is given; the lease is standard input."""
    if os.fork():
        os._exit(0)
    # Whatever the caller's: nothing that a component writes, its log neither, is for other users.
    os.umask(0o077)
    stand_guard(os.environ[RUN_ID_VARIABLE])
    Supervisor(Path(argv[1]), lease=sys.stdin.fileno()).run()


if __name__ == "__main__":
    main(sys.argv)
