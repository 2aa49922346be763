"""What a history and a tree are made of."""

from __future__ import annotations

import re
from dataclasses import dataclass

__all__ = ["Commit", "Entry"]


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


@dataclass(frozen=True, slots=True)
class Entry:
    """What a commit's tree has at one path.

    Attributes:
        path: Where.
        mode: As Git writes it: ``100644`` or ``100755`` a file, ``120000`` a symbolic link, ``160000`` a submodule.
        sha: The blob; of a submodule, its commit.
        size: Bytes; 0 for a submodule.
    """

    path: str
    mode: str
    sha: str
    size: int

    @property
    def is_link(self) -> bool:
        """Whether it is a symbolic link."""
        return self.mode == "120000"

    @property
    def is_submodule(self) -> bool:
        """Whether it is another repository's commit."""
        return self.mode == "160000"
