"""The bare repositories below one root: made, listed and deleted by the sandbox itself, never over HTTP."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

from sandbox.core.commands import run
from sandbox.core.errors import UsageError
from sandbox.core.files import PRIVATE_DIR, make_private_dir, writing_errors
from sandbox.core.names import check_repository_name

__all__ = [
    "create_repository",
    "default_branch",
    "delete_repository",
    "isolated_git",
    "list_repositories",
    "set_default_branch",
]

_TIMEOUT = 30
_SUFFIX = ".git"
_BRANCH = "refs/heads/"


def isolated_git() -> dict[str, str]:
    """Give the environment in which git reads no configuration of the user's or the machine's, and asks nothing."""
    return {
        "PATH": os.environ.get("PATH", os.defpath),
        "HOME": "/nonexistent",
        "LC_ALL": "C",
        "GIT_CONFIG_NOSYSTEM": "1",
        "GIT_CONFIG_GLOBAL": os.devnull,
        "GIT_TERMINAL_PROMPT": "0",
    }


def create_repository(root: Path, name: str) -> Path:
    """Make an empty bare repository whose first branch is ``main``; one that exists is left as it is.

    Args:
        root: The folder of all repositories; made for this user alone where it is missing.
        name: Its name without ``.git``, such as ``core/environment``.

    Returns:
        The repository's folder, ``<root>/<name>.git``.

    Raises:
        UsageError: The name is not allowed.
        UnavailableError: The folder can't be written, or git is missing or failed.
    """
    path = root / f"{check_repository_name(name)}{_SUFFIX}"
    make_private_dir(root)
    make_private_dir(path.parent)
    # Without a template there are no sample hooks: what runs on a push is the server's alone.
    run(
        ["git", "init", "--quiet", "--bare", "--initial-branch=main", "--template=", path],
        timeout=_TIMEOUT,
        env=isolated_git(),
    )
    with writing_errors(path):
        path.chmod(PRIVATE_DIR)
    return path


def list_repositories(root: Path) -> list[str]:
    """Give the names of all repositories below ``root``, sorted, without ``.git``."""
    names = []
    for folder, children, _ in os.walk(root):
        found = [child for child in children if child.endswith(_SUFFIX)]
        names += [str((Path(folder) / child).relative_to(root)).removesuffix(_SUFFIX) for child in found]
        children[:] = [child for child in children if child not in found]
    return sorted(names)


def delete_repository(root: Path, name: str) -> None:
    """Delete a repository; one that is absent is no error.

    Raises:
        UsageError: The name is not allowed.
        UnavailableError: It can't be deleted.
    """
    path = root / f"{check_repository_name(name)}{_SUFFIX}"
    if path.is_dir():
        with writing_errors(path):
            shutil.rmtree(path)


def default_branch(repository: Path) -> str:
    """Give the branch that HEAD of a bare repository names.

    Raises:
        UsageError: HEAD names no branch.
    """
    head = (repository / "HEAD").read_text().strip().removeprefix("ref: ")
    if not head.startswith(_BRANCH):
        raise UsageError(f"HEAD of {repository} names no branch", why=head)
    return head.removeprefix(_BRANCH)


def set_default_branch(repository: Path, branch: str) -> None:
    """Have HEAD of a bare repository name a branch, which need not exist yet.

    Raises:
        CommandError: Git refuses the name.
    """
    run(
        ["git", "symbolic-ref", "HEAD", f"{_BRANCH}{branch}"],
        timeout=_TIMEOUT,
        env={**isolated_git(), "GIT_DIR": str(repository)},
    )
