"""An internet that is a folder with a chart in it, and the proxy that leads there."""

from __future__ import annotations

import http.server
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

from sandbox.core.commands import run
from tests.e2e.support import tool

__all__ = ["HOST", "Proxy", "leading_to", "publish_chart"]

HOST = "charts.example.test"


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


@contextmanager
def leading_to(internet: Path, address: str = "127.0.0.1") -> Iterator[Proxy]:
    """Run a proxy to a folder, on a port of an address of this machine."""

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

    with http.server.ThreadingHTTPServer((address, 0), Handler) as server:
        one = Proxy(f"http://{address}:{server.server_address[1]}", internet)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield one
        server.shutdown()


def publish_chart(internet: Path, scratch: Path) -> None:
    """Have that internet offer the chart "far", version 1.0.0, whose one object is a ConfigMap "it"."""
    chart = scratch / "chart"
    (chart / "templates").mkdir(parents=True)
    (chart / "Chart.yaml").write_text("apiVersion: v2\nname: far\nversion: 1.0.0\n")
    (chart / "templates" / "it.yaml").write_text("apiVersion: v1\nkind: ConfigMap\nmetadata: {name: it}\n")
    run([tool("helm"), "package", chart, "--destination", internet], timeout=60)
    run([tool("helm"), "repo", "index", internet, "--url", f"http://{HOST}"], timeout=60)
