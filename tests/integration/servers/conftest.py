"""A Git server with two repositories, three credentials and one receiver of webhooks."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from sandbox.servers.repositories import create_repository
from tests.integration.servers.support import PASSWORDS, GitClient, Receiver, free_port, running

SECRET = "a-webhook-secret"


@dataclass
class RunningGit:
    """The server under test and what a test needs of it."""

    process: subprocess.Popen[bytes]
    port: int
    root: Path
    deliveries: Path
    log: Path
    client: GitClient
    receiver: Receiver

    @property
    def url(self) -> str:
        """The server's URL."""
        return self.client.url


@pytest.fixture
def git_server(tmp_path: Path) -> Iterator[RunningGit]:
    port, receiver = free_port(), Receiver(free_port())
    root, deliveries = tmp_path / "repositories", tmp_path / "deliveries.jsonl"
    for name in ("core/environment", "core/greeter"):
        create_repository(root, name)
    url = f"http://127.0.0.1:{port}"
    configuration = {
        "host": "127.0.0.1",
        "port": port,
        "root": str(root),
        "public_url": url,
        "users": {
            "argocd": {"password": PASSWORDS["argocd"], "read": ["*"], "write": []},
            "ci": {"password": PASSWORDS["ci"], "read": ["*"], "write": ["*/environment"]},
            "developer": {"password": PASSWORDS["developer"], "read": ["*"], "write": ["*"]},
        },
        "webhooks": [{"url": receiver.url, "secret": SECRET, "repositories": ["*"], "ca_file": None}],
        "deliveries": str(deliveries),
    }
    clients = tmp_path / "clients"
    clients.mkdir()
    with running("git_http", configuration, tmp_path) as process:
        yield RunningGit(process, port, root, deliveries, tmp_path / "git_http.log", GitClient(url, clients), receiver)
