"""Which way a kubeconfig leads to its cluster, as kubectl tells it."""

from __future__ import annotations

import http.server
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from sandbox.kube.api import KubeApi
from tests.unit.kube.clusters import kubeconfig, running

PROXY = "http://127.0.0.1:9"


def _api(folder: Path, server: str, **cluster: str) -> KubeApi:
    return KubeApi(kubeconfig(folder / "kubeconfig", server, **cluster))


def _endpoint(folder: Path, server: str, **cluster: str) -> str:
    return _api(folder, server, **cluster).endpoint().proxy


@contextmanager
def _answering() -> Iterator[str]:
    """Run a server, or a proxy, that answers with what it was asked for; give its address."""

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            said = self.path.encode()
            self.send_response(200)
            self.send_header("Content-Length", str(len(said)))
            self.end_headers()
            self.wfile.write(said)

        def log_message(self, *_: object) -> None:
            pass

    with running(http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)) as address:
        yield address


@pytest.fixture(autouse=True)
def behind_a_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("HTTP_PROXY", "HTTPS_PROXY"):
        monkeypatch.setenv(name, PROXY)


@pytest.mark.parametrize("server", ["https://127.0.0.1:6443", "https://localhost:6443", "https://[::1]:6443"])
def test_a_proxy_of_the_environment_is_not_asked_for_this_machine(tmp_path: Path, server: str) -> None:
    assert _endpoint(tmp_path, server) == ""


def test_it_is_asked_for_any_other(tmp_path: Path) -> None:
    assert _endpoint(tmp_path, "https://cluster.test:6443") == PROXY


def test_one_that_the_file_names_is_asked_always(tmp_path: Path) -> None:
    assert (
        _endpoint(tmp_path, "https://127.0.0.1:6443", **{"proxy-url": "http://bastion.test"}) == "http://bastion.test"
    )


def test_an_api_server_below_a_path_is_asked_there(tmp_path: Path) -> None:
    with _answering() as address:
        api = _api(tmp_path, f"{address}/k8s/clusters/c-1/")
        assert api.text("/version") == "/k8s/clusters/c-1/version"
        api.close()


def test_a_proxy_is_asked_for_the_whole_url_of_a_server_without_tls(tmp_path: Path) -> None:
    with _answering() as proxy:
        api = _api(tmp_path, "http://cluster.test:8080", **{"proxy-url": proxy})
        assert api.text("/version") == "http://cluster.test:8080/version"
        api.close()
