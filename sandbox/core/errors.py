"""The errors that a user may meet, each with its exit code.

    SandboxError            what happened, why, what to do next
    ├── UsageError          exit 2: a wrong name, option or file of the user's
    ├── UnavailableError    exit 3: a tool or service is missing, or died
    │   └── ConditionFailedError   the thing waited for can no longer come true
    └── DeadlineError       exit 4: a wait ran out, with what was wanted and last seen

A story that did not hold is a verdict, not an error: see ``sandbox.gitops``.
"""

from __future__ import annotations

__all__ = ["ConditionFailedError", "DeadlineError", "SandboxError", "UnavailableError", "UsageError"]


class SandboxError(Exception):
    """Something a user should read, never a traceback.

    Args:
        what: One sentence that says what happened.
        why: The cause as far as it is known.
        hint: What to do next; a command that can be pasted where there is one.

    Attributes:
        reported: Whether the result that was given already tells of it.
    """

    exit_code = 1
    reported = False

    def __init__(self, what: str, *, why: str = "", hint: str = "") -> None:
        super().__init__(what)
        self.what = what
        self.why = why
        self.hint = hint

    def __str__(self) -> str:
        """Give the three parts on a line each."""
        lines = [self.what]
        if self.why:
            lines.append(f"  why:  {self.why}")
        if self.hint:
            lines.append(f"  next: {self.hint}")
        return "\n".join(lines)


class UsageError(SandboxError):
    """The user asked for something that can't be: exit code 2."""

    exit_code = 2


class UnavailableError(SandboxError):
    """A tool or a service that is needed is missing, or died: exit code 3."""

    exit_code = 3


class ConditionFailedError(UnavailableError):
    """What was waited for can no longer come true; waiting on would hide the reason."""


class DeadlineError(SandboxError):
    """A wait ran out of time: exit code 4."""

    exit_code = 4
