"""Clusters for tests: a kubeconfig that leads to a server, and a server that runs."""

from __future__ import annotations

import http.server
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import yaml

__all__ = ["kubeconfig", "running"]


def kubeconfig(path: Path, server: str, **cluster: str) -> Path:
    """Write a kubeconfig whose only context leads to a server; ``cluster`` is what else it says of the way there."""
    config = {
        "apiVersion": "v1",
        "kind": "Config",
        "current-context": "only",
        "contexts": [{"name": "only", "context": {"cluster": "only", "user": "only"}}],
        "clusters": [{"name": "only", "cluster": {"server": server, **cluster}}],
        "users": [{"name": "only", "user": {}}],
    }
    path.write_text(yaml.safe_dump(config))
    return path


@contextmanager
def running(server: http.server.HTTPServer) -> Iterator[str]:
    """Run a server of 127.0.0.1; give its address."""
    with server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_address[1]}"
        server.shutdown()
