"""How often an API server is asked that gives no answer."""

from __future__ import annotations

import http.server
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from sandbox.core.errors import UnavailableError
from sandbox.kube.api import KubeApi
from tests.unit.kube.clusters import kubeconfig, running


class Server(http.server.ThreadingHTTPServer):
    """Gives the answers that it is given, by their status; hangs up for one that is 0."""

    def __init__(self, *answers: int) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.answers = list(answers)
        self.asked = 0


class _Handler(http.server.BaseHTTPRequestHandler):
    server: Server

    def do_GET(self) -> None:
        self.server.asked += 1
        status = self.server.answers.pop(0)
        if status:
            self.send_response(status)
            self.send_header("Retry-After", "0")
            self.send_header("Content-Length", "0")
            self.end_headers()
        else:
            self.close_connection = True

    def log_message(self, *_: object) -> None:
        pass


@contextmanager
def asked(folder: Path, server: Server) -> Iterator[KubeApi]:
    with running(server) as address:
        api = KubeApi(kubeconfig(folder / "kubeconfig", address))
        yield api
        api.close()


def test_a_server_that_hangs_up_is_asked_once_more_for_a_connection_may_have_been_an_old_one(tmp_path: Path) -> None:
    server = Server(0, 200)
    with asked(tmp_path, server) as api:
        assert api.text("/readyz") == ""
    assert server.asked == 2


def test_a_server_that_goes_on_hanging_up_is_left_to_those_who_wait_for_it(tmp_path: Path) -> None:
    server = Server(0, 0, 200)
    with asked(tmp_path, server) as api, pytest.raises(UnavailableError, match="does not answer"):
        api.text("/readyz")
    assert server.asked == 2


def test_a_server_that_has_too_much_to_do_is_asked_again_when_it_says(tmp_path: Path) -> None:
    server = Server(429, 429, 200)
    with asked(tmp_path, server) as api:
        assert api.text("/api") == ""
    assert server.asked == 3
