"""Every door of a sandbox: it stands open on loopback only, and to nobody without the right key."""

from __future__ import annotations

import hashlib
import hmac
import http.client
import ipaddress
import json
import re
import socket
import ssl
import sys
from pathlib import Path
from typing import Any

import pytest
import requests

from sandbox.core.commands import CommandError, run
from sandbox.core.ports import LOOPBACK
from sandbox.servers.repositories import create_repository
from tests.e2e.support import User, git_account

NAME = "doors"
SECONDS = 10.0

pytestmark = pytest.mark.timeout(300)


@pytest.fixture(scope="module")
def status(user: User) -> dict[str, Any]:
    up = user.ok("up", "--name", NAME)
    for repository in ("doors/environment", "doors/source"):
        create_repository(Path(up["state_dir"]) / "git", repository)
    return up


@pytest.fixture(scope="module")
def ports(user: User, status: dict[str, Any]) -> dict[str, int]:
    del status
    return user.ports()[NAME]


@pytest.fixture
def undisturbed(user: User, status: dict[str, Any]) -> Any:
    """Demand that no component was restarted by what a test did."""
    before = {each["name"]: each["restarts"] for each in status["components"]}
    yield
    after = user.wait_until_up(NAME)
    assert {each["name"]: each["restarts"] for each in after["components"]} == before


def listeners(table: str) -> dict[str, tuple[ipaddress.IPv4Address | ipaddress.IPv6Address, int]]:
    """Read the sockets of a table of /proc/net that wait for somebody: inode to address and port (proc(5))."""
    found = {}
    for line in Path(f"/proc/net/{table}").read_text().splitlines()[1:]:
        fields = line.split()
        place, state, inode = fields[1], fields[3], fields[9]
        # LISTEN for TCP, and a UDP socket that is connected to nobody.
        if state != ("0A" if table.startswith("tcp") else "07"):
            continue
        address, _, port = place.partition(":")
        words = [int(address[at : at + 8], 16).to_bytes(4, sys.byteorder) for at in range(0, len(address), 8)]
        found[inode] = (ipaddress.ip_address(b"".join(words)), int(port, 16))
    return found


def test_whatever_listens_listens_on_loopback_only(user: User, status: dict[str, Any], ports: dict[str, int]) -> None:
    del status
    known = {inode: place for table in ("tcp", "tcp6", "udp", "udp6") for inode, place in listeners(table).items()}
    seen: dict[int, str] = {}
    elsewhere = []
    for process in user.processes():
        for descriptor in Path(f"/proc/{process.pid}/fd").iterdir():
            held = re.fullmatch(r"socket:\[(\d+)\]", str(descriptor.readlink()))
            if held and held[1] in known:
                address, port = known[held[1]]
                seen[port] = str(address)
                if str(address) != LOOPBACK:
                    elsewhere.append(f"{Path(f'/proc/{process.pid}/comm').read_text().strip()}: {address}:{port}")
    assert not elsewhere
    assert set(seen) >= {ports[name] for name in ("etcd", "apiserver", "redis", "registry", "git-server")}
    assert set(seen) <= set(ports.values()), "something listens on a port that is not leased"


