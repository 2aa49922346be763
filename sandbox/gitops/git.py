"""A working copy of a repository on the sandbox's Git server, as one person's laptop holds it.

The only module that imports GitPython. Credentials travel in the environment of the git process,
as a header for that one server: they are in no URL, argv, or configuration file.
"""

from __future__ import annotations

import base64
import os
import re
import shutil
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from git import Actor, GitCommandError, InvalidGitRepositoryError, NoSuchPathError, Repo

from sandbox.core.errors import UnavailableError, UsageError
from sandbox.core.files import make_private_dir

__all__ = ["Commit", "Credential", "GitError", "WorkingCopy", "push_head"]

BRANCH = "main"
_REVISION = re.compile(r"[0-9a-f]{40}")


class GitError(UnavailableError):
    """Git refused; carries its own words."""


@dataclass(frozen=True, slots=True)
class Credential:
    """Who speaks to the Git server.

    Attributes:
        url: The server's URL, which the credential is for.
        user: The account.
        password: Its password; kept out of ``repr``.
    """

    url: str
    user: str
    password: str = field(repr=False)

    def environment(self) -> dict[str, str]:
        """Give the variables under which git shows this credential to this server, and reads no other settings."""
        token = base64.b64encode(f"{self.user}:{self.password}".encode()).decode()
        return {
            "GIT_CONFIG_GLOBAL": os.devnull,
            "GIT_CONFIG_NOSYSTEM": "1",
            # Nor do hooks of the user's own template take part in a story.
            "GIT_TEMPLATE_DIR": "",
            "GIT_TERMINAL_PROMPT": "0",
            "GIT_ALLOW_PROTOCOL": "http:https",
            "GIT_CONFIG_COUNT": "1",
            "GIT_CONFIG_KEY_0": f"http.{self.url}/.extraHeader",
            "GIT_CONFIG_VALUE_0": f"Authorization: Basic {token}",
        }


@dataclass(frozen=True, slots=True)
class Commit:
    """One commit, as the audit trail shows it."""

    revision: str
    author: str
    message: str
    parents: tuple[str, ...]

    @property
    def subject(self) -> str:
        """The first line of its message."""
        return self.message.partition("\n")[0]

    @property
    def short(self) -> str:
        """The first characters of its revision, for people."""
        return self.revision[:8]

    def trailers(self) -> dict[str, str]:
        """Give the ``Key: value`` lines of the message's last paragraph (git-interpret-trailers(1))."""
        _, *rest = self.message.strip().split("\n\n")
        # A subject alone is no trailer, even where it has a colon.
        pairs = (line.partition(": ") for paragraph in rest[-1:] for line in paragraph.split("\n"))
        return {key: value for key, colon, value in pairs if colon and re.fullmatch(r"[A-Za-z0-9-]+", key)}


