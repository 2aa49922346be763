"""Who may read and write which repository: Basic authentication and patterns of names."""

from __future__ import annotations

import enum
import hashlib
import hmac
from collections.abc import Mapping
from dataclasses import dataclass, field
from fnmatch import fnmatchcase

from aiohttp import BasicAuth

__all__ = ["Right", "User", "authenticate"]


class Right(enum.Enum):
    """What a request wants to do with a repository."""

    READ = "read"
    WRITE = "write"


@dataclass(frozen=True, slots=True)
class User:
    """One credential.

    Attributes:
        name: The user's name.
        password: The password; kept out of ``repr``, so that it can't slip into a log.
        read: Patterns of the repositories that may be fetched; ``*`` also matches '/'.
        write: Patterns of those that may be pushed to.
    """

    name: str
    password: str = field(repr=False)
    read: tuple[str, ...] = ()
    write: tuple[str, ...] = ()

    def may(self, right: Right, repository: str) -> bool:
        """Say whether the user has ``right`` on the repository of this name."""
        patterns = self.read if right is Right.READ else self.write
        return any(fnmatchcase(repository, pattern) for pattern in patterns)


def authenticate(users: Mapping[str, User], authorization: str) -> User | None:
    """Give the user whose name and password an ``Authorization`` header carries, or None.

    An unknown name takes as long as a wrong password.
    """
    try:
        given = BasicAuth.decode(authorization, encoding="utf-8")
    except ValueError:
        return None
    user = users.get(given.login)
    expected = user.password if user else ""
    # Digests have one length, so that the comparison does not even tell the password's.
    matches = hmac.compare_digest(_digest(given.password), _digest(expected))
    return user if matches else None


def _digest(password: str) -> bytes:
    return hashlib.sha256(password.encode()).digest()
