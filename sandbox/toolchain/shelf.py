"""Finding a tool in this user's cache, by the sources that it may have come from."""

from __future__ import annotations

from sandbox.core.folders import cache_root
from sandbox.toolchain.store import Store
from sandbox.toolchain.tool import Tool
from sandbox.toolchain.versions import Source, ToolDescription

__all__ = ["find_tool", "sources_of", "tool_store"]


def tool_store() -> Store:
    """Give this user's cache of tools."""
    return Store(cache_root() / "tools")


def sources_of(tool: ToolDescription, provider: str | None) -> tuple[Source, ...]:
    """Give a tool's sources in the order in which they are tried.

    A forced provider holds for the tools that it has; the others keep their own order.
    """
    forced = tuple(source for source in tool.sources if source.provider == provider)
    return forced or tool.sources


def find_tool(store: Store, tool: ToolDescription, provider: str | None) -> Tool | None:
    """Give a tool from the cache, of the first source that it is there of."""
    kept = (store.find(tool, source) for source in sources_of(tool, provider))
    return next((found for found in kept if found is not None), None)