class WorkingCopy:
    """A clone in ``folder`` that pushes to ``url``; made by ``clone`` or ``create``."""

    def __init__(self, repo: Repo, credential: Credential, author: str) -> None:
        self._repo = repo
        self._credential = credential
        self._actor = Actor(author, f"{author.lower().replace(' ', '.')}@gitops-sandbox.invalid")
        repo.git.update_environment(**credential.environment())

    @classmethod
    def create(
        cls, folder: Path, url: str, credential: Credential, author: str, content: Path, *, message: str
    ) -> WorkingCopy:
        """Make a repository from the files in ``content`` and give it its first commit; nothing is pushed.

        Args:
            folder: Where the working copy goes; replaced when it exists.
            url: Where it will push to.
            credential: Who pushes.
            author: Who commits.
            content: The files to begin with.
            message: The first commit's message.
        """
        shutil.rmtree(folder, ignore_errors=True)
        make_private_dir(folder.parent)
        shutil.copytree(content, folder, ignore=shutil.ignore_patterns("__pycache__", ".mypy_cache", ".ruff_cache"))
        repo = Repo.init(folder, expand_vars=False, initial_branch=BRANCH, env=credential.environment())
        repo.create_remote("origin", url)
        copy = cls(repo, credential, author)
        copy.commit(message)
        return copy

    @classmethod
    def clone(cls, folder: Path, url: str, credential: Credential, author: str) -> WorkingCopy:
        """Clone a repository.

        Raises:
            GitError: It can't be cloned.
        """
        shutil.rmtree(folder, ignore_errors=True)
        make_private_dir(folder.parent)
        try:
            repo = Repo.clone_from(url, folder, env=credential.environment(), branch=BRANCH)
        except GitCommandError as error:
            raise GitError(f"can't clone {url}", why=str(error.stderr).strip()) from error
        return cls(repo, credential, author)

    @property
    def folder(self) -> Path:
        """Where its files are."""
        return Path(self._repo.working_dir)

    @property
    def head(self) -> str:
        """The revision of the newest commit here."""
        return self._repo.head.commit.hexsha

    @property
    def remote(self) -> str:
        """Where it pushes to."""
        return next(self._repo.remote("origin").urls)

    def set_remote(self, url: str) -> None:
        """Have it push elsewhere."""
        self._repo.remote("origin").set_url(url)

    def _git(self, *arguments: str, doing: str) -> str:
        try:
            return str(self._repo.git.execute(["git", *arguments]))
        except GitCommandError as error:
            raise GitError(f"can't {doing}", why=f"{error.stderr}{error.stdout}".strip()) from error

    def commit(self, message: str, *, trailers: Mapping[str, str] | None = None) -> str:
        """Commit everything that changed and return the revision.

        Args:
            message: Says why.
            trailers: Lines for its last paragraph.
        """
        if trailers:
            message += "\n\n" + "\n".join(f"{key}: {value}" for key, value in trailers.items())
        self._git("add", "--all", doing="stage the changes")
        # GitPython runs hooks by itself and looks for them in the user's own settings.
        done = self._repo.index.commit(message, author=self._actor, committer=self._actor, skip_hooks=True)
        return done.hexsha

    def push(self) -> None:
        """Push the branch.

        Raises:
            GitError: The server refused it; gives its words.
        """
        self._git("push", "--quiet", "origin", f"HEAD:refs/heads/{BRANCH}", doing=f"push to {self.remote}")

    def pull(self) -> str:
        """Fetch what others pushed, put own commits on top, and return the revision that results."""
        self._git("fetch", "--quiet", "origin", BRANCH, doing=f"fetch from {self.remote}")
        with self._identity():
            self._git("rebase", "--quiet", "FETCH_HEAD", doing="rebase on what was fetched")
        return self.head

    def revert(self, *revisions: str) -> str:
        """Revert commits by one new commit each, newest first, and return the last one's revision."""
        for revision in revisions:
            with self._identity():
                self._git("revert", "--no-edit", _checked(revision), doing=f"revert {revision}")
        return self.head

    def reset(self, revision: str) -> None:
        """Throw local commits and changes away, back to ``revision``."""
        self._git("reset", "--quiet", "--hard", _checked(revision), doing=f"go back to {revision}")

    def squash(self, message: str) -> None:
        """Replace the branch, here and on the server, by one commit with the same files."""
        with self._identity():
            lone = self._git("commit-tree", "HEAD^{tree}", "-m", message, doing="write a commit without history")
        self.reset(lone.strip())
        self._git("push", "--quiet", "--force", "origin", f"HEAD:refs/heads/{BRANCH}", doing="rewrite the history")

    def _identity(self) -> Any:
        who = {"NAME": str(self._actor.name), "EMAIL": str(self._actor.email)}
        return self._repo.git.custom_environment(
            **{f"GIT_{role}_{key}": value for role in ("AUTHOR", "COMMITTER") for key, value in who.items()}
        )

    def log(self, revisions: str = "HEAD", *, limit: int = 100) -> list[Commit]:
        """Give commits, newest first."""
        return [
            Commit(
                revision=found.hexsha,
                author=str(found.author.name),
                message=str(found.message),
                parents=tuple(parent.hexsha for parent in found.parents),
            )
            for found in self._repo.iter_commits(revisions, max_count=limit)
        ]

    def export(self, revision: str, into: Path) -> Path:
        """Write the tree of a commit into a folder, and nothing of the working copy.

        Raises:
            GitError: There is no such commit here.
        """
        make_private_dir(into)
        index = into.parent / f".{into.name}.index"
        with self._repo.git.custom_environment(GIT_INDEX_FILE=str(index), GIT_WORK_TREE=str(into)):
            self._git("read-tree", _checked(revision), doing=f"read commit {revision}")
            self._git("checkout-index", "--all", "--force", doing=f"check commit {revision} out")
        index.unlink(missing_ok=True)
        return into


def push_head(folder: Path, url: str, credential: Credential) -> str:
    """Push the newest commit of somebody's repository to ``url``; the repository itself is only read.

    Returns:
        The commit.

    Raises:
        UsageError: The folder is no Git repository, or has no commit.
        GitError: The server refused the push.
    """
    try:
        repo = Repo(folder, expand_vars=False)
        commit = repo.head.commit.hexsha
    except (InvalidGitRepositoryError, NoSuchPathError) as error:
        raise UsageError(f"{folder} is no Git repository", hint="git init, then commit") from error
    except ValueError as error:
        raise UsageError(f"{folder} has no commit yet", why=str(error), hint="git commit") from error
    repo.git.update_environment(**credential.environment())
    try:
        repo.git.push("--quiet", "--", url, f"{commit}:refs/heads/{BRANCH}")
    except GitCommandError as error:
        raise GitError(f"can't push to {url}", why=str(error.stderr).strip()) from error
    return commit


def _checked(revision: str) -> str:
    if not _REVISION.fullmatch(revision):
        raise UsageError(f"{revision!r} is no full commit SHA")
    return revision
