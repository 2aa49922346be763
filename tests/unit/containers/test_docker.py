from __future__ import annotations

import struct
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from docker import DockerClient

from sandbox.containers.docker import Docker
from sandbox.core.errors import UnavailableError

SAID, COMPLAINED = b"all that it said", b"and that it failed"


class Daemon(BaseHTTPRequestHandler):
    """A daemon that answers at once: with what the program wrote in one piece with the head of the answer."""

    code = 0

    def do_POST(self) -> None:
        """Make an exec, or start it."""
        self.rfile.read(int(self.headers.get("Content-Length", 0)))
        if not self.path.endswith("/start"):
            self._answer(b'{"Id": "one"}')
            return
        frames = b"".join(struct.pack(">BxxxL", kind, len(said)) + said for kind, said in ((1, SAID), (2, COMPLAINED)))
        self._answer(frames)

    def do_GET(self) -> None:
        """Say how the exec has ended."""
        self._answer(b'{"ExitCode": %d}' % self.code)

    def _answer(self, body: bytes) -> None:
        self.close_connection = True
        self.connection.sendall(b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n" + body)

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@pytest.fixture
def door() -> Iterator[Docker]:
    """Give the door to such a daemon."""
    with ThreadingHTTPServer(("127.0.0.1", 0), Daemon) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        with Docker(DockerClient(f"tcp://127.0.0.1:{server.server_port}", version="1.41")) as made:
            yield made
        server.shutdown()


def test_nothing_is_lost_of_what_a_program_wrote_before_anybody_read_it(door: Docker) -> None:
    assert door.execute("node", ["cat", "file"]) == SAID.decode()


def test_a_program_that_failed_is_told_of_with_what_it_complained_of(
    door: Docker, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Daemon, "code", 3)
    with pytest.raises(UnavailableError, match="ended with exit code 3") as told:
        door.execute("node", ["cat", "file"])
    assert told.value.why == COMPLAINED.decode()
