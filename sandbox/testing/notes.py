"""What stands in the lease of a run."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

from sandbox.core.processes import Process

__all__ = ["Note"]


@dataclass(frozen=True, slots=True)
class Note:
    """What stands in a lease.

    Attributes:
        first: The process with which the run ends.
        up: Whether the sandbox has come up.
        failed: Why it did not.
    """

    first: Process
    up: bool = False
    failed: str = ""

    @property
    def settled(self) -> bool:
        """Whether somebody has tried to bring the sandbox up, and came to an end with that."""
        return self.up or bool(self.failed)

    @classmethod
    def read(cls, path: Path) -> Note | None:
        """Read the note of a lease; None where whoever made it was ended before it wrote one."""
        try:
            said = json.loads(path.read_text())
            return cls(Process(int(said["pid"]), int(said["started"])), bool(said["up"]), str(said["failed"]))
        except (ValueError, KeyError, TypeError):
            return None

    def write(self, path: Path) -> None:
        """Write it into the file that there is, which is the one that is locked."""
        said = {"pid": self.first.pid, "started": self.first.started, "up": self.up, "failed": self.failed}
        path.write_text(json.dumps(said))
