from __future__ import annotations

import base64
import os
import socket
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import requests

from sandbox.core.conditions import Deadline, met, pending, wait_for
from sandbox.servers.repositories import create_repository
from tests.integration.servers.conftest import RunningGit
from tests.integration.servers.support import PASSWORDS, alive, descendants, mode

DEVELOPER = ("developer", PASSWORDS["developer"])


def seeded(git: RunningGit, repository: str = "core/environment") -> tuple[Path, str]:
    work = git.client.clone("developer", repository, "seed")
    commit = git.client.commit(work, {"README.md": "hello\n"})
    git.client.run("developer", "push", "--quiet", "origin", "HEAD:main", cwd=work)
    return work, commit


def test_what_a_developer_pushes_is_what_argo_cd_clones(git_server: RunningGit) -> None:
    _, commit = seeded(git_server)

    clone = git_server.client.clone("argocd", "core/environment", "clone")

    assert git_server.client.run("argocd", "rev-parse", "HEAD", cwd=clone).strip() == commit
    assert (clone / "README.md").read_text() == "hello\n"


@pytest.mark.parametrize(
    ("user", "repository", "allowed"),
    [
        ("argocd", "core/environment", False),
        ("argocd", "core/greeter", False),
        ("ci", "core/environment", True),
        ("ci", "core/greeter", False),
        ("developer", "core/greeter", True),
    ],
)
def test_a_push_needs_the_right_to_write(git_server: RunningGit, user: str, repository: str, *, allowed: bool) -> None:
    work = git_server.client.clone(user, repository, "work")
    git_server.client.commit(work, {"a": "a\n"})

    push = git_server.client.attempt(user, "push", "origin", "HEAD:main", cwd=work)

    assert (push.returncode == 0) is allowed, push.stdout
    if not allowed:
        assert f"remote: User '{user}' may read '{repository}' but not push to it" in push.stdout


def test_a_wrong_password_opens_nothing_and_is_not_repeated_in_the_log(git_server: RunningGit) -> None:
    attempt = git_server.client.attempt(
        "developer", "ls-remote", f"{git_server.url}/core/environment.git", password="wrong-canary"
    )

    assert attempt.returncode != 0
    assert "remote: A user and a password of this sandbox are needed." in attempt.stdout
    assert "wrong-canary" not in git_server.log.read_text()


def test_without_a_credential_there_is_not_even_a_name_to_learn(git_server: RunningGit) -> None:
    answers = [
        requests.get(f"{git_server.url}/{name}.git/info/refs?service=git-upload-pack", timeout=5)
        for name in ("core/environment", "core/none")
    ]

    assert [answer.status_code for answer in answers] == [401, 401]
    assert answers[0].headers["WWW-Authenticate"].startswith('Basic realm="gitops-sandbox"')
    assert answers[0].text == answers[1].text


@pytest.mark.parametrize(
    "path",
    [
        "/../etc/passwd",
        "/core/../../secret.git/info/refs?service=git-upload-pack",
        "/core/%2e%2e/%2e%2e/secret.git/info/refs?service=git-upload-pack",
        "/%2e%2e%2fsecret.git/info/refs?service=git-upload-pack",
        "/core/environment.git/config",
        "/core/environment.git/HEAD",
        "/core/environment.git/objects/info/packs",
        "/core/environment.git/info/refs",
        "/core/environment.git/info/refs?service=git-shell",
        "/core/environment.git/hooks/post-receive",
        "/core/none.git/info/refs?service=git-upload-pack",
        "/core/environment.git/info/refs?service=git-upload-pack%00",
    ],
)
def test_whatever_is_not_smart_http_on_a_known_repository_is_not_found(git_server: RunningGit, path: str) -> None:
    # Sent by hand: every HTTP library tidies the dots away before the server sees them.
    create_repository(git_server.root.parent, "secret")
    credential = base64.b64encode(":".join(DEVELOPER).encode()).decode()
    with socket.create_connection(("127.0.0.1", git_server.port), timeout=5) as connection:
        connection.sendall(
            f"GET {path} HTTP/1.1\r\nHost: x\r\nAuthorization: Basic {credential}\r\nConnection: close\r\n\r\n".encode()
        )
        answer = connection.makefile("rb").read()

    assert answer.split(b" ", 2)[1] in {b"404", b"400"}, answer
    assert b"root:" not in answer


