"""Argo CD's repo-server by itself, in a state folder that lies deep."""

from __future__ import annotations

import os
import socket
import ssl
from collections.abc import Iterator
from pathlib import Path

import pytest

from sandbox.components.base import Context
from sandbox.core.commands import CommandError, run
from sandbox.core.ports import LOOPBACK
from tests.integration.components.conftest import Bring


@pytest.fixture
def repo_server(brought_up: Bring, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Context]:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "a folder with spaces" / ("deep" * 25)))
    with brought_up("argocd-repo-server", tools=("argocd", "kustomize", "helm")) as context:
        yield context


def test_it_serves_and_hands_credentials_to_git_in_a_folder_of_any_depth(repo_server: Context) -> None:
    assert len(str(repo_server.folder)) > 108
    name = f"@gitops-sandbox-{repo_server.run_id}-argocd-repo-server"
    with socket.socket(socket.AF_UNIX) as connection:
        connection.connect("\0" + name[1:])
    # The program that git asks reaches the server, which knows of no such request.
    environment = {
        "PATH": os.defpath,
        "ARGOCD_BINARY_NAME": "argocd-git-ask-pass",
        "ARGOCD_ASK_PASS_SOCK": name,
        "ARGOCD_GIT_ASKPASS_NONCE": "none",
    }
    with pytest.raises(CommandError) as caught:
        run([repo_server.tools["argocd"].binary(), "Username"], timeout=30, env=environment)
    assert "unknown nonce" in caught.value.why


def is_let_in(context: Context, user: str | None) -> bool:
    """Whether the server lets a client with this certificate in."""
    tls = ssl.create_default_context(cafile=str(context.pki("argocd-ca.crt")))
    tls.set_alpn_protocols(["h2"])
    if user is not None:
        tls.load_cert_chain(context.pki(f"{user}.crt"), context.pki(f"{user}.key"))
    with socket.create_connection((LOOPBACK, context.ports["argocd-repo-server"]), timeout=10) as connection:
        try:
            with tls.wrap_socket(connection, server_hostname=LOOPBACK) as server:
                # In TLS 1.3 a client is told later that its certificate was refused; HTTP/2's server speaks first.
                return bool(server.recv(1))
        except (ssl.SSLError, ConnectionError):
            return False


def test_only_holders_of_a_certificate_of_argo_cds_own_authority_speak_to_it(repo_server: Context) -> None:
    assert is_let_in(repo_server, "argocd-client")
    for user in (None, "admin", "probe", "etcd", "argocd-server"):
        assert not is_let_in(repo_server, user)
