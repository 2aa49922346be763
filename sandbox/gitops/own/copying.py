"""A copy of a user's repository as it is to be checked; the repository itself is only read.

The copy is a bare repository of our own that borrows the user's objects (gitrepository-layout(5),
``objects/info/alternates``): nothing is copied, and what we add stands in ours alone. What is not
committed takes part as one commit that exists only in the copy, made with an index of our own.
"""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from sandbox.core.commands import CommandError, run
from sandbox.core.errors import UnavailableError, UsageError
from sandbox.core.files import make_private_dir, write_file
from sandbox.core.hooks import without_repository
from sandbox.gitops.git import OURSELVES, BareRepo
from sandbox.gitops.own.addresses import has_password, is_address, place_of
from sandbox.servers.repositories import isolated_git

__all__ = ["Copy", "check_repository", "copied"]

_SECONDS = 120.0
_CLONE_SECONDS = 300.0
_NAMED = 5


@dataclass(frozen=True, slots=True)
class Copy:
    """A repository as it is to be checked.

    Attributes:
        name: What people call it: the last part of its path or address.
        given: The path or address that the user gave.
        repository: The bare copy.
        branch: The branch that HEAD of the copy names; it holds what is to be checked.
        places: What its remotes, or its address, mean (``addresses.place_of``).
        below: The folder within it that the user gave; empty for the whole.
        head: The user's own newest commit; empty where there is none.
        top: The root of the work tree; None where there is none.
        uncommitted: The paths that take part though no commit has them.
        partial: Whether it may lack branches that its remote has, as a clone of CI does.
        notes: What a user must know of what is checked.
    """

    name: str
    given: str
    repository: BareRepo
    branch: str
    places: frozenset[str]
    below: str
    head: str
    top: Path | None
    uncommitted: tuple[str, ...]
    partial: bool
    notes: tuple[str, ...]


def copied(given: str, folder: Path, *, committed: bool = False) -> Copy:
    """Copy a repository, so that it can be changed and pushed from.

    Args:
        given: A path into it, or an address that ``git clone`` takes.
        folder: Where the copy goes; replaced when it exists.
        committed: Whether only what is committed takes part.

    Raises:
        UsageError: It is neither, or there is nothing in it.
        UnavailableError: The address can't be reached, or git is missing; carries git's words.
    """
    shutil.rmtree(folder, ignore_errors=True)
    make_private_dir(folder.parent)
    local = check_repository(given)
    return _Local(local, given, folder).copied(committed=committed) if local else _cloned(given, folder)


def check_repository(given: str) -> Path | None:
    """Say early whether something can be a repository, before a sandbox comes up for it.

    Returns:
        The path of one on this machine; None for an address.

    Raises:
        UsageError: It can't be one.
    """
    path = Path(given).expanduser()
    if path.exists():
        _Local(path.resolve(), given, path).look()
        return path.resolve()
    if has_password(given):
        raise UsageError(
            "the address carries a password, which everybody on this machine can read in the list of processes",
            hint="leave it out; git asks your credential helper (git help credentials), or clone it and give the path",
        )
    if not is_address(given):
        raise UsageError(
            f"{given!r} is no repository",
            why="there is no such path, and it is no address that git clone takes over https, ssh, git or file",
            hint="a path such as ., or https://HOST/OWNER/NAME.git",
        )
    return None


def _users_git() -> dict[str, str]:
    """Give the environment of the user's own git: with all settings, and no question, lock or trace of ours."""
    return {
        **without_repository(os.environ),
        "LC_ALL": "C",
        "GIT_TERMINAL_PROMPT": "0",
        "GIT_OPTIONAL_LOCKS": "0",
        "GIT_ALLOW_PROTOCOL": "file:git:http:https:ssh",
    }


def _cloned(address: str, folder: Path) -> Copy:
    words: list[str | Path] = ["git", "clone", "--quiet", "--mirror", "--template=", "--", address, folder]
    try:
        run(words, timeout=_CLONE_SECONDS, env=_users_git())
    except CommandError as error:
        raise UnavailableError(
            f"can't clone {address}",
            why=error.output.strip()[-500:],
            hint="try: git clone ADDRESS; where that works, give the path of the clone instead",
        ) from error
    repository = BareRepo(folder)
    head = (folder / "HEAD").read_text().strip()
    branch = head.removeprefix("ref: refs/heads/")
    if branch == head or f"refs/heads/{branch}" not in repository.references():
        raise UsageError(f"{address} is empty", why="its HEAD names no branch with a commit")
    # Of whatever else a forge keeps beside branches and tags, nothing is pushed on.
    return Copy(
        name=place_of(address).rpartition("/")[2] or "repository",
        given=address,
        repository=repository,
        branch=branch,
        places=frozenset({place_of(address)}),
        below="",
        head=repository.revision("HEAD"),
        top=None,
        uncommitted=(),
        partial=False,
        notes=(),
    )


