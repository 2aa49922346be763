"""Pages of the documentation as scripts: what their readers would type, in the same order."""

from __future__ import annotations

import re
import shlex
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from markdown_it import MarkdownIt

__all__ = ["Block", "blocks", "follow", "unmet"]

_TITLE = re.compile(r'title="([^"]+)"')
_MARK = "\x1e"  # ASCII's record separator, which no program prints
_ANYTHING = "…"


@dataclass(frozen=True, slots=True)
class Block:
    """One fenced block of a page.

    Attributes:
        language: ``sh`` is typed; ``text`` is what must be seen then, where ``…`` stands for anything.
        content: Its lines.
        file: The file that the reader saves it as; empty for none.
        line: Where it begins in the page.
    """

    language: str
    content: str
    file: str
    line: int


def blocks(page: Path) -> list[Block]:
    """Give the fenced blocks of a page, in their order."""
    found = []
    for token in MarkdownIt().parse(page.read_text()):
        if token.type == "fence":
            title = _TITLE.search(token.info)
            line = token.map[0] + 1 if token.map else 0
            found.append(Block(token.info.partition(" ")[0], token.content, title[1] if title else "", line))
    return found


def follow(page: Path, folder: Path, environment: Mapping[str, str], *, seconds: float) -> dict[int, str]:
    """Do all that a page says, in one shell that ends at the first command that fails.

    Args:
        page: The page.
        folder: Where its reader works.
        environment: Of the reader's shell.
        seconds: How long it may take in all.

    Returns:
        What was seen after each block that is typed, by the block's line.
    """
    script = ["set -eu", "exec 2>&1"]
    for block in blocks(page):
        if block.file:
            kept = folder / f".block-{block.line}"
            kept.write_text(block.content)
            target = shlex.quote(block.file)
            script += [f"mkdir -p -- $(dirname -- {target})", f"cp -- {shlex.quote(str(kept))} {target}"]
        elif block.language == "sh":
            script += [f"printf '{_MARK}%s\\n' {block.line}", block.content]
    done = subprocess.run(
        ["bash", "-c", "\n".join(script)],
        cwd=folder,
        env=dict(environment),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        text=True,
        timeout=seconds,
        check=False,
    )
    assert done.returncode == 0, f"a command of {page.name} ended with {done.returncode}:\n{done.stdout[-5000:]}"
    parts = [part.partition("\n") for part in done.stdout.split(_MARK)[1:]]
    return {int(line): seen for line, _, seen in parts}


def unmet(page: Path, seen: Mapping[int, str]) -> list[str]:
    """Name what a page says is seen, and was not: lines in their order, after the block before."""
    missing, typed = [], 0
    for block in blocks(page):
        if block.language == "sh":
            typed = block.line
        if block.language == "text":
            rest = seen.get(typed, "")
            for line in filter(None, map(str.strip, block.content.splitlines())):
                pattern = ".*?".join(re.escape(part) for part in line.split(_ANYTHING))
                found = re.search(pattern.replace(r"\ ", r"\s+"), rest)
                if found is None:
                    missing.append(f"line {block.line}: {line}")
                else:
                    rest = rest[found.end() :]
    return missing