def test_a_push_can_write_neither_hooks_nor_settings(git_server: RunningGit) -> None:
    work = git_server.client.clone("developer", "core/environment", "work")
    repository = git_server.root / "core/environment.git"
    before = (repository / "config").read_text()
    git_server.client.commit(work, {"hooks/post-receive": "#!/bin/sh\ntouch /tmp/owned\n", "config": "[core]\n"})

    pushes = [
        git_server.client.attempt("developer", "push", "origin", f"HEAD:{ref}", cwd=work)
        for ref in ("refs/heads/main", "refs/../hooks/post-receive", "refs/heads/../../hooks/post-receive")
    ]

    assert [push.returncode == 0 for push in pushes] == [True, False, False]
    assert (repository / "config").read_text() == before
    assert not (repository / "hooks").exists()
    hooks = git_server.root.with_name("repositories-hooks")
    assert mode(hooks) == 0o500
    assert mode(hooks / "post-receive") == 0o500


def test_a_hook_in_the_repository_itself_never_runs(git_server: RunningGit, tmp_path: Path) -> None:
    hook = git_server.root / "core/environment.git/hooks/post-receive"
    hook.parent.mkdir()
    hook.write_text(f"#!/bin/sh\ntouch {tmp_path}/ran\n")
    hook.chmod(0o700)
    git_server.client.run("developer", "config", "core.hooksPath", str(hook.parent), cwd=hook.parent.parent)

    seeded(git_server)

    assert not (tmp_path / "ran").exists()


def test_a_push_of_thirty_megabytes_arrives_and_is_cloned(git_server: RunningGit) -> None:
    work = git_server.client.clone("developer", "core/greeter", "work")
    big = os.urandom(30 * 1024 * 1024)
    (work / "big.bin").write_bytes(big)
    git_server.client.commit(work, {})

    git_server.client.run("developer", "push", "--quiet", "origin", "HEAD:main", cwd=work)

    clone = git_server.client.clone("argocd", "core/greeter", "clone")
    assert (clone / "big.bin").read_bytes() == big


def test_a_body_beyond_the_limit_is_refused_before_it_is_sent(git_server: RunningGit) -> None:
    with socket.create_connection(("127.0.0.1", git_server.port), timeout=5) as connection:
        credential = base64.b64encode(":".join(DEVELOPER).encode()).decode()
        connection.sendall(
            "POST /core/greeter.git/git-receive-pack HTTP/1.1\r\nHost: x\r\n"
            f"Authorization: Basic {credential}\r\nContent-Length: {600 * 1024 * 1024}\r\n\r\n".encode()
        )
        answer = connection.recv(4096)

    assert answer.startswith(b"HTTP/1.1 413 ")


def test_eight_clones_at_once_all_succeed(git_server: RunningGit) -> None:
    _, commit = seeded(git_server)

    with ThreadPoolExecutor(8) as pool:
        clones = list(pool.map(lambda n: git_server.client.clone("argocd", "core/environment", f"clone-{n}"), range(8)))

    heads = {git_server.client.run("argocd", "rev-parse", "HEAD", cwd=clone).strip() for clone in clones}
    assert heads == {commit}


def test_a_fetch_of_many_refs_with_a_compressed_request_succeeds(git_server: RunningGit) -> None:
    work, _ = seeded(git_server)
    for number in range(60):
        git_server.client.commit(work, {"n": f"{number}\n"})
        git_server.client.run("developer", "tag", f"v{number}", cwd=work)
    clone = git_server.client.clone("argocd", "core/environment", "clone")
    for number in range(40):
        git_server.client.commit(clone, {"m": f"{number}\n"})
    git_server.client.run("developer", "push", "--quiet", "--tags", "origin", "HEAD:main", cwd=work)

    fetched = git_server.client.attempt("argocd", "fetch", "--tags", "origin", cwd=clone)

    assert fetched.returncode == 0, fetched.stdout
    assert "v59" in git_server.client.run("argocd", "tag", cwd=clone)


def test_the_server_listens_on_loopback_only(git_server: RunningGit) -> None:
    listeners = [line.split()[1:4] for line in Path("/proc/net/tcp").read_text().splitlines()[1:]]
    mine = [local for local, _, state in listeners if state == "0A" and local.endswith(f":{git_server.port:04X}")]

    assert mine == [f"0100007F:{git_server.port:04X}"]


