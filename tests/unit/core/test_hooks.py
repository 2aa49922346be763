from __future__ import annotations

import os
import subprocess

import pytest

from sandbox.core.hooks import forget_repository, without_repository


def test_nothing_stays_of_what_git_calls_local_to_a_repository() -> None:
    listed = ["git", "rev-parse", "--local-env-vars"]
    names = subprocess.run(listed, capture_output=True, text=True, timeout=20, check=True).stdout.split()
    assert "GIT_DIR" in names
    assert without_repository(dict.fromkeys(names, "theirs")) == {}


def test_who_commits_and_when_is_not_taken_from_a_hook_either() -> None:
    assert without_repository({"GIT_AUTHOR_NAME": "Ann", "GIT_COMMITTER_DATE": "now"}) == {}


def test_how_the_users_git_reaches_servers_stays() -> None:
    kept = {"GIT_SSH_COMMAND": "ssh -i key", "GIT_PYTHON_GIT_EXECUTABLE": "/opt/git", "HOME": "/home/ann"}
    assert without_repository(kept) == kept


def test_a_process_forgets_what_its_own_environment_has(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GIT_DIR", "/theirs/.git")
    monkeypatch.setenv("GIT_SSH", "ssh")
    forget_repository()
    assert "GIT_DIR" not in os.environ
    assert os.environ["GIT_SSH"] == "ssh"
