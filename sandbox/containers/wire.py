"""What a daemon sends in pieces, put together again."""

from __future__ import annotations

import io
import struct
from collections.abc import Iterable, Iterator
from typing import Any, Protocol

__all__ = ["STDERR", "STDOUT", "frames", "joined"]

STDOUT, STDERR = 1, 2

_HEAD = struct.Struct(">BxxxL")
_BUFFERED_BYTES = 1 << 20


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


def joined(chunks: Iterable[bytes]) -> io.BufferedReader:
    """Give a file that reads what chunks hold, one after the other."""
    return io.BufferedReader(_Chunks(chunks), _BUFFERED_BYTES)


class _Chunks(io.RawIOBase):
    def __init__(self, chunks: Iterable[bytes]) -> None:
        super().__init__()
        self._chunks = (memoryview(chunk) for chunk in chunks if chunk)
        self._rest = memoryview(b"")

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any, /) -> int:
        target = memoryview(buffer).cast("B")
        if not self._rest:
            self._rest = next(self._chunks, memoryview(b""))
        length = min(len(target), len(self._rest))
        target[:length], self._rest = self._rest[:length], self._rest[length:]
        return length
