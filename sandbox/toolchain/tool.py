"""What the toolchain gives: a tool whose files were verified, and the protocol by which it tells of long work."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

__all__ = ["Progress", "SilentProgress", "Tool"]


@dataclass(frozen=True, slots=True)
class Tool:
    """One tool, ready to run.

    Attributes:
        name: Its name in versions.toml.
        version: Its exact version; for a system program the one that it reported.
        provider: "release", "go", "wheel" or "system".
        source: Where it came from, for people.
        root: Its folder in the cache.
        program: The file name of its main program.
        size: Bytes of all its files.
        seconds: What getting it took.
        note: What a user should know of a tool from this source.
    """

    name: str
    version: str
    provider: str
    source: str
    root: Path
    program: str
    size: int
    seconds: float
    note: str = ""

    def binary(self, name: str = "") -> Path:
        """Give the path of a program of this tool; of its main one when no name is given."""
        return self.root / "bin" / (name or self.program)

    def file(self, name: str) -> Path:
        """Give the path of a file that belongs to this tool, such as ``install.yaml``."""
        return self.root / "share" / name


class Progress(Protocol):
    """Who wants to know how the making of tools goes. Calls come from several threads."""

    def begin(self, tool: str, provider: str, estimate_seconds: float | None) -> None:
        """Say that a provider starts on a tool, and how long that took elsewhere."""

    def update(self, tool: str, done_fraction: float | None, note: str) -> None:
        """Say how far it is (0 to 1, or unknown) and what happens now."""

    def end(self, tool: str, seconds: float) -> None:
        """Say that the provider is done with the tool, well or badly."""


class SilentProgress:
    """Tells nobody."""

    def begin(self, tool: str, provider: str, estimate_seconds: float | None) -> None:
        """Do nothing."""

    def update(self, tool: str, done_fraction: float | None, note: str) -> None:
        """Do nothing."""

    def end(self, tool: str, seconds: float) -> None:
        """Do nothing."""
