"""Repositories by GitPython: a working copy as one person's laptop holds it, and a bare one of our own.

The only module that imports GitPython. Credentials travel in the environment of the git process,
as a header for that one server: they are in no URL, argv, or configuration file.
"""

from __future__ import annotations

import base64
import os
import re
import shutil
import tempfile
import weakref
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from git import Actor, GitCommandError, InvalidGitRepositoryError, NoSuchPathError, Repo

from sandbox.core.errors import UnavailableError, UsageError
from sandbox.core.files import make_private_dir
from sandbox.core.hooks import forget_repository
from sandbox.gitops.commits import Commit, Entry

__all__ = ["OURSELVES", "BareRepo", "Credential", "GitError", "WorkingCopy", "push_head"]

BRANCH = "main"
_ROLES = ("AUTHOR", "COMMITTER")
OURSELVES = {f"GIT_{role}_NAME": "gitops-sandbox" for role in _ROLES} | {
    f"GIT_{role}_EMAIL": "mirror@gitops-sandbox.invalid" for role in _ROLES
}
"""The environment in which a commit that only a mirror has is nobody's."""

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
            "GIT_CONFIG_COUNT": "2",
            "GIT_CONFIG_KEY_0": f"http.{self.url}/.extraHeader",
            "GIT_CONFIG_VALUE_0": f"Authorization: Basic {token}",
            # An empty one is none, whatever the environment says of proxies (git-config(1), http.proxy).
            "GIT_CONFIG_KEY_1": f"http.{self.url}/.proxy",
            "GIT_CONFIG_VALUE_1": "",
        }


def _end_with(holder: object, repo: Repo) -> None:
    """End the processes that GitPython keeps for a repository, to read objects, when nobody holds it any more."""
    weakref.finalize(holder, repo.close)


class WorkingCopy:
    """A clone in ``folder`` that pushes to ``url``; made by ``clone`` or ``create``."""

    def __init__(self, repo: Repo, credential: Credential, author: str) -> None:
        self._repo = repo
        self._credential = credential
        self._actor = Actor(author, f"{author.lower().replace(' ', '.')}@gitops-sandbox.invalid")
        repo.git.update_environment(**credential.environment())
        _end_with(self, repo)

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
        forget_repository()
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
        forget_repository()
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
        return _run(self._repo, *arguments, doing=doing)

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
            **{f"GIT_{role}_{key}": value for role in _ROLES for key, value in who.items()}
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
        return _exported(self._repo, _checked(revision), into)


