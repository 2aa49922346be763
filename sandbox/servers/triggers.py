"""Whether a workflow runs on a push: the ``on`` part of a workflow file, which act itself does not look at.

The rules are GitHub's ("Workflow syntax for GitHub Actions": ``on.push`` and the filter pattern cheat sheet), but
for one: a workflow that names neither branches nor tags runs on the default branch only.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

import yaml

from sandbox.core.errors import UsageError

__all__ = ["Push", "find_workflows", "matches", "runs_on"]

_FOLDER = Path(".github/workflows")
_KINDS = (("refs/heads/", "branches"), ("refs/tags/", "tags"))
_SPECIAL = re.compile(r"\*\*/|\*\*|\*|[?+]|\[[^\]]+\]|\\.|.", re.DOTALL)
_MEANING = {"**/": "(?:.*/)?", "**": ".*", "*": "[^/]*", "?": "?", "+": "+"}


@dataclass(frozen=True, slots=True)
class Push:
    """What the filters look at.

    Attributes:
        ref: The full name of the ref that was pushed.
        default_branch: The repository's default branch.
        files: The changed paths; empty when they are not known, which passes every path filter.
    """

    ref: str
    default_branch: str
    files: frozenset[str] = frozenset()

    @classmethod
    def of(cls, event: Mapping[str, object]) -> Push:
        """Read a push event in GitHub's format.

        Raises:
            UsageError: It names no ref or no repository.
        """
        ref, repository, commits = event.get("ref"), event.get("repository"), event.get("commits")
        if not isinstance(ref, str) or not isinstance(repository, dict):
            raise UsageError("the event is no push event", why="it has no ref or no repository")
        listed = [commit for commit in commits if isinstance(commit, dict)] if isinstance(commits, list) else []
        files = [
            path for commit in listed for kind in ("added", "modified", "removed") for path in commit.get(kind, [])
        ]
        return cls(ref, str(repository.get("default_branch", "main")), frozenset(map(str, files)))


def find_workflows(work: Path, push: Push) -> list[Path]:
    """Give the workflow files of a checkout that run on this push, in the order of their names.

    Raises:
        UsageError: A workflow file can't be read; names it.
    """
    folder = work / _FOLDER
    files = sorted(path for path in folder.glob("*.y*ml") if path.suffix in {".yml", ".yaml"})
    return [path for path in files if runs_on(_load(path), push)]


def runs_on(workflow: Mapping[object, object], push: Push) -> bool:
    """Say whether a workflow runs on a push.

    Raises:
        UsageError: A filter pattern can't be read.
    """
    # YAML 1.1 reads the key `on` as the truth value.
    triggers = workflow.get("on", workflow.get(True))
    if isinstance(triggers, Mapping):
        return "push" in triggers and _passes(triggers["push"] or {}, push)
    named = [triggers] if isinstance(triggers, str) else triggers
    return isinstance(named, list) and "push" in named and _passes({}, push)


def matches(pattern: str, name: str) -> bool:
    """Say whether a filter pattern of GitHub's matches a name.

    Raises:
        UsageError: The pattern can't be read.
    """
    parts = [_translate(token) for token in _SPECIAL.findall(pattern)]
    try:
        return re.fullmatch("".join(parts), name, re.DOTALL) is not None
    except re.error as error:
        raise UsageError(f"{pattern!r} is no filter pattern", why=str(error)) from error


def _translate(token: str) -> str:
    if token in _MEANING:
        return _MEANING[token]
    is_class = token.startswith("[") and len(token) > 1
    return token if is_class else re.escape(token.removeprefix("\\") or "\\")


def _passes(filters: object, push: Push) -> bool:
    if not isinstance(filters, Mapping):
        return False
    if not any(key in filters for _, kind in _KINDS for key in (kind, f"{kind}-ignore")):
        return push.ref == f"refs/heads/{push.default_branch}" and _paths_pass(filters, push)
    for prefix, kind in _KINDS:
        if push.ref.startswith(prefix):
            name = push.ref.removeprefix(prefix)
            wanted, ignored = filters.get(kind), filters.get(f"{kind}-ignore")
            if wanted is not None:
                return _selected(_patterns(wanted), name) and _paths_pass(filters, push)
            ignoring = ignored is not None and not any(matches(pattern, name) for pattern in _patterns(ignored))
            return ignoring and _paths_pass(filters, push)
    return False


def _paths_pass(filters: Mapping[object, object], push: Push) -> bool:
    wanted, ignored = filters.get("paths"), filters.get("paths-ignore")
    if not push.files or (wanted is None and ignored is None):
        return True
    if wanted is not None:
        return any(_selected(_patterns(wanted), path) for path in push.files)
    return any(not any(matches(pattern, path) for pattern in _patterns(ignored)) for path in push.files)


def _selected(patterns: Iterable[str], name: str) -> bool:
    """Apply patterns in their order: a later one that begins with '!' takes out what an earlier one let in."""
    selected = False
    for pattern in patterns:
        if matches(pattern.removeprefix("!"), name):
            selected = not pattern.startswith("!")
    return selected


def _patterns(value: object) -> list[str]:
    return [str(item) for item in value] if isinstance(value, list) else [str(value)]


def _load(path: Path) -> Mapping[object, object]:
    try:
        value = yaml.safe_load(path.read_text())
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise UsageError(f"{_FOLDER / path.name} can't be read", why=str(error)) from error
    return value if isinstance(value, Mapping) else {}
