from __future__ import annotations

import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from sandbox.containers.docker import connect
from sandbox.core.errors import UnavailableError


class Daemon(BaseHTTPRequestHandler):
    """A daemon that answers to a ping alone, and remembers what it was asked."""

    code = 200
    asked: list[str]

    def do_GET(self) -> None:
        """Answer to a ping."""
        self.asked.append(self.path)
        self.send_response(self.code if self.path == "/_ping" else 500)
        self.send_header("API-Version", "1.41")
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[str]]:
    """Have such a daemon be the user's, and give what it is asked."""
    monkeypatch.setattr(Daemon, "asked", [], raising=False)
    with ThreadingHTTPServer(("127.0.0.1", 0), Daemon) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        monkeypatch.setenv("DOCKER_HOST", f"tcp://127.0.0.1:{server.server_port}")
        yield Daemon.asked
        server.shutdown()


def test_a_daemon_is_asked_for_nothing_that_has_it_start_programs(asked: list[str]) -> None:
    connect().close()
    assert asked == ["/_ping"]


def test_one_that_does_not_answer_well_is_refused(asked: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Daemon, "code", 503)
    with pytest.raises(UnavailableError, match="Docker does not answer") as told:
        connect()
    assert asked == ["/_ping"]
    assert "503" in told.value.why