class _Local:
    """A repository on this machine.

    Args:
        path: Somewhere in it.
        given: As the user wrote it.
        folder: Where the copy goes.
    """

    def __init__(self, path: Path, given: str, folder: Path) -> None:
        self._path = path if path.is_dir() else path.parent
        self._given = given
        self._folder = folder
        self._top: Path | None = None
        self._notes: list[str] = []

    def _ask(self, *words: str, env: Mapping[str, str] | None = None, stdin: str | None = None) -> str:
        """Ask the user's git about the user's repository."""
        return run(["git", "-C", self._path, *words], timeout=_SECONDS, env=env or _users_git(), stdin=stdin)

    def _maybe(self, *words: str) -> str:
        """Ask what may have no answer."""
        try:
            return self._ask(*words).strip()
        except CommandError:
            return ""

    def copied(self, *, committed: bool) -> Copy:
        """Make the copy."""
        below = self.look()
        self._begin()
        branches = self._take_over()
        head = self._maybe("rev-parse", "--verify", "--quiet", "HEAD^{commit}")
        changed = self._changed() if self._top else ()
        tip = head
        if changed and not committed:
            tip = self._with_uncommitted(head, changed)
            self._notes.append(f"takes part though it is not committed: {_listed(changed)}")
        elif changed:
            self._notes.append(f"takes no part, since it is not committed: {_listed(changed)}")
        if not tip:
            raise UsageError(f"there is nothing in {self._path}", why="it has no commit and no file", hint="git commit")
        branch = self._stand_in(self._alone(tip) if tip == head else tip, branches)
        return Copy(
            name=(self._top or self._path).name.removesuffix(".git"),
            given=self._given,
            repository=BareRepo(self._folder),
            branch=branch,
            places=self._places(),
            below=below,
            head=head,
            top=self._top,
            uncommitted=() if committed else changed,
            partial=self._shallow or len(branches) <= 1,
            notes=tuple(self._notes),
        )

    def look(self) -> str:
        """Find the work tree, and say which folder of it was given.

        Raises:
            UsageError: It is in no repository, or git refuses to read it.
        """
        try:
            bare = self._ask("rev-parse", "--is-bare-repository").strip() == "true"
            if not bare:
                self._top = Path(self._ask("rev-parse", "--show-toplevel").rstrip("\n"))
                return self._ask("rev-parse", "--show-prefix").strip().rstrip("/")
        except CommandError as error:
            if "dubious ownership" in error.output:
                raise UsageError(f"git refuses to read {self._path}", why=error.output.strip()) from error
            raise UsageError(
                f"{self._path} is in no Git repository",
                why=error.output.strip(),
                hint="git init && git add --all && git commit, or give the path of a clone",
            ) from error
        return ""

    def _begin(self) -> None:
        run(
            ["git", "init", "--quiet", "--bare", "--template=", self._folder],
            timeout=_SECONDS,
            env=isolated_git(),
        )
        objects = self._ask("rev-parse", "--path-format=absolute", "--git-path", "objects").rstrip("\n")
        info = make_private_dir(self._folder / "objects" / "info")
        write_file(info / "alternates", f"{objects}\n")
        self._shallow = self._ask("rev-parse", "--is-shallow-repository").strip() == "true"
        if self._shallow:
            self._notes.append("is a shallow clone: each branch is checked without its history, under other SHAs")

    def _take_over(self) -> set[str]:
        """Give the copy the tags and branches, and of branches that are not here what the remote was last seen with."""
        listed = "--format=%(objectname) %(refname)"
        said = self._ask("for-each-ref", listed, "refs/heads", "refs/tags", f"refs/remotes/{self._remote}")
        known = {name: sha for sha, _, name in (line.partition(" ") for line in said.splitlines())}
        chosen = {name: sha for name, sha in known.items() if not name.startswith("refs/remotes/")}
        for name, sha in known.items():
            branch = name.removeprefix(f"refs/remotes/{self._remote}/")
            if branch in (name, "HEAD"):
                continue
            local = chosen.get(f"refs/heads/{branch}")
            # A branch that lies behind its remote is not what anybody follows.
            if local is None or self._is_behind(local, sha):
                chosen[f"refs/heads/{branch}"] = sha
        lines = "".join(f"create {name} {self._alone(sha)}\n" for name, sha in chosen.items())
        self._own("update-ref", "--stdin", stdin=lines)
        return {name.removeprefix("refs/heads/") for name in chosen if name.startswith("refs/heads/")}

    @property
    def _remote(self) -> str:
        remotes = self._ask("remote").split()
        return "origin" if "origin" in remotes or not remotes else remotes[0]

    def _is_behind(self, one: str, other: str) -> bool:
        return one != other and self._maybe("rev-list", "--max-count=1", f"{other}..{one}", "--") == ""

    def _alone(self, sha: str) -> str:
        """Give a commit that can be pushed: of a shallow clone one without its parents, which are not there."""
        if not self._shallow:
            return sha
        message = self._ask("log", "-1", "--format=%B", sha, "--")
        return self._own("commit-tree", f"{sha}^{{tree}}", "-m", message or "no message", **OURSELVES).strip()

    def _own(self, *words: str, stdin: str | None = None, **environment: str) -> str:
        """Run git on the copy."""
        env = {**isolated_git(), "GIT_DIR": str(self._folder), **environment}
        return run(["git", *words], timeout=_SECONDS, env=env, stdin=stdin)

    def _changed(self) -> tuple[str, ...]:
        """Give what differs from HEAD on disk, as ``git status`` says; nothing that is ignored."""
        words = ["status", "--porcelain=v1", "-z", "--untracked-files=all", "--no-renames", "--ignore-submodules=dirty"]
        top = ["-C", str(self._top)]
        said = run(["git", *top, *words], timeout=_SECONDS, env=_users_git())
        # A folder, with its slash, is a repository within: not ours to look into.
        return tuple(line[3:] for line in said.split("\0") if len(line) > 3 and not line.endswith("/"))  # noqa: PLR2004

    def _with_uncommitted(self, head: str, changed: tuple[str, ...]) -> str:
        with tempfile.TemporaryDirectory(dir=self._folder) as scratch:
            # The user's git, for its filters (git-lfs); our repository and index.
            env = {
                **_users_git(),
                "GIT_DIR": str(self._folder),
                "GIT_WORK_TREE": str(self._top),
                "GIT_INDEX_FILE": f"{scratch}/index",
                **OURSELVES,
            }
            words = ["-c", "core.bare=false", "-c", f"core.hooksPath={os.devnull}"]
            self._ask(*words, "read-tree", *([head] if head else ["--empty"]), env=env)
            paths = "".join(f"{path}\0" for path in changed)
            top = ["git", "-C", str(self._top), *words]
            run(
                [*top, "update-index", "--add", "--remove", "-z", "--stdin"],
                timeout=_SECONDS,
                env=env,
                stdin=paths,
            )
            tree = self._ask(*words, "write-tree", env=env).strip()
            parents = ["-p", self._alone(head)] if head else []
            said = f"Take over what is not committed\n\n{_listed(changed)}"
            return self._ask(*words, "commit-tree", tree, *parents, "-m", said, env=env).strip()

    def _stand_in(self, tip: str, branches: set[str]) -> str:
        """Have the branches that matter name what is to be checked, and give the one for HEAD.

        Applications follow the default branch, whatever branch somebody works on: what is checked is how it will be
        when that work is merged.
        """
        current = self._maybe("symbolic-ref", "--quiet", "--short", "HEAD")
        remote = self._maybe("symbolic-ref", "--quiet", "--short", f"refs/remotes/{self._remote}/HEAD")
        usual = [name for name in ("main", "master") if name in branches]
        default = remote.partition("/")[2] or (usual[0] if usual else current) or "main"
        for branch in {default, current} - {""}:
            self._own("update-ref", f"refs/heads/{branch}", tip)
        self._own("symbolic-ref", "HEAD", f"refs/heads/{default}")
        if current != default:
            self._notes.append(f"{current or 'the commit that is checked out'} stands in for the branch {default}")
        return default

    def _places(self) -> frozenset[str]:
        # Lines of `remote.NAME.url ADDRESS`; an address may carry a password, and leaves here without it.
        said = self._maybe("config", "--get-regexp", r"^remote\..*\.(push)?url$")
        addresses = [line.partition(" ")[2] for line in said.splitlines()]
        here = f"file://{self._top or self._path}"
        places = {place_of(f"file://{each}" if each.startswith("/") else each) for each in [*addresses, here]}
        return frozenset(places - {""})


def _listed(paths: tuple[str, ...]) -> str:
    more = f" and {len(paths) - _NAMED} more" if len(paths) > _NAMED else ""
    return ", ".join(paths[:_NAMED]) + more
