from __future__ import annotations

import asyncio
import hashlib
import hmac
import ssl
from datetime import UTC, datetime, timedelta
from ipaddress import IPv4Address
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from sandbox.core.conditions import Deadline, met, pending, wait_for
from sandbox.servers.deliveries import Deliveries, Event
from sandbox.servers.git_settings import Webhook
from tests.integration.servers.conftest import SECRET, RunningGit
from tests.integration.servers.support import Received, Receiver, attempts, free_port


def push(git: RunningGit, work: Path, *words: str) -> None:
    git.client.run("developer", "push", "--quiet", *words, cwd=work)


def body(received: Received) -> dict[str, Any]:
    return received.event


def test_a_push_is_announced_as_github_would_and_signed(git_server: RunningGit) -> None:
    work = git_server.client.clone("developer", "core/environment", "work")
    first = git_server.client.commit(work, {"apps/a.yaml": "a\n", "apps/b.yaml": "b\n"})
    with git_server.receiver.listening() as receiver:
        push(git_server, work, "origin", "HEAD:main")
        (work / "apps/b.yaml").unlink()
        second = git_server.client.commit(work, {"apps/a.yaml": "A\n", "apps/ü c.yaml": "c\n"}, "Two\n\nWith a body")
        push(git_server, work, "origin", "HEAD:main")
        created, updated = receiver.wait(2)

    signature = "sha256=" + hmac.new(SECRET.encode(), updated.body, hashlib.sha256).hexdigest()
    assert updated.headers["X-Hub-Signature-256"] == signature
    assert updated.headers["X-GitHub-Event"] == "push"
    assert body(created)["created"] is True
    assert body(created)["after"] == first
    event = body(updated)
    assert (event["ref"], event["before"], event["after"]) == ("refs/heads/main", first, second)
    assert (event["created"], event["deleted"], event["forced"]) == (False, False, False)
    assert event["repository"]["html_url"] == f"{git_server.url}/core/environment"
    assert event["repository"]["clone_url"] == f"{git_server.url}/core/environment.git"
    assert event["repository"]["default_branch"] == "main"
    assert event["pusher"]["name"] == "developer"
    (commit,) = event["commits"]
    assert commit["message"] == "Two\n\nWith a body"
    assert (commit["added"], commit["modified"], commit["removed"]) == (
        ["apps/ü c.yaml"],
        ["apps/a.yaml"],
        ["apps/b.yaml"],
    )
    assert event["head_commit"]["id"] == second


def test_a_forced_push_names_no_files_so_that_every_receiver_looks_for_itself(git_server: RunningGit) -> None:
    work = git_server.client.clone("developer", "core/environment", "work")
    with git_server.receiver.listening() as receiver:
        git_server.client.commit(work, {"a": "1\n"})
        push(git_server, work, "origin", "HEAD:main")
        git_server.client.run("developer", "commit", "--quiet", "--amend", "--message", "Anew", cwd=work)
        push(git_server, work, "--force", "origin", "HEAD:main")
        _, forced = receiver.wait(2)

    event = body(forced)
    assert event["forced"] is True
    assert [commit["message"] for commit in event["commits"]] == ["Anew"]
    assert event["commits"][0]["added"] == []


def test_each_ref_of_a_push_is_an_event_and_a_deletion_is_one(git_server: RunningGit) -> None:
    work = git_server.client.clone("developer", "core/environment", "work")
    git_server.client.commit(work, {"a": "1\n"})
    git_server.client.run("developer", "tag", "--annotate", "--message", "One", "v1", cwd=work)
    with git_server.receiver.listening() as receiver:
        push(git_server, work, "origin", "HEAD:main", "HEAD:feature/x", "v1")
        push(git_server, work, "origin", ":feature/x")
        events = [body(received) for received in receiver.wait(4)]

    assert sorted(str(event["ref"]) for event in events[:3]) == [
        "refs/heads/feature/x",
        "refs/heads/main",
        "refs/tags/v1",
    ]
    assert (events[3]["ref"], events[3]["deleted"]) == ("refs/heads/feature/x", True)


