"""What all providers share: the error after which the next source is tried."""

from __future__ import annotations

from sandbox.core.errors import UnavailableError

__all__ = ["SourceError"]


class SourceError(UnavailableError):
    """This source can't give the tool; another may. Its message is the reason that the user reads."""
