"""Streams of the API server, which are to be ended from another thread."""

from __future__ import annotations

import contextlib
import socket
import threading
from collections.abc import Iterator
from typing import Any

__all__ = ["Ending"]


class Ending:
    """Ends streams from another thread: one that nothing comes from would otherwise be read for minutes more."""

    def __init__(self) -> None:
        self._over = threading.Event()
        self._changing = threading.Lock()
        self._open: set[Any] = set()

    def over(self) -> bool:
        """Say whether the streams were ended."""
        return self._over.is_set()

    def pause(self, seconds: float) -> None:
        """Wait a while, unless the streams are ended."""
        self._over.wait(seconds)

    @contextlib.contextmanager
    def of(self, answer: Any) -> Iterator[None]:
        """Have a stream (``urllib3.HTTPResponse``) ended with the others while it is read."""
        with self._changing:
            self._open.add(answer)
        if self.over():
            self._shut(answer)
        try:
            yield
        finally:
            with self._changing:
                self._open.discard(answer)

    def end(self) -> None:
        """End every stream; whoever reads one gets its end at once."""
        self._over.set()
        with self._changing:
            for answer in self._open:
                self._shut(answer)

    @staticmethod
    def _shut(answer: Any) -> None:
        stream = getattr(answer.connection, "sock", None)
        if stream is not None:
            # Not by its own method, which would have the reader go on without TLS; nor is one that has just come
            # to its end by itself an error.
            with contextlib.suppress(OSError):
                socket.socket.shutdown(stream, socket.SHUT_RDWR)
