"""What the tests of the servers share: starting a server for real, and a small receiver of webhooks."""

from __future__ import annotations

import json
import signal
import socket
import ssl
import subprocess
import sys
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.request import urlopen

from sandbox.core.conditions import Deadline, Observation, failed, met, pending, wait_for
from sandbox.core.files import write_json
from sandbox.core.processes import Process
from sandbox.servers.repositories import isolated_git

ACT = Path(sys.executable).with_name("act")
PASSWORDS = {"argocd": "argocd-password", "ci": "ci-password", "developer": "developer-password"}


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as server:
        return int(server.getsockname()[1])


@contextmanager
def running(
    module: str, configuration: Mapping[str, object], folder: Path, *, package: str = "sandbox.servers"
) -> Iterator[subprocess.Popen[bytes]]:
    """Run a server program until the block ends; its port answers when the block begins."""
    file = write_json(folder / f"{module}.json", configuration)
    with (folder / f"{module}.log").open("ab") as log:
        process = subprocess.Popen([sys.executable, "-m", f"{package}.{module}", str(file)], stderr=log)

    def healthy() -> Observation:
        if process.poll() is not None:
            return failed((folder / f"{module}.log").read_text())
        try:
            with urlopen(f"http://127.0.0.1:{configuration['port']}/healthz", timeout=1) as answer:
                return met(str(answer.status))
        except OSError as error:
            return pending(str(error))

    try:
        wait_for(healthy, Deadline.after(20), wanted=f"{module} answers", every=0.02)
        yield process
    finally:
        if process.poll() is None:
            process.send_signal(signal.SIGTERM)
        process.wait(timeout=5)


@dataclass
class GitClient:
    """A user's git with a credential that is kept out of every URL."""

    url: str
    folder: Path

    def run(self, user: str, *words: str, cwd: Path | None = None, password: str | None = None) -> str:
        """Run git as ``user`` and return all that it said; CalledProcessError where it failed."""
        done = self.attempt(user, *words, cwd=cwd, password=password)
        done.check_returncode()
        return done.stdout

    def attempt(
        self, user: str, *words: str, cwd: Path | None = None, password: str | None = None
    ) -> subprocess.CompletedProcess[str]:
        """Run git as ``user`` and return the outcome, stderr included in its output."""
        asking = self.folder / "askpass"
        if not asking.exists():
            asking.write_text(
                '#!/bin/sh\ncase "$1" in Username*) echo "$TEST_USER";; *) echo "$TEST_PASSWORD";; esac\n'
            )
            asking.chmod(0o700)
        environment = isolated_git() | {
            "GIT_ASKPASS": str(asking),
            "TEST_USER": user,
            "TEST_PASSWORD": password or PASSWORDS.get(user, "none"),
            "GIT_CONFIG_GLOBAL": str(self._identity()),
        }
        return subprocess.run(
            ["git", *words],
            cwd=cwd or self.folder,
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=60,
            check=False,
        )

    def _identity(self) -> Path:
        file = self.folder / "gitconfig"
        file.write_text("[user]\n\tname = Ada\n\temail = ada@example.com\n[init]\n\tdefaultBranch = main\n")
        return file

    def clone(self, user: str, repository: str, name: str) -> Path:
        """Clone into a folder of this name and return it."""
        self.run(user, "clone", "--quiet", f"{self.url}/{repository}.git", name)
        return self.folder / name

    def commit(self, work: Path, files: Mapping[str, str], message: str = "Change a file") -> str:
        """Commit files and return the commit's id."""
        for path, content in files.items():
            (work / path).parent.mkdir(parents=True, exist_ok=True)
            (work / path).write_text(content)
        self.run("developer", "add", "--all", cwd=work)
        self.run("developer", "commit", "--quiet", "--message", message, cwd=work)
        return self.run("developer", "rev-parse", "HEAD", cwd=work).strip()


@dataclass
class Received:
    """One request that the receiver got."""

    headers: Mapping[str, str]
    body: bytes

    @property
    def event(self) -> dict[str, object]:
        """The body, as the object that it should be."""
        value = json.loads(self.body)
        assert isinstance(value, dict)
        return value


@dataclass
class Receiver:
    """A real HTTP server that keeps what it is sent."""

    port: int
    status: int = 200
    tls: ssl.SSLContext | None = None
    got: list[Received] = field(default_factory=list)
    arrived: threading.Event = field(default_factory=threading.Event)

    @property
    def url(self) -> str:
        """Where to send."""
        return f"{'https' if self.tls else 'http'}://127.0.0.1:{self.port}/api/webhook"

    def wait(self, count: int, seconds: float = 15) -> list[Received]:
        """Give the first ``count`` requests as soon as they are there."""
        wait_for(
            lambda: met() if len(self.got) >= count else pending(f"{len(self.got)} came"),
            Deadline.after(seconds),
            wanted=f"{count} webhooks",
            wake=self.arrived,
        )
        return self.got[:count]

    @contextmanager
    def listening(self) -> Iterator[Receiver]:
        """Serve while the block runs."""
        receiver = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                receiver.got.append(Received(dict(self.headers), body))
                self.send_response(receiver.status)
                self.send_header("Content-Length", "0")
                self.end_headers()
                receiver.arrived.set()

            def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the library's name
                """Say nothing."""

        with ThreadingHTTPServer(("127.0.0.1", self.port), Handler) as server:
            server.daemon_threads = True
            if self.tls:
                server.socket = self.tls.wrap_socket(server.socket, server_side=True)
            thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
            thread.start()
            try:
                yield self
            finally:
                server.shutdown()
                thread.join(timeout=5)


def attempts(file: Path) -> list[dict[str, object]]:
    """Read the record of deliveries."""
    return [json.loads(line) for line in file.read_text().splitlines()] if file.exists() else []


def mode(path: Path) -> int:
    """Give the permission bits of a file."""
    return path.stat().st_mode & 0o777


def descendants(pid: int) -> list[int]:
    """Give the processes below ``pid``, itself left out."""
    children: dict[int, list[int]] = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                parent = int((entry / "stat").read_text().rpartition(")")[2].split()[1])
            except OSError:
                continue
            children.setdefault(parent, []).append(int(entry.name))
    found, below = [], list(children.get(pid, []))
    while below:
        child = below.pop()
        found.append(child)
        below += children.get(child, [])
    return found


def alive(pid: int) -> bool:
    """Say whether a process of this id runs; a zombie that nobody buries does not."""
    return Process.of(pid) is not None
