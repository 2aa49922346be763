"""The supervisor's socket: whatever is said there, the components run on."""

from __future__ import annotations

import os
import socket
from pathlib import Path

import pytest

from sandbox.core.supervisor import SOCKET
from tests.integration.core.support import Box


def say(folder: Path, words: bytes) -> bytes:
    """Say something to the supervisor's socket and give the answer."""
    descriptor = os.open(folder, os.O_PATH | os.O_DIRECTORY)
    try:
        with socket.socket(socket.AF_UNIX) as connection:
            connection.settimeout(10)
            connection.connect(f"/proc/self/fd/{descriptor}/{SOCKET}")
            connection.sendall(words)
            connection.shutdown(socket.SHUT_WR)
            return connection.makefile("rb").read()
    finally:
        os.close(descriptor)


@pytest.mark.parametrize(
    "words",
    [
        b"",
        b"\n",
        b"GET / HTTP/1.1\r\n\r\n",
        b"\xff\xfe\n",
        b"[]\n",
        b"null\n",
        b'"status"\n',
        b"{}\n",
        b'{"op": "explode"}\n',
        b'{"op": []}\n',
        b'{"op": "ensure"}\n',
        b'{"op": "ensure", "spec": []}\n',
        b'{"op": "ensure", "spec": {"name": "a", "argv": ["true"], "env": [], "cwd": "/", "log": 5}}\n',
        b'{"op": "ensure", "spec": {"name": "a", "argv": ["true"], "env": 5, "cwd": "/", "log": "/dev/null"}}\n',
        b'{"op": "ensure", "spec": {"name": "a", "argv": ["true"], "env": {}, "cwd": "/", "log": "", "grace": "a"}}\n',
        b'{"op": "ensure", "spec": {"name": "a", "argv": [], "env": {}, "cwd": "/", "log": "/dev/null"}}\n',
        b'{"op": "ensure", "spec": {"name": "a", "argv": [1], "env": {}, "cwd": "/", "log": "/dev/null"}}\n',
        b'{"op": "ensure", "spec": {"name": "a", "argv": ["true"], "env": {"A": 1}, "cwd": "/", "log": "/dev/null"}}\n',
        b'{"op": "ensure", "spec": {"name": [], "argv": ["true"], "env": {}, "cwd": "/", "log": "/dev/null"}}\n',
        b'{"op": "stop"}\n',
        b'{"op": "stop", "names": 5}\n',
        b'{"op": "stop", "names": [["a"]]}\n',
        b"[" * 100_000 + b"\n",
        b"x" * (2 << 20),
    ],
    ids=lambda words: words[:60].decode(errors="replace").strip() or "nothing",
)
def test_nonsense_on_the_socket_ends_nothing(box: Box, words: bytes) -> None:
    process = box.running(box.sleeper())
    try:
        answer = say(box.folder, words)
    except (BrokenPipeError, ConnectionResetError):
        answer = b""
    assert answer == b""
    assert process.alive
    assert box.status().state == "running"
    assert box.client.components().keys() == {"sleeper"}


def test_a_client_that_goes_away_without_reading_ends_nothing(box: Box) -> None:
    descriptor = os.open(box.folder, os.O_PATH | os.O_DIRECTORY)
    for _ in range(20):
        with socket.socket(socket.AF_UNIX) as connection:
            connection.connect(f"/proc/self/fd/{descriptor}/{SOCKET}")
            connection.sendall(b'{"op": "status"}\n')
    os.close(descriptor)
    assert box.running(box.sleeper()).alive
