"""A picture of what a terminal showed, made from a real run."""

from __future__ import annotations

import io
import re
from collections.abc import Iterable
from pathlib import Path

from rich.console import Console, RenderableType

from sandbox.core.files import write_file

__all__ = ["record_svg"]

_FONT_FACE = re.compile(r"\s*@font-face\s*\{[^}]*\}")
_FONTS = "Fira Code, DejaVu Sans Mono, Menlo, Consolas, monospace"
_READABLE = 0o644


def record_svg(renderables: Iterable[RenderableType], title: str, path: Path, *, width: int = 100) -> Path:
    """Draw what a terminal in colour would show, as an SVG.

    The same content gives the same file, and the file asks no other server for its font.

    Args:
        renderables: What to show, from top to bottom; for a run, ``narrated(timeline.events, width)`` and tables.
        title: The title of the window.
        path: The file to write.
        width: The columns of the terminal.

    Raises:
        UnavailableError: The file can't be written.
    """
    console = Console(
        file=io.StringIO(),
        record=True,
        width=width,
        force_terminal=True,
        color_system="truecolor",
        no_color=False,
        highlight=False,
        legacy_windows=False,
    )
    for renderable in renderables:
        console.print(renderable)
    drawn = _FONT_FACE.sub("", console.export_svg(title=title)).replace("Fira Code, monospace", _FONTS)
    # Without it some renderers drop the spaces that a line begins with.
    return write_file(path, drawn.replace("<svg ", '<svg xml:space="preserve" ', 1), mode=_READABLE)