def test_a_receiver_that_is_down_for_a_while_still_gets_the_event(git_server: RunningGit) -> None:
    work = git_server.client.clone("developer", "core/environment", "work")
    commit = git_server.client.commit(work, {"a": "1\n"})
    push(git_server, work, "origin", "HEAD:main")
    wait_for(
        lambda: met() if len(attempts(git_server.deliveries)) > 2 else pending("too few attempts"),
        Deadline.after(10),
        wanted="some attempts in vain",
    )

    with git_server.receiver.listening() as receiver:
        (received,) = receiver.wait(1)
        wait_for(
            lambda: met() if attempts(git_server.deliveries)[-1]["delivered"] else pending("not yet recorded"),
            Deadline.after(5),
            wanted="the delivery is recorded",
        )

    assert body(received)["after"] == commit
    lines = attempts(git_server.deliveries)
    assert [line["attempt"] for line in lines] == list(range(1, len(lines) + 1))
    assert [line["delivered"] for line in lines] == [False] * (len(lines) - 1) + [True]
    assert {line["delivery"] for line in lines} == {received.headers["X-GitHub-Delivery"]}
    assert SECRET not in git_server.deliveries.read_text()
    assert SECRET not in git_server.log.read_text()


def test_a_receiver_that_fails_is_asked_again(git_server: RunningGit) -> None:
    git_server.receiver.status = 503
    work = git_server.client.clone("developer", "core/environment", "work")
    with git_server.receiver.listening() as receiver:
        git_server.client.commit(work, {"a": "1\n"})
        push(git_server, work, "origin", "HEAD:main")
        receiver.wait(2)
        git_server.receiver.status = 200
        wait_for(
            lambda: met() if attempts(git_server.deliveries)[-1]["delivered"] else pending("not yet"),
            Deadline.after(5),
            wanted="the event is delivered",
        )

    assert attempts(git_server.deliveries)[0]["status"] == 503


@pytest.mark.parametrize("trusted", [True, False])
def test_an_event_goes_over_tls_to_a_receiver_of_the_given_authority_only(tmp_path: Path, *, trusted: bool) -> None:
    certificate, other = (certify(tmp_path / name) for name in ("receiver", "other"))
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    tls.load_cert_chain(certificate, certificate.with_suffix(".key"))
    receiver, record = Receiver(free_port(), tls=tls), tmp_path / "deliveries.jsonl"
    webhook = Webhook(receiver.url, SECRET, ca_file=certificate if trusted else other)

    async def deliver() -> None:
        async with Deliveries((webhook,), record, seconds=0.2) as deliveries:
            deliveries.send(Event("core/environment", "refs/heads/main", "a" * 40, b"{}", 0.0))
            async with asyncio.timeout(5):
                await asyncio.gather(*deliveries._tasks)

    with receiver.listening():
        asyncio.run(deliver())

    assert [bool(line["delivered"]) for line in attempts(record)][-1] is trusted
    assert len(receiver.got) == int(trusted)
    if not trusted:
        assert "certificate verify failed" in str(attempts(record)[0]["error"])


def certify(path: Path) -> Path:
    """Write a certificate for 127.0.0.1 that is its own authority, and its key beside it."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, path.name)])
    now = datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(hours=1))
        .not_valid_after(now + timedelta(hours=1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(IPv4Address("127.0.0.1"))]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    pem = serialization.Encoding.PEM
    plain = serialization.NoEncryption()
    path.with_suffix(".key").write_bytes(key.private_bytes(pem, serialization.PrivateFormat.PKCS8, plain))
    path.with_suffix(".crt").write_bytes(certificate.public_bytes(pem))
    return path.with_suffix(".crt")


def test_a_refused_event_is_recorded_and_not_sent_again(git_server: RunningGit) -> None:
    git_server.receiver.status = 401
    work = git_server.client.clone("developer", "core/environment", "work")
    with git_server.receiver.listening() as receiver:
        git_server.client.commit(work, {"a": "1\n"})
        push(git_server, work, "origin", "HEAD:main")
        receiver.wait(1)
        git_server.receiver.status = 200
        git_server.client.commit(work, {"a": "2\n"})
        push(git_server, work, "origin", "HEAD:main")
        receiver.wait(2)
        wait_for(
            lambda: met() if len(attempts(git_server.deliveries)) == 2 else pending("not yet"),
            Deadline.after(5),
            wanted="both events are recorded",
        )

    assert [(line["status"], line["attempt"]) for line in attempts(git_server.deliveries)] == [(401, 1), (200, 1)]
