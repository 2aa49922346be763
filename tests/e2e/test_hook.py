"""A pre-commit hook that checks the repository: what does not hold is not committed, and nothing of it is touched."""

from __future__ import annotations

import shlex
import subprocess
from pathlib import Path

import pytest

from tests.e2e.support import User
from tests.own_repositories import UserRepository

GOOD = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: it}\ndata: {a: b}\n"
REFUSED = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: it}\ndata: {a: [b]}\n"

pytestmark = pytest.mark.timeout(300)


def _commit(repository: UserRepository, user: User) -> subprocess.CompletedProcess[str]:
    who = [word for setting in ("user.name=Uma", "user.email=uma@example.com") for word in ("-c", setting)]
    command = ["git", *who, "commit", "--all", "--message", "Change it"]
    environment = user.environment()
    return subprocess.run(
        command, cwd=repository.folder, env=environment, capture_output=True, text=True, timeout=240, check=False
    )


@pytest.mark.nightly
def test_a_hook_lets_through_what_holds_and_nothing_else(user: User, tmp_path: Path) -> None:
    repository = UserRepository(tmp_path / "own")
    first = repository.commit({"apps/it.yaml": "# to be written\n"})
    hook = repository.folder / ".git" / "hooks" / "pre-commit"
    seen = tmp_path / "environment"
    hook.write_text(f"#!/bin/sh\nenv > {shlex.quote(str(seen))}\nexec {shlex.join(user.command('check', '.'))}\n")
    hook.chmod(0o755)

    repository.write({"apps/it.yaml": REFUSED})
    refused = _commit(repository, user)
    assert refused.returncode != 0
    assert "ConfigMap it" in refused.stdout + refused.stderr
    assert repository.git("rev-parse", "HEAD") == first
    # What would lead anything else of git's into this repository.
    assert "GIT_INDEX_FILE" in seen.read_text()

    repository.write({"apps/it.yaml": GOOD})
    let_through = _commit(repository, user)
    assert let_through.returncode == 0, let_through.stdout + let_through.stderr
    assert repository.git("rev-parse", "HEAD~1") == first
    assert repository.git("status", "--porcelain") == ""
    assert repository.git("log", "--format=%an: %s") == "Uma: Change it\nUma User: Change it"
