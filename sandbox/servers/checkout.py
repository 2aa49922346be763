"""Checking a pushed commit out over HTTP, with a credential that stands in no argv, no URL and no file."""

from __future__ import annotations

import base64
from pathlib import Path

from sandbox.core.commands import run
from sandbox.servers.ci_settings import Credential
from sandbox.servers.repositories import isolated_git

__all__ = ["check_out"]

_BRANCH = "refs/heads/"
_TIMEOUT = 120


def check_out(url: str, credential: Credential, ref: str, commit: str, work: Path) -> None:
    """Clone a repository and check one commit out, on the branch that was pushed, or detached for a tag.

    Args:
        url: The repository, without a credential.
        credential: Who may read it.
        ref: The ref that was pushed.
        commit: The commit to check out.
        work: The folder to make.

    Raises:
        CommandError: It can't be cloned, or there is no such commit any more.
        DeadlineError: It took too long.
    """
    basic = base64.b64encode(f"{credential.user}:{credential.password}".encode()).decode()
    environment = isolated_git() | {
        "GIT_CONFIG_COUNT": "1",
        "GIT_CONFIG_KEY_0": f"http.{credential.address}/.extraHeader",
        "GIT_CONFIG_VALUE_0": f"Authorization: Basic {basic}",
    }
    run(["git", "clone", "--quiet", "--no-checkout", "--template=", url, work], timeout=_TIMEOUT, env=environment)
    place = ["-B", ref.removeprefix(_BRANCH)] if ref.startswith(_BRANCH) else ["--detach"]
    run(["git", "checkout", "--quiet", *place, commit, "--"], timeout=_TIMEOUT, cwd=work, env=isolated_git())
