"""Behind a proxy: what lies in the internet comes through it, and what goes to the sandbox's own servers never does."""

from __future__ import annotations

import http.server
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from sandbox.core.commands import run
from tests.e2e.support import BEHIND_A_PROXY, User, tool
from tests.own_repositories import UserRepository

HOST = "charts.example.test"

pytestmark = pytest.mark.timeout(300)


@dataclass
class Proxy:
    """A proxy to an internet that is a folder.

    Attributes:
        url: Its own.
        internet: What the one host of that internet has.
        asked: Where it was to lead to, host by host.
    """

    url: str
    internet: Path
    asked: set[str] = field(default_factory=set)


@pytest.fixture
def proxy(tmp_path: Path) -> Iterator[Proxy]:
    internet = tmp_path / "internet"
    internet.mkdir()

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            url = urlsplit(self.path)
            file = internet / url.path.lstrip("/")
            if url.hostname != HOST or not file.is_file():
                self.send_error(502)
                return
            self.send_response(200)
            self.end_headers()
            self.wfile.write(file.read_bytes())

        def log_request(self, *_: object) -> None:
            # Whatever is asked for, a tunnel (CONNECT) too, which is refused.
            one.asked.add(urlsplit(self.path).hostname or self.path)

        def log_message(self, *_: object) -> None:
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        one = Proxy(f"http://127.0.0.1:{server.server_address[1]}", internet)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield one
        server.shutdown()


def test_a_chart_comes_through_the_users_proxy_which_is_asked_for_nothing_of_the_sandboxs(
    user: User, proxy: Proxy, tmp_path: Path
) -> None:
    chart = tmp_path / "chart"
    (chart / "templates").mkdir(parents=True)
    (chart / "Chart.yaml").write_text("apiVersion: v2\nname: far\nversion: 1.0.0\n")
    (chart / "templates" / "it.yaml").write_text("apiVersion: v1\nkind: ConfigMap\nmetadata: {name: it}\n")
    run([tool("helm"), "package", chart, "--destination", proxy.internet], timeout=60)
    run([tool("helm"), "repo", "index", proxy.internet, "--url", f"http://{HOST}"], timeout=60)
    needs = f'dependencies: [{{name: far, version: 1.0.0, repository: "http://{HOST}"}}]\n'
    own = UserRepository(tmp_path / "own")
    own.write({"app/Chart.yaml": f"apiVersion: v2\nname: near\nversion: 1.0.0\n{needs}"}).commit()
    behind = {name: proxy.url if value else "" for name, value in BEHIND_A_PROXY.items()}
    outcome = replace(user, changes=behind).run("check", str(own.folder), "--json")
    assert outcome.code == 0, outcome
    assert proxy.asked == {HOST}
