"""Why a daemon can't be reached, and what its user can do about it."""

from __future__ import annotations

import os
import shutil

__all__ = ["mend", "root_cause"]


def root_cause(error: BaseException) -> BaseException:
    """Find the operating system's own error, which libraries wrap as argument, cause or context of theirs."""
    seen: list[BaseException] = []
    waiting: list[object] = [error]
    while waiting:
        each = waiting.pop()
        if isinstance(each, BaseException) and each not in seen:
            if type(each) in (FileNotFoundError, PermissionError, ConnectionRefusedError):
                return each
            seen.append(each)
            waiting += [each.__cause__, each.__context__, *each.args]
    return error


def mend(cause: BaseException) -> str:
    """Say what to do about the operating system's refusal to connect."""
    where = os.environ.get("DOCKER_HOST", "")
    if isinstance(cause, PermissionError):
        return "let this user reach the daemon: sudo usermod -aG docker $USER, then log in again"
    if isinstance(cause, FileNotFoundError | ConnectionRefusedError) and where:
        return f"DOCKER_HOST names {where}, where no daemon listens: start it, or unset DOCKER_HOST"
    if isinstance(cause, FileNotFoundError | ConnectionRefusedError) and shutil.which("dockerd"):
        return "the daemon does not run; start it: sudo systemctl start docker"
    if isinstance(cause, FileNotFoundError | ConnectionRefusedError):
        return "install and start Docker, or do without: --engine embedded"
    return "docker info shows the same; ./inv doctor says more"
