"""What the verb `tools` shows: each tool's version, provider, size and time, and whether its files are sound."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from sandbox.core.names import check_choice
from sandbox.toolchain.ensure import ensure_tools
from sandbox.toolchain.shelf import find_tool, sources_of, tool_store
from sandbox.toolchain.tool import Progress, SilentProgress, Tool
from sandbox.toolchain.versions import load_versions

__all__ = ["ToolRow", "list_tools", "tool_names", "tools_json", "tools_table", "verify_tools"]

HEADINGS = ("tool", "version", "provider", "size", "time", "source")

_MEBIBYTE = 1 << 20


@dataclass(frozen=True, slots=True)
class ToolRow:
    """One tool as the verb shows it; ``tool`` is None while it is not in the cache."""

    name: str
    version: str
    providers: tuple[str, ...]
    tool: Tool | None


def tool_names() -> list[str]:
    """Give the names of all tools, in the order in which they are made."""
    return list(load_versions())


def list_tools(names: Sequence[str] = ()) -> list[ToolRow]:
    """Say of tools what is in the cache, without getting anything.

    Args:
        names: Which; all when left out.

    Raises:
        UsageError: There is no such tool.
    """
    versions = load_versions()
    for name in names:
        check_choice("tool", name, versions, listing="./inv tools")
    store = tool_store()
    return [
        ToolRow(
            tool.name, tool.version, tuple(source.provider for source in tool.sources), find_tool(store, tool, None)
        )
        for tool in versions.values()
        if not names or tool.name in names
    ]


def verify_tools(names: Sequence[str] = (), *, progress: Progress | None = None) -> dict[str, list[str]]:
    """Read every file of the tools in the cache, compare its SHA-256, and make damaged tools again.

    Args:
        names: Which; all when left out.
        progress: Told about what is made again.

    Returns:
        The damaged files by tool, as they were found; empty when all is sound.

    Raises:
        UsageError: There is no such tool.
        UnavailableError: A damaged tool can't be had again.
    """
    told = progress or SilentProgress()
    versions = load_versions()
    for name in names:
        check_choice("tool", name, versions, listing="./inv tools")
    store = tool_store()
    damaged: dict[str, list[str]] = {}
    for tool in versions.values():
        if names and tool.name not in names:
            continue
        for source in sources_of(tool, None):
            if files := store.damage(tool, source):
                damaged.setdefault(tool.name, []).extend(files)
                store.discard(tool, source, told)
    ensure_tools(list(damaged), progress=told)
    return damaged


def tools_table(tools: Iterable[Tool]) -> list[tuple[str, ...]]:
    """Give a row of text for each tool, under HEADINGS."""
    return [
        (
            tool.name,
            tool.version,
            tool.provider,
            f"{tool.size / _MEBIBYTE:.1f} MiB",
            f"{tool.seconds:.1f} s",
            f"{tool.source}\nNote: {tool.note}" if tool.note else tool.source,
        )
        for tool in tools
    ]


def tools_json(tools: Iterable[Tool]) -> list[dict[str, str | int | float]]:
    """Give an object for each tool: ``size`` in bytes, ``seconds`` that getting it took, ``path`` of its folder."""
    return [
        {
            "name": tool.name,
            "version": tool.version,
            "provider": tool.provider,
            "source": tool.source,
            "size": tool.size,
            "seconds": tool.seconds,
            "path": str(tool.root),
            "note": tool.note,
        }
        for tool in tools
    ]
