"""Allow-lists for the names that users give: what is not allowed never reaches a path, a URL or an argv."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable

from sandbox.core.errors import UsageError

__all__ = ["check_choice", "check_repository_name", "check_sandbox_name", "check_snapshot_name"]

_LABEL = re.compile(r"[a-z0-9](?:[a-z0-9-]{0,30}[a-z0-9])?")
_REPOSITORY_PART = re.compile(r"[a-z0-9](?:[a-z0-9._-]{0,62}[a-z0-9])?")
_REPOSITORY_DEPTH = 3


def check_sandbox_name(name: str) -> str:
    """Return ``name`` if a sandbox may be called so: a DNS label of at most 32 characters.

    Raises:
        UsageError: It may not; says what is allowed.
    """
    return _check_label(name, "a sandbox", hint="--name my-sandbox")


def check_snapshot_name(name: str) -> str:
    """Return ``name`` if a snapshot may be called so: by the rule of sandboxes' names.

    Raises:
        UsageError: It may not; says what is allowed.
    """
    return _check_label(name, "a snapshot", hint="snapshot before-the-change")


def _check_label(name: str, of: str, hint: str) -> str:
    if not _LABEL.fullmatch(name):
        raise UsageError(
            f"{name!r} can't be the name of {of}",
            why="a name has 1 to 32 characters: a-z, 0-9 and '-', with a letter or digit at both ends",
            hint=hint,
        )
    return name


def check_repository_name(name: str) -> str:
    """Return ``name`` if a Git repository may be called so: up to three parts joined by '/', without '.git'.

    Raises:
        UsageError: It may not; says what is allowed.
    """
    parts = name.split("/")
    allowed = len(parts) <= _REPOSITORY_DEPTH and all(
        _REPOSITORY_PART.fullmatch(part) and ".." not in part and not part.endswith((".git", ".lock")) for part in parts
    )
    if not allowed:
        raise UsageError(
            f"{name!r} can't be the name of a repository",
            why="up to three parts joined by '/', each of a-z, 0-9, '.', '_' and '-', none ending in .git",
            hint="environment, or team/environment",
        )
    return name


def check_choice(kind: str, name: str, choices: Iterable[str], *, listing: str = "") -> str:
    """Return ``name`` if it is one of ``choices``.

    Args:
        kind: What is chosen, for the message: "scenario", "engine".
        name: What the user gave.
        choices: What there is.
        listing: The command that lists the choices.

    Raises:
        UsageError: It is none of them; names the closest and all there are.
    """
    known = sorted(choices)
    if name in known:
        return name
    close = difflib.get_close_matches(name, known, n=1)
    raise UsageError(
        f"there is no {kind} {name!r}" + (f"; did you mean {close[0]!r}?" if close else ""),
        why=f"known: {', '.join(known) or 'none'}",
        hint=listing,
    )
