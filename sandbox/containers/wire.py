"""What a daemon sends of a program's output, taken apart."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from typing import Protocol

__all__ = ["STDERR", "STDOUT", "frames"]

STDOUT, STDERR = 1, 2

_HEAD = struct.Struct(">BxxxL")


class _Readable(Protocol):
    def read(self, amount: int, /) -> bytes: ...


def frames(stream: _Readable) -> Iterator[tuple[int, bytes]]:
    """Take apart what a program writes to stdout and stderr, as it comes (Docker Engine API, "Attach to a container").

    Args:
        stream: Frames, each with a head that says whose it is and how long.

    Yields:
        STDOUT or STDERR, and what was written to it.
    """
    while head := _exactly(stream, _HEAD.size):
        kind, length = _HEAD.unpack(head)
        yield kind, _exactly(stream, length)


def _exactly(stream: _Readable, length: int) -> bytes:
    parts = []
    while length and (part := stream.read(length)):
        parts.append(part)
        length -= len(part)
    return b"".join(parts)
