"""What a verb says: text for people on stdout, or one JSON object there and the progress on stderr."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping
from typing import Any

from rich.console import Console

from sandbox.core.errors import SandboxError

__all__ = ["Output"]


_COLUMNS = 120  # where nobody's terminal says how many there are


class _Console(Console):
    """A console that leaves it to the program what to do when nobody reads any more; rich's own ends it with 1."""

    def on_broken_pipe(self) -> None:
        """Go on raising BrokenPipeError."""
        raise  # noqa: PLE0704  # rich calls it while it handles that


class Output:
    """Where a verb's words go.

    Args:
        as_json: Whether stdout is for one JSON object.
    """

    def __init__(self, *, as_json: bool) -> None:
        self.as_json = as_json
        watched = (sys.stderr if as_json else sys.stdout).isatty()
        self.console = _Console(stderr=as_json, highlight=False, width=None if watched else _COLUMNS)

    @property
    def live(self) -> bool:
        """Whether somebody watches."""
        return self.console.is_terminal

    def result(self, value: Mapping[str, Any], *renderables: Any) -> None:
        """Give the result: ``value`` as JSON, or what people read instead."""
        if self.as_json:
            print(json.dumps(value, indent=2))  # noqa: T201  # stdout is the interface
        else:
            for renderable in renderables:
                self.console.print(renderable)

    def note(self, text: str) -> None:
        """Say something in passing."""
        # As it is: the name of a file of the user's may look like markup.
        self.console.print(text, style="dim", markup=False)

    def error(self, error: SandboxError) -> None:
        """Say what happened, why, and what to do next; as the JSON object too where no result was given."""
        if self.as_json and not error.reported:
            print(json.dumps({"error": {"what": error.what, "why": error.why, "next": error.hint}}))  # noqa: T201
        console = Console(stderr=True, highlight=False)
        console.print(f"[bold red]error:[/] {_escaped(error.what)}")
        if error.why:
            console.print(f"  why:  {_escaped(error.why)}")
        if error.hint:
            console.print(f"  next: {_escaped(error.hint)}")


def _escaped(text: str) -> str:
    return text.replace("[", r"\[")
