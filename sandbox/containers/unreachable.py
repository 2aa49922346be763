"""Why a daemon can't be reached or refuses something, and what its user can do about it."""

from __future__ import annotations

import contextlib
import errno
import os
import shutil
from collections.abc import Iterator

import requests
from docker.errors import APIError, BuildError, DockerException

from sandbox.core.errors import UnavailableError

__all__ = ["mend", "mend_refusal", "our_errors", "root_cause"]


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


def mend_refusal(said: str) -> str:
    """Say what to do about a refusal that a daemon has put into words."""
    if os.strerror(errno.ENOSPC).lower() in said.lower():
        return "free space where Docker keeps its data (docker info names it as Docker Root Dir): docker system df"
    return "./inv doctor"


@contextlib.contextmanager
def our_errors(what: str) -> Iterator[None]:
    """Turn what the SDK and the connection raise into an error that says what to do.

    Raises:
        UnavailableError: Something was raised.
    """
    try:
        yield
    except BuildError as error:
        raise UnavailableError(what, why=str(error)) from error
    except APIError as error:
        said = str(error.explanation or error)
        raise UnavailableError(what, why=said, hint=mend_refusal(said)) from error
    except (DockerException, requests.RequestException, OSError) as error:
        cause = root_cause(error)
        raise UnavailableError(what, why=str(cause), hint=mend(cause)) from error