def test_nothing_that_is_written_is_for_other_users_even_at_umask_zero(git_server: RunningGit) -> None:
    old = os.umask(0)
    try:
        created = create_repository(git_server.root, "team/other")
    finally:
        os.umask(old)
    with git_server.receiver.listening():
        seeded(git_server)
        git_server.receiver.wait(1)

    assert mode(git_server.root) == 0o700
    assert mode(created) == 0o700
    assert mode(git_server.deliveries) == 0o600


def backends(git: RunningGit) -> list[int]:
    """Give the backends that run, of which there is at least one."""
    wait_for(
        lambda: met() if descendants(git.process.pid) else pending("none"), Deadline.after(5), wanted="a backend runs"
    )
    return descendants(git.process.pid)


def half_a_push(git: RunningGit) -> socket.socket:
    credential = base64.b64encode(":".join(DEVELOPER).encode()).decode()
    connection = socket.create_connection(("127.0.0.1", git.port), timeout=5)
    connection.sendall(
        "POST /core/greeter.git/git-receive-pack HTTP/1.1\r\nHost: x\r\nContent-Length: 1000\r\n"
        "Content-Type: application/x-git-receive-pack-request\r\n"
        f"Authorization: Basic {credential}\r\n\r\n00".encode()
    )
    return connection


def test_sigterm_ends_the_server_at_once_and_takes_its_backends(git_server: RunningGit) -> None:
    with half_a_push(git_server):
        below = backends(git_server)
        git_server.process.terminate()
        assert git_server.process.wait(timeout=1.5) == 0

    assert not any(alive(pid) for pid in below)


def test_a_client_that_leaves_takes_its_backend_with_it(git_server: RunningGit) -> None:
    with half_a_push(git_server):
        below = backends(git_server)

    wait_for(
        lambda: pending("running") if any(alive(pid) for pid in below) else met(),
        Deadline.after(2),
        wanted="the backend ends",
    )


def test_a_client_that_leaves_in_the_middle_of_a_clone_takes_all_that_worked_for_it(git_server: RunningGit) -> None:
    work = git_server.client.clone("developer", "core/greeter", "work")
    # More than the buffers on the way can hold, so that the backend still writes when the client leaves.
    (work / "big.bin").write_bytes(os.urandom(16 * 1024 * 1024))
    commit = git_server.client.commit(work, {})
    git_server.client.run("developer", "push", "--quiet", "origin", "HEAD:main", cwd=work)
    body = f"0032want {commit}\n00000009done\n"
    credential = base64.b64encode(":".join(DEVELOPER).encode()).decode()

    with socket.create_connection(("127.0.0.1", git_server.port), timeout=5) as connection:
        connection.sendall(
            "POST /core/greeter.git/git-upload-pack HTTP/1.1\r\nHost: x\r\n"
            f"Content-Type: application/x-git-upload-pack-request\r\nContent-Length: {len(body)}\r\n"
            f"Authorization: Basic {credential}\r\n\r\n{body}".encode()
        )
        assert connection.recv(100).startswith(b"HTTP/1.1 200 ")
        below = backends(git_server)

    wait_for(
        lambda: pending("running") if any(alive(pid) for pid in below) else met(),
        Deadline.after(2),
        wanted="the backend ends",
    )


def test_a_backend_does_not_outlive_a_server_that_was_killed(git_server: RunningGit) -> None:
    with half_a_push(git_server):
        below = backends(git_server)
        git_server.process.kill()
        git_server.process.wait(timeout=5)

        wait_for(
            lambda: pending("running") if any(alive(pid) for pid in below) else met(),
            Deadline.after(2),
            wanted="the backend ends",
        )


def test_a_taken_port_is_named_with_a_next_step(git_server: RunningGit, tmp_path: Path) -> None:
    second = subprocess.run(
        [sys.executable, "-m", "sandbox.servers.git_http", str(tmp_path / "git_http.json")],
        capture_output=True,
        text=True,
        timeout=20,
        check=False,
    )

    assert second.returncode == 3
    assert f"can't listen on 127.0.0.1:{git_server.port}" in second.stderr
    assert "Traceback" not in second.stderr
