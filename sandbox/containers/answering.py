"""Whether a daemon answers, and which version of its API it speaks."""

from __future__ import annotations

import contextlib
import socket

import docker
from docker.api import APIClient
from docker.constants import DEFAULT_DOCKER_API_VERSION

__all__ = ["answered_version"]

_SECONDS = 10.0


def answered_version(timeout: float) -> str | None:
    """Ask the daemon for the version of its API as Docker's own client does, by the head of its shortest answer.

    To be asked for its version or for all that it knows has a daemon start the programs of its runtimes, each time
    (Docker Engine API, "Ping" and "Get version").

    Args:
        timeout: How long it may take, in seconds.

    Returns:
        The newest version that it speaks; None where it does not say.

    Raises:
        OSError: Nobody listens there, or not to this user.
        requests.RequestException: It does not answer.
        DockerException: What says where it is can't be used.
    """
    with contextlib.closing(docker.from_env(version=DEFAULT_DOCKER_API_VERSION)) as client:
        _check_listens(client.api)
        answer = client.api.get(f"{client.api.base_url}/_ping", timeout=timeout)
        answer.raise_for_status()
        version: str | None = answer.headers.get("API-Version")
        return version


def _check_listens(client: APIClient) -> None:
    """Connect to the socket that the SDK is about to use, and hang up; nothing happens where it uses TCP.

    The SDK leaves a socket that could not connect to the garbage collector, which complains of it.
    """
    path = getattr(client.get_adapter(client.base_url), "socket_path", None)
    if path is not None:
        with socket.socket(socket.AF_UNIX) as probe:
            probe.settimeout(_SECONDS)
            probe.connect(path)
