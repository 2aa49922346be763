"""What stands in the lease of a run."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

from sandbox.core.processes import Process

__all__ = ["Note"]


@dataclass(frozen=True, slots=True)
class Note:
    """What stands in a lease: whose it is, and why its sandbox did not come up if it did not."""

    first: Process
    failed: str = ""

    @classmethod
    def read(cls, path: Path) -> Note | None:
        """Read the note of a lease; None where whoever made it was ended before it wrote one."""
        try:
            said = json.loads(path.read_text())
            return cls(Process(int(said["pid"]), int(said["started"])), str(said["failed"]))
        except (ValueError, KeyError, TypeError):
            return None

    def write(self, path: Path) -> None:
        """Write it into the file that there is, which is the one that is locked."""
        path.write_text(json.dumps({"pid": self.first.pid, "started": self.first.started, "failed": self.failed}))
