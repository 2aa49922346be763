"""The README's first command as an ordinary user: a fresh clone, a virtual environment of its own, no root anywhere."""

from __future__ import annotations

import json
import os
import pwd
import secrets
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from sandbox.core.folders import cache_root
from tests.e2e.support import ROOT, processes_below

SECONDS = 400.0
CLONE = "a clone in a folder with spaces"
LINKED = ("go-", "act-", "valkey-")
"""Tools that are links into a virtual environment: the other user's own has them too."""


def _as_user(name: str, *words: str) -> subprocess.CompletedProcess[str]:
    """Run a command as that user, in that user's own environment."""
    home = pwd.getpwnam(name).pw_dir
    kept = {key: value for key, value in os.environ.items() if key.startswith(("PIP_", "SSL_", "GO"))}
    # The clients' own settings stay; paths of root's do not.
    environment = {**kept, "HOME": home, "PATH": "/usr/local/bin:/usr/bin:/bin", "LANG": "C.UTF-8"}
    return subprocess.run(
        [str(shutil.which("runuser")), "-u", name, "--", *words],
        cwd=f"{home}/{CLONE}",
        env=environment,
        capture_output=True,
        text=True,
        timeout=SECONDS,
        check=False,
    )


@pytest.fixture
def name() -> Iterator[str]:
    """Make a user with a clone of this checkout and a copy of the tool cache; take it away in the end."""
    name = f"gsb-test-{secrets.token_hex(3)}"
    subprocess.run(["useradd", "--create-home", name], check=True, timeout=60)
    home = Path(pwd.getpwnam(name).pw_dir)
    try:
        subprocess.run(["git", "clone", "--quiet", str(ROOT), str(home / CLONE)], check=True, timeout=60)
        cache = home / ".cache" / "gitops-sandbox"
        shutil.copytree(
            cache_root() / "tools",
            cache / "tools",
            symlinks=True,
            ignore=lambda _, names: [each for each in names if each.startswith((*LINKED, "."))],
        )
        subprocess.run(["chown", "-R", f"{name}:{name}", str(home)], check=True, timeout=60)
        yield name
    finally:
        _as_user(name, "./inv", "down", "--all")
        subprocess.run(["userdel", "--remove", name], check=True, capture_output=True, timeout=60)


@pytest.mark.nightly
@pytest.mark.skipif(os.getuid() != 0, reason="whoever is not root runs the whole suite as an ordinary user already")
@pytest.mark.timeout(900)
def test_a_fresh_clone_in_a_folder_with_spaces_tells_the_core_story_as_an_ordinary_user(name: str) -> None:
    home = Path(pwd.getpwnam(name).pw_dir)
    done = _as_user(name, "./inv", "demo", "--json")
    assert done.returncode == 0, done.stdout + done.stderr
    told = json.loads(done.stdout)
    assert told["passed"]
    assert {step["status"] for step in told["steps"]} == {"passed"}
    state = Path(told["sandbox"]["state_dir"])
    assert state == home / ".local/state/gitops-sandbox/default"
    running = processes_below(state)
    assert running
    assert {Path(f"/proc/{process.pid}").stat().st_uid for process in running} == {pwd.getpwnam(name).pw_uid}
    # By the programs of the clone itself, wherever it lies.
    started = [Path(f"/proc/{process.pid}/cmdline").read_text() for process in running]
    assert any(f"{home / CLONE}/" in words for words in started)
    ended = _as_user(name, "./inv", "down", "--all", "--json")
    assert ended.returncode == 0, ended.stdout + ended.stderr
    # Whatever it is, whether or not it shows its environment: the user came with nothing that runs.
    listed = ["ps", "-u", name, "-o", "stat=,pid=,args="]
    left = subprocess.run(listed, capture_output=True, text=True, timeout=60, check=False).stdout.splitlines()
    # A zombie has ended: it waits for init to take note.
    assert [line for line in left if not line.startswith("Z")] == []
    assert not state.exists()
