"""Argo CD's cache, by the real Valkey."""

from __future__ import annotations

import socket
from collections.abc import Iterator

import pytest

from sandbox.components.base import Context
from sandbox.core.ports import LOOPBACK
from tests.integration.components.conftest import Bring
from tests.integration.core.support import command_line


@pytest.fixture(scope="module")
def redis(brought_up: Bring) -> Iterator[Context]:
    with brought_up("redis", tools=("valkey",)) as context:
        yield context


def ask(context: Context, *commands: str) -> list[bytes]:
    """Send inline commands (RESP) and give the first line of each answer."""
    with socket.create_connection((LOOPBACK, context.ports["redis"]), timeout=5) as connection:
        lines = connection.makefile("rb")
        answers = []
        for command in commands:
            connection.sendall(f"{command}\r\n".encode())
            answers.append(lines.readline().strip())
        return answers


def test_nobody_is_answered_without_the_password(redis: Context) -> None:
    for command in ("PING", "GET a", "CONFIG GET requirepass", "FLUSHALL"):
        assert ask(redis, command)[0].startswith(b"-NOAUTH")
    assert ask(redis, "AUTH wrong")[0].startswith(b"-WRONGPASS")


def test_whoever_knows_the_password_is_answered(redis: Context) -> None:
    password = redis.secrets.value("redis")
    assert ask(redis, f"AUTH {password}", "SET a 1", "PING") == [b"+OK", b"+OK", b"+PONG"]


def test_the_password_is_in_no_argument(redis: Context) -> None:
    pid = redis.supervisor.components()["redis"].pid
    assert pid is not None
    assert redis.secrets.value("redis") not in " ".join(command_line(pid))


def test_it_listens_on_loopback_only(redis: Context) -> None:
    # /proc/net/tcp: the local address in hexadecimal, and 0A for a listener (proc(5)).
    port = f"{redis.ports['redis']:04X}"
    with open("/proc/net/tcp") as table, open("/proc/net/tcp6") as table6:  # noqa: PTH123  # a list of the kernel's
        rows = [line.split() for line in (*table, *table6)]
    assert [row[1] for row in rows if row[1].endswith(f":{port}") and row[3] == "0A"] == [f"0100007F:{port}"]
