from __future__ import annotations

import http.server
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

import pytest


@dataclass
class Server:
    """A real HTTP server on loopback. ``answers`` maps paths to what writes the answer."""

    url: str
    answers: dict[str, Callable[[http.server.BaseHTTPRequestHandler], None]]
    asked: list[str] = field(default_factory=list)
    # Set when the test is over: a handler that stalls ends then.
    over: threading.Event = field(default_factory=threading.Event)

    def serve(self, path: str, content: bytes, *, announced: int | None = None) -> str:
        """Serve bytes, announcing their length or another one, and give the URL."""

        def answer(handler: http.server.BaseHTTPRequestHandler) -> None:
            handler.send_response(200)
            handler.send_header("Content-Length", str(len(content) if announced is None else announced))
            handler.end_headers()
            handler.wfile.write(content)

        self.answers[path] = answer
        return self.url + path

    def stall(self, path: str, content: bytes) -> str:
        """Serve half of the bytes and then nothing, with the connection kept open."""

        def answer(handler: http.server.BaseHTTPRequestHandler) -> None:
            handler.send_response(200)
            handler.send_header("Content-Length", str(len(content)))
            handler.end_headers()
            handler.wfile.write(content[: len(content) // 2])
            handler.wfile.flush()
            self.over.wait(30)

        self.answers[path] = answer
        return self.url + path


@pytest.fixture
def server() -> Iterator[Server]:
    """Run a server for one test."""

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            running.asked.append(self.path)
            answer = running.answers.get(self.path)
            if answer:
                answer(self)
            else:
                self.send_error(404)

        def do_HEAD(self) -> None:
            running.asked.append(f"HEAD {self.path}")
            self.send_error(404)

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the name is the library's
            """Say nothing."""

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as listener:
        running = Server(f"http://127.0.0.1:{listener.server_port}", {})
        thread = threading.Thread(target=listener.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        yield running
        running.over.set()
        listener.shutdown()
        thread.join(10)
