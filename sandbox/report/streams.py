"""Consoles whose reader may leave: what is shown of a run must never end the run."""

from __future__ import annotations

import os
from typing import IO, Any, cast

from rich.console import Console

__all__ = ["LastingStream", "open_console"]

_WIDEST = 120
_NARROWEST = 20


class LastingStream:
    """A text stream that goes silent when nobody reads it any more, instead of raising.

    A closed pipe, a terminal that hung up or a full disk behind a redirected log would otherwise
    break whatever happened to report its progress just then.

    Args:
        stream: Where the text goes.
    """

    def __init__(self, stream: IO[str]) -> None:
        self._stream = stream
        self.lost = False

    def write(self, text: str) -> int:
        """Write text, or nothing once the reader is gone."""
        if not self.lost:
            try:
                self._stream.write(text)
            except (OSError, ValueError) as error:
                self._note_loss(error)
        return len(text)

    def flush(self) -> None:
        """Hand on what was written, unless the reader is gone."""
        if not self.lost:
            try:
                self._stream.flush()
            except (OSError, ValueError) as error:
                self._note_loss(error)

    def _note_loss(self, error: Exception) -> None:
        # ValueError is what a closed file raises; a character that its encoding lacks is one too, and a defect.
        if isinstance(error, ValueError) and not self._stream.closed:
            raise error
        self.lost = True

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)


def open_console(stream: IO[str]) -> Console:
    """Give a console on a stream: colours and width of a terminal, plain lines of 120 columns elsewhere.

    NO_COLOR, FORCE_COLOR and COLUMNS are honoured as Rich documents it. Numbers and paths are not coloured on their
    own, and square brackets mean nothing: the text of programs is shown as it is.
    """
    file = cast("IO[str]", LastingStream(stream))
    console = Console(file=file, highlight=False, markup=False, emoji=False)
    if not console.is_terminal and "COLUMNS" not in os.environ:
        console.width = _WIDEST
    console.width = max(_NARROWEST, min(_WIDEST, console.width))
    return console
