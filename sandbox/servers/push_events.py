"""Push events in GitHub's format, made from what a push changed.

The format is GitHub's documented ``push`` webhook payload. What Argo CD 3.6 makes of it decides the rest
(util/webhook/webhook.go): ``html_url`` has no ``.git``, because its matching adds that as an option, and the
changed files are either complete or absent, because an incomplete list would keep it from refreshing.
"""

from __future__ import annotations

import asyncio
import logging
import posixpath
import subprocess
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from sandbox.servers.repositories import default_branch, isolated_git

__all__ = ["RefUpdate", "parse_log", "parse_ref_updates", "push_event"]

_LOG = logging.getLogger("gitops.git")
_NOTHING = "0"
_MAX_COMMITS = 50
_MAX_FILES = 2000
_RECORD = "\x01"
_TIMEOUT = 10.0
_HEADER = ("id", "tree_id", "timestamp", "author.name", "author.email", "committer.name", "committer.email", "message")
_FORMAT = "%x01%m%H%x00%T%x00%cI%x00%an%x00%ae%x00%cn%x00%ce%x00%B%x00"
_KINDS = {"A": "added", "D": "removed"}
_FILE_LISTS = ("added", "removed", "modified")

Json = dict[str, object]


@dataclass(frozen=True, slots=True)
class RefUpdate:
    """One line of what a push changed.

    Attributes:
        before: The object that the ref named before; only zeros for a ref that is new.
        after: The one it names now; only zeros for a ref that was deleted.
        ref: The full name, such as ``refs/heads/main``.
    """

    before: str
    after: str
    ref: str

    @property
    def created(self) -> bool:
        """Whether the ref is new."""
        return not self.before.strip(_NOTHING)

    @property
    def deleted(self) -> bool:
        """Whether the ref is gone."""
        return not self.after.strip(_NOTHING)


def parse_ref_updates(text: str) -> list[RefUpdate]:
    """Read the lines that git gives a post-receive hook; a line of another shape is left out."""
    parts = [line.split(" ", 2) for line in text.splitlines()]
    return [RefUpdate(*words) for words in parts if len(words) == 3 and words[2].startswith("refs/")]  # noqa: PLR2004


@dataclass(frozen=True, slots=True)
class LoggedCommit:
    """One commit of ``git log``.

    Attributes:
        dropped: Whether the push took it out of the ref's history.
        header: Its fields by the names in the log format.
        files: The changed paths by kind: added, removed, modified.
    """

    dropped: bool
    header: dict[str, str]
    files: dict[str, list[str]]

    def as_json(self, url: str) -> Json:
        """Give the commit as it stands in a push event."""
        author, committer = (
            {"name": self.header[f"{role}.name"], "email": self.header[f"{role}.email"]}
            for role in ("author", "committer")
        )
        plain = {name: self.header[name] for name in ("id", "tree_id", "timestamp")}
        message = self.header["message"].rstrip("\n")
        link = f"{url}/commit/{self.header['id']}"
        return {
            **plain,
            "message": message,
            "distinct": True,
            "url": link,
            "author": author,
            "committer": committer,
        } | self.files


def parse_log(output: str) -> list[LoggedCommit]:
    """Read the output of ``git log -z --name-status`` in this module's format, newest commit first."""
    return list(_commits(output.split("\0")))


def _commits(tokens: Sequence[str]) -> Iterator[LoggedCommit]:
    at = 0
    while at + len(_HEADER) <= len(tokens) and tokens[at].startswith(_RECORD):
        mark, header = tokens[at][1:2], dict(zip(_HEADER, tokens[at : at + len(_HEADER)], strict=True))
        header["id"] = tokens[at][2:]
        # -z ends the header with a NUL of its own, before the first status.
        at += len(_HEADER) + 1
        files: dict[str, list[str]] = {kind: [] for kind in _FILE_LISTS}
        while at + 1 < len(tokens) and not tokens[at].startswith(_RECORD):
            files[_KINDS.get(tokens[at].strip(), "modified")].append(tokens[at + 1])
            at += 2
        yield LoggedCommit(mark == "<", header, files)


async def push_event(root: Path, repository: str, update: RefUpdate, *, public_url: str, user: str) -> Json:
    """Make the body of a push event.

    Args:
        root: The folder of the bare repositories.
        repository: The repository's name without ``.git``.
        update: What changed.
        public_url: The server's URL, without a slash at its end.
        user: Who pushed.

    Raises:
        UsageError: HEAD of the repository names no branch.
    """
    path = root / f"{repository}.git"
    url = f"{public_url}/{repository}"
    logged = [] if update.deleted else parse_log(await _log(path, update))
    forced = any(commit.dropped for commit in logged)
    new = [commit for commit in logged if not commit.dropped]
    commits = [commit.as_json(url) for commit in reversed(new[:_MAX_COMMITS])]
    too_many = len(logged) > _MAX_COMMITS or sum(len(f) for c in new for f in c.files.values()) > _MAX_FILES
    if forced or too_many:
        # A dropped commit changes files that no new commit names: Argo CD must look at everything.
        commits = [commit | {kind: [] for kind in _FILE_LISTS} for commit in commits]
    return {
        "ref": update.ref,
        "before": update.before,
        "after": update.after,
        "base_ref": None,
        "created": update.created,
        "deleted": update.deleted,
        "forced": forced,
        "compare": f"{url}/compare/{update.before[:12]}...{update.after[:12]}",
        "commits": commits,
        "head_commit": commits[-1] if commits else None,
        "repository": _repository(path, repository, url),
        "pusher": {"name": user, "email": f"{user}@localhost"},
        "sender": {"login": user, "type": "User"},
    }


def _repository(path: Path, name: str, url: str) -> Json:
    owner = posixpath.dirname(name) or name
    branch = default_branch(path)
    return {
        "name": posixpath.basename(name),
        "full_name": name,
        "owner": {"login": owner, "name": owner},
        "private": True,
        "html_url": url,
        "url": url,
        "clone_url": f"{url}.git",
        "git_url": f"{url}.git",
        "ssh_url": f"{url}.git",
        "default_branch": branch,
        "master_branch": branch,
        "pushed_at": int(datetime.now(UTC).timestamp()),
    }


async def _log(path: Path, update: RefUpdate) -> str:
    # One call tells the new commits, the dropped ones and every changed file; a merge is compared with the branch
    # that it was made on.
    new = [update.after, "--not", f"--exclude={update.ref}", "--all"]
    span = new if update.created else ["--left-right", f"{update.before}...{update.after}"]
    argv = [
        *("git", "--git-dir", str(path), "log", "-z", "--name-status", "--no-renames", "--diff-merges=first-parent"),
        *(f"--max-count={_MAX_COMMITS + 1}", f"--format={_FORMAT}", *span, "--"),
    ]
    process = await asyncio.create_subprocess_exec(
        *argv, env=isolated_git(), stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    try:
        async with asyncio.timeout(_TIMEOUT):
            output, errors = await process.communicate()
    except TimeoutError:
        process.kill()
        await process.wait()
        output, errors = b"", b"git log took too long"
    if errors or process.returncode:
        # The event still goes out: without commits it makes every receiver look for itself.
        _LOG.warning("no commits in the event of %s %s: %s", path.name, update.ref, errors.decode(errors="replace"))
    return output.decode(errors="replace")