class BareRepo:
    """A bare repository of our own: its trees are read without being checked out, and commits are put on top."""

    def __init__(self, folder: Path) -> None:
        forget_repository()
        self._repo = Repo(folder, expand_vars=False)
        self.folder = folder
        self._repo.git.update_environment(GIT_CONFIG_GLOBAL=os.devnull, GIT_CONFIG_NOSYSTEM="1")
        _end_with(self, self._repo)

    def revision(self, name: str) -> str:
        """Give the commit that a branch, a tag or HEAD names.

        Raises:
            GitError: It names none.
        """
        return _run(self._repo, "rev-parse", "--verify", "--end-of-options", f"{name}^{{commit}}", doing=f"find {name}")

    def references(self) -> list[str]:
        """Give the full names of all branches and tags."""
        words = ("for-each-ref", "--format=%(refname)", "refs/heads", "refs/tags")
        said = _run(self._repo, *words, doing="list the branches")
        return said.splitlines()

    def entries(self, revision: str) -> list[Entry]:
        """Give everything in the tree of a commit, by path."""
        said = _run(self._repo, "ls-tree", "-r", "-z", "--long", "--full-tree", revision, doing=f"read {revision}")
        found = []
        for line in filter(None, said.split("\0")):
            about, _, path = line.partition("\t")
            mode, _, sha, size = about.split()
            found.append(Entry(path, mode, sha, int(size) if size.isdigit() else 0))
        return found

    def read(self, blob: str) -> bytes:
        """Give the content of a file."""
        return bytes(self._repo.odb.stream(bytes.fromhex(blob)).read())

    def having(self, revision: str, texts: list[str]) -> list[str]:
        """Give the paths of the text files of a commit in which one of some texts stands, in any case."""
        words = [word for text in texts for word in ("-e", text)]
        try:
            said = self._repo.git.execute(["git", "grep", "-l", "-z", "-I", "-i", "-F", *words, revision, "--"])
        except GitCommandError as error:
            if error.status == 1:
                return []
            raise GitError(f"can't search {revision}", why=str(error.stderr).strip()) from error
        return [path.partition(":")[2] for path in filter(None, str(said).split("\0"))]

    def amended(self, revision: str, contents: Mapping[str, bytes], message: str) -> str:
        """Put a commit on top of another that changes the content of some of its files; return the commit.

        Args:
            revision: The commit below; no branch is moved.
            contents: The new content by path; each is a file of that commit.
            message: Says why.
        """
        modes = {entry.path: entry.mode for entry in self.entries(revision)}
        index = {"GIT_INDEX_FILE": str(self.folder / "amended.index")}
        _run(self._repo, "read-tree", revision, doing=f"read {revision}", **index)
        for path, content in contents.items():
            entry = f"{modes[path]},{self._stored(content)},{path}"
            _run(self._repo, "update-index", "--cacheinfo", entry, doing=f"change {path}", **index)
        tree = _run(self._repo, "write-tree", doing="write the tree", **index)
        (self.folder / "amended.index").unlink()
        return _run(
            self._repo, "commit-tree", tree, "-p", revision, "-m", message, doing="write the commit", **OURSELVES
        )

    def _stored(self, content: bytes) -> str:
        with tempfile.TemporaryFile() as file:
            file.write(content)
            file.seek(0)
            return str(self._repo.git.hash_object("-w", "--stdin", istream=file))

    def move(self, reference: str, revision: str) -> None:
        """Have a branch or a tag name another commit."""
        _run(self._repo, "update-ref", reference, revision, doing=f"move {reference}")

    def push(self, url: str, credential: Credential) -> None:
        """Make a repository have the branches and tags of this one, and no others.

        Raises:
            GitError: The server refused it; gives its words.
        """
        everything = ["+refs/heads/*:refs/heads/*", "+refs/tags/*:refs/tags/*"]
        words = ["push", "--quiet", "--prune", "--", url, *everything]
        _run(self._repo, *words, doing=f"push to {url}", **credential.environment())

    def export(self, revision: str, into: Path) -> Path:
        """Write the tree of a commit into a folder."""
        return _exported(self._repo, revision, into)


def push_head(folder: Path, url: str, credential: Credential) -> str:
    """Push the newest commit of somebody's repository to ``url``; the repository itself is only read.

    Returns:
        The commit.

    Raises:
        UsageError: The folder is no Git repository, or has no commit.
        GitError: The server refused the push.
    """
    forget_repository()
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


def _run(repo: Repo, *arguments: str, doing: str, **environment: str) -> str:
    try:
        with repo.git.custom_environment(**environment):
            return str(repo.git.execute(["git", *arguments]))
    except GitCommandError as error:
        raise GitError(f"can't {doing}", why=f"{error.stderr}{error.stdout}".strip()) from error


def _exported(repo: Repo, revision: str, into: Path) -> Path:
    make_private_dir(into)
    index = into.parent / f".{into.name}.index"
    places = {"GIT_INDEX_FILE": str(index), "GIT_WORK_TREE": str(into)}
    _run(repo, "read-tree", revision, doing=f"read commit {revision}", **places)
    _run(repo, "checkout-index", "--all", "--force", doing=f"check commit {revision} out", **places)
    index.unlink(missing_ok=True)
    return into


def _checked(revision: str) -> str:
    if not _REVISION.fullmatch(revision):
        raise UsageError(f"{revision!r} is no full commit SHA")
    return revision
