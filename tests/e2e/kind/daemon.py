"""A Docker daemon of one test, in a network namespace of its own: it can be starved, ended and restarted."""

from __future__ import annotations

import contextlib
import json
import signal
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from sandbox.core.commands import CommandError, run
from sandbox.core.conditions import Deadline, Observation, met, pending, wait_for
from tests.e2e.kind.machine import docker

__all__ = ["Daemon", "own_daemon"]

_SECONDS = 60.0


@dataclass(slots=True)
class Daemon:
    """One daemon.

    Attributes:
        folder: Where all of it is.
        data: Where it keeps images and containers.
        namespace: Its network namespace, by its name.
    """

    folder: Path
    data: Path
    namespace: str
    process: subprocess.Popen[bytes] | None = None

    @property
    def host(self) -> str:
        """What DOCKER_HOST is to be."""
        return f"unix://{self.folder / 'docker.sock'}"

    @property
    def inside(self) -> tuple[str, ...]:
        """The words by which a command runs where this daemon's containers are reached."""
        # Not `ip netns exec`, which mounts a new /sys without any cgroup.
        return ("nsenter", f"--net=/run/netns/{self.namespace}")

    def docker(self, *words: str, seconds: float = _SECONDS) -> str:
        """Run docker against this daemon."""
        return docker("--host", self.host, *words, seconds=seconds)

    def _answers(self) -> Observation:
        try:
            return met(self.docker("info", "--format", "{{.ServerVersion}}"))
        except CommandError as error:
            return pending(error.output)

    def start(self) -> None:
        """Start it, with the runtime that the machine's own daemon has; come back when it answers."""
        known = json.loads(docker("info", "--format", "{{json .}}"))
        runtime = known["DefaultRuntime"]
        path = known["Runtimes"][runtime]["path"]
        own = () if runtime == "runc" else (f"--add-runtime={runtime}={path}", f"--default-runtime={runtime}")
        with (self.folder / "dockerd.log").open("ab") as log:
            self.process = subprocess.Popen(
                [
                    *self.inside,
                    "dockerd",
                    f"--host={self.host}",
                    f"--data-root={self.data}",
                    f"--exec-root={self.folder / 'exec'}",
                    f"--pidfile={self.folder / 'docker.pid'}",
                    *own,
                ],
                stdout=log,
                stderr=log,
            )
        wait_for(self._answers, Deadline.after(_SECONDS), wanted="the daemon to answer", every=0.2)

    def stop(self) -> None:
        """End it as a service manager does; its containers end with it."""
        if self.process is not None:
            self.process.send_signal(signal.SIGTERM)
            self.process.wait(_SECONDS)
            self.process = None


@contextlib.contextmanager
def own_daemon(folder: Path, data: Path, namespace: str) -> Iterator[Daemon]:
    """Give a daemon that runs; it ends in the end, with whatever was left in it."""
    run(["ip", "netns", "add", namespace], timeout=_SECONDS)
    daemon = Daemon(folder, data, namespace)
    try:
        run(["ip", "-n", namespace, "link", "set", "lo", "up"], timeout=_SECONDS)
        daemon.start()
        yield daemon
    finally:
        daemon.stop()
        run(["ip", "netns", "delete", namespace], timeout=_SECONDS)