def tls_answer(port: int, question: bytes, certificate: Path | None = None) -> bytes:
    """Speak to a TLS server, with a client certificate or none, and give the first of what it answers."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    context.set_alpn_protocols(["h2", "http/1.1"] if question.startswith(b"PRI") else ["http/1.1"])
    if certificate is not None:
        context.load_cert_chain(certificate, certificate.with_suffix(".key"))
    with (
        socket.create_connection((LOOPBACK, port), timeout=SECONDS) as plain,
        context.wrap_socket(plain) as connection,
    ):
        connection.sendall(question)
        # With TLS 1.3 a server refuses a client's certificate only after the handshake, in the first answer.
        return connection.recv(4096)


HTTP = b"GET /health HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"
HTTP2 = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\x00\x00\x00\x04\x00\x00\x00\x00\x00"


@pytest.mark.parametrize(
    ("door", "question", "right", "wrong"),
    [
        ("etcd", HTTP, "apiserver-etcd-client", [None, "admin", "argocd-client"]),
        ("etcd-peer", HTTP, "etcd", [None, "admin", "argocd-client"]),
        ("argocd-repo-server", HTTP2, "argocd-client", [None, "admin", "apiserver-etcd-client"]),
    ],
)
def test_a_door_between_components_opens_to_the_right_certificate_only(
    status: dict[str, Any], ports: dict[str, int], door: str, question: bytes, right: str, wrong: list[str | None]
) -> None:
    pki = Path(status["state_dir"]) / "pki"
    assert tls_answer(ports[door], question, pki / f"{right}.crt")
    for name in wrong:
        with pytest.raises((ssl.SSLError, ConnectionError)):
            tls_answer(ports[door], question, pki / f"{name}.crt" if name else None)


def test_the_cache_answers_nobody_without_the_password(ports: dict[str, int]) -> None:
    for question in (b"PING\r\n", b"AUTH wrong\r\n", b"KEYS *\r\n", b"CONFIG GET requirepass\r\n"):
        with socket.create_connection((LOOPBACK, ports["redis"]), timeout=SECONDS) as connection:
            connection.sendall(question)
            assert connection.recv(100).startswith((b"-NOAUTH", b"-WRONGPASS"))


@pytest.mark.parametrize("path", ["/api", "/api/v1/secrets", "/version", "/metrics", "/openapi/v2"])
def test_the_api_server_answers_nobody_without_an_identity(
    status: dict[str, Any], ports: dict[str, int], path: str
) -> None:
    authority = str(Path(status["state_dir"]) / "pki" / "ca.crt")
    for headers in ({}, {"Authorization": "Bearer nonsense"}, {"Authorization": "Basic YWRtaW46YWRtaW4="}):
        answer = requests.get(
            f"https://{LOOPBACK}:{ports['apiserver']}{path}", headers=headers, verify=authority, timeout=SECONDS
        )
        assert answer.status_code == 401, answer.text


@pytest.mark.parametrize("path", ["/v2/", "/v2/_catalog"])
def test_the_registry_answers_nobody_without_the_password(status: dict[str, Any], path: str) -> None:
    for account in (None, ("gitops-ci-bot", "wrong"), ("admin", "")):
        answer = requests.get(status["registry"]["url"] + path, auth=account, timeout=SECONDS)
        assert answer.status_code == 401, answer.text


def test_argocd_answers_nobody_without_a_login(status: dict[str, Any]) -> None:
    place = status["argocd"]
    for path in ("applications", "repositories", "clusters", "projects", "settings/clusters", "account"):
        answer = requests.get(f"{place['url']}/api/v1/{path}", verify=place["ca_file"], timeout=SECONDS)
        assert answer.status_code in {401, 404}, f"{path}: {answer.text}"
    login = {"username": place["username"], "password": "wrong"}
    answer = requests.post(f"{place['url']}/api/v1/session", json=login, verify=place["ca_file"], timeout=SECONDS)
    assert answer.status_code == 401, answer.text


PUSH = {"ref": "refs/heads/main", "repository": {"html_url": "http://127.0.0.1/doors/environment"}, "commits": []}
BODY = json.dumps(PUSH).encode()


def github(body: bytes, secret: bytes) -> dict[str, str]:
    signature = hmac.new(secret, body, hashlib.sha256).hexdigest()
    return {"X-GitHub-Event": "push", "X-Hub-Signature-256": f"sha256={signature}"}


@pytest.mark.usefixtures("undisturbed")
@pytest.mark.parametrize("receiver", ["argocd-server", "ci-runner"])
@pytest.mark.parametrize(
    ("body", "headers"),
    [
        (BODY, github(BODY, b"wrong")),
        (BODY, {"X-GitHub-Event": "push"}),
        (BODY, {"X-GitHub-Event": "push", "X-Hub-Signature-256": "sha256="}),
        (BODY, {"X-Gogs-Event": "push"}),
        (BODY, {"X-Gogs-Event": "push", "X-GitHub-Event": "push", "X-Hub-Signature-256": "sha256=00"}),
        (BODY, {}),
    ],
    ids=["wrong signature", "no signature", "empty signature", "as Gogs", "as both", "as nobody"],
)
def test_a_push_event_without_the_right_signature_is_refused(
    status: dict[str, Any], ports: dict[str, int], receiver: str, body: bytes, headers: dict[str, str]
) -> None:
    assert 400 <= post_event(status, ports, receiver, body, headers) < 500


@pytest.mark.usefixtures("undisturbed")
@pytest.mark.parametrize(("receiver", "secret"), [("argocd-server", "webhook-argocd"), ("ci-runner", "webhook-ci")])
@pytest.mark.parametrize(
    "body",
    [b"{", b"[]", b"\x00\xff", b'{"ref": 7}', b'{"commits": [{"added": 3}]}', b" " * (2 << 20), b"[" * (51 << 20)],
    ids=["cut off", "a list", "binary", "a number for a ref", "a number for files", "2 MB", "51 MB"],
)
def test_a_malformed_or_oversized_push_event_changes_nothing_even_if_it_is_signed(
    status: dict[str, Any], ports: dict[str, int], receiver: str, secret: str, body: bytes
) -> None:
    key = (Path(status["state_dir"]) / "secrets" / secret).read_bytes()
    code = post_event(status, ports, receiver, body, github(body, key))
    assert code == 0 or 400 <= code < 500 or (receiver == "argocd-server" and code == 200 and len(body) < 100)


def post_event(
    status: dict[str, Any], ports: dict[str, int], receiver: str, body: bytes, headers: dict[str, str]
) -> int:
    """Send an event and give the status of the answer; 0 when the receiver hung up."""
    scheme = "https" if receiver == "argocd-server" else "http"
    try:
        return requests.post(
            f"{scheme}://{LOOPBACK}:{ports[receiver]}/api/webhook",
            data=body,
            headers={"Content-Type": "application/json", **headers},
            verify=status["argocd"]["ca_file"],
            timeout=60.0,
        ).status_code
    except requests.ConnectionError:
        return 0


def push(status: dict[str, Any], repository: str, user: str, secret: str, scratch: Path, ref: str = "main") -> str:
    """Push a commit under an account, and give what the server said."""
    account = {"url": status["git"]["url"], "user": user, "password_file": f"{status['state_dir']}/secrets/{secret}"}
    environment = {**git_account({"git": account}, scratch), "HOME": str(scratch)}
    work = scratch / "work"
    if not work.exists():
        run(["git", "init", "--quiet", "--initial-branch=main", work], timeout=30, env=environment)
        identity = ["-c", "user.name=Mallory", "-c", "user.email=mallory@example.com"]
        commit = ["commit", "--quiet", "--allow-empty", "--message=Try"]
        run(["git", "-C", work, *identity, *commit], timeout=30, env=environment)
    url = f"{account['url']}/{repository}.git"
    return run(["git", "-C", work, "push", "--force", url, f"main:refs/heads/{ref}"], timeout=30, env=environment)


@pytest.mark.parametrize(
    ("name", "secret", "allowed"),
    [
        ("argocd", "git-argocd", set()),
        ("gitops-ci-bot", "git-ci", {"doors/environment"}),
        ("developer", "git-developer", {"doors/environment", "doors/source"}),
    ],
)
def test_each_git_account_may_push_only_what_its_role_needs(
    status: dict[str, Any], tmp_path: Path, name: str, secret: str, allowed: set[str]
) -> None:
    for repository in ("doors/environment", "doors/source"):
        if repository in allowed:
            push(status, repository, name, secret, tmp_path, ref=name)
            continue
        with pytest.raises(CommandError, match="403"):
            push(status, repository, name, secret, tmp_path)


def test_the_password_of_one_account_opens_no_other(status: dict[str, Any], tmp_path: Path) -> None:
    with pytest.raises(CommandError, match="Authentication failed"):
        push(status, "doors/source", "developer", "git-ci", tmp_path)


def hooks_of(status: dict[str, Any]) -> dict[str, bytes]:
    places = [place for place in Path(status["state_dir"]).glob("**/*hooks*") if place.is_dir()]
    return {str(path): path.read_bytes() for place in places for path in place.rglob("*") if path.is_file()}


def test_hooks_can_not_be_written_over_git(status: dict[str, Any], tmp_path: Path) -> None:
    before = hooks_of(status)
    for ref in ("../../hooks/post-receive", "../hooks/post-receive", "..", "a/../../../hooks/update"):
        with pytest.raises(CommandError):
            push(status, "doors/source", "developer", "git-developer", tmp_path, ref=ref)
    password = Path(status["git"]["password_file"]).read_text()
    for method in ("PUT", "POST", "PROPFIND", "MKCOL"):
        for path in ("hooks/post-receive", "hooks", "config", "objects/info/alternates"):
            answer = requests.request(
                method,
                f"{status['git']['url']}/doors/source.git/{path}",
                data=b"#!/bin/sh\n",
                auth=("developer", password),
                timeout=SECONDS,
            )
            assert answer.status_code in {404, 405}, f"{method} {path}"
    assert hooks_of(status) == before


@pytest.mark.parametrize(
    "path",
    [
        "/../../../etc/passwd",
        "/doors/../doors/source.git/info/refs?service=git-upload-pack",
        "/doors/source.git/../../secrets/git-ci",
        "/doors/source.git/%2e%2e/%2e%2e/secrets/git-ci",
        "/%2e%2e/secrets/x.git/info/refs?service=git-upload-pack",
        "/..%2fgit%2fdoors/source.git/info/refs?service=git-upload-pack",
        "//etc/passwd.git/info/refs?service=git-upload-pack",
        "/doors/source.git/config",
        "/doors/source.git/HEAD",
        "/--upload-pack=touch.git/info/refs?service=git-upload-pack",
        "/doors/source.git/info/refs?service=git-upload-archive",
        "/doors/source.git/info/refs?service=--help",
    ],
)
def test_a_path_that_leaves_the_repositories_is_not_there(status: dict[str, Any], path: str) -> None:
    account = requests.auth._basic_auth_str("developer", Path(status["git"]["password_file"]).read_text())
    # Sent as it stands: a client library would tidy it up.
    connection = http.client.HTTPConnection(status["git"]["url"].removeprefix("http://"), timeout=SECONDS)
    connection.putrequest("GET", path, skip_host=False)
    connection.putheader("Authorization", account)
    connection.endheaders()
    answer = connection.getresponse()
    body = answer.read()
    connection.close()
    assert answer.status in {400, 404}, body
    assert b"root:" not in body
