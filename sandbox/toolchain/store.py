"""The cache of tools: one folder for each tool, source and recipe, whole or not there at all.

    <cache>/tools/<name>-<version>-<hash>/     bin/, share/ and manifest.json
    <cache>/tools/.making-<entry>.<random>/    an entry in the making; its maker holds the entry's lock
    <cache>/tools/.locks/<entry>.lock          flock, freed by the kernel however its holder ends

The hash covers the tool's part of versions.toml, the go.mod and go.sum that it leads to, the architecture
and RECIPE; so an entry is never out of date, and nothing has to be invalidated.
"""

from __future__ import annotations

import contextlib
import dataclasses
import hashlib
import json
import os
import shutil
import tempfile
import time
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sandbox.core.conditions import Deadline
from sandbox.core.errors import DeadlineError, UsageError
from sandbox.core.files import digest, make_private_dir, read_json, write_json, writing_errors
from sandbox.core.locks import Mode, locked
from sandbox.toolchain.tool import Progress, Tool
from sandbox.toolchain.versions import GoModule, Source, ToolDescription, architecture

__all__ = ["Made", "Store"]

# To be raised when the way in which entries are made changes what is in them.
RECIPE = 1

# An estimate and a remark: new ones must not cost a new build.
_DECIDE_NOTHING = frozenset({"seconds", "note"})

_EXECUTABLE = 0o111
_LOCK_SECONDS = 3600.0
_HELD = "another process is making it"


@dataclass(frozen=True, slots=True)
class Made:
    """What a provider says of the files that it put into a folder.

    Attributes:
        source: Where they came from, for people.
        version: The version that the program reported, where that may differ from the locked one.
    """

    source: str
    version: str = ""


def _recipe(value: object) -> object:
    """Turn a description into what decides an entry's content."""
    if isinstance(value, GoModule):
        locks = [digest(value.lock / name) for name in ("go.mod", "go.sum")]
        return [value.path, value.version, value.ldflags, value.tags, *locks]
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        said = {field.name: getattr(value, field.name) for field in dataclasses.fields(value)}
        # Nothing replaced counts like a lock from before anything could be: what is in the caches stays good.
        ignored = _DECIDE_NOTHING if said.get("replacements") else {*_DECIDE_NOTHING, "replacements"}
        return {name: _recipe(part) for name, part in said.items() if name not in ignored}
    if isinstance(value, tuple):
        return [_recipe(part) for part in value]
    return value


class Store:
    """The tools in one cache folder.

    Args:
        root: The folder; made when it is missing.
    """

    def __init__(self, root: Path) -> None:
        self._root = make_private_dir(root)

    def entry(self, tool: ToolDescription, source: Source) -> Path:
        """Give the folder in which this tool from this source is kept, made or not."""
        recipe = [RECIPE, architecture(), tool.name, tool.version, tool.binary, _recipe(tool.files), _recipe(source)]
        key = hashlib.sha256(json.dumps(recipe, sort_keys=True).encode()).hexdigest()[:16]
        return self._root / f"{tool.name}-{tool.version}-{key}"

    def find(self, tool: ToolDescription, source: Source) -> Tool | None:
        """Give the tool if it is there and no file of it differs in size and time from what was verified.

        A file whose time alone differs is read whole and compared by its SHA-256.
        """
        entry = self.entry(tool, source)
        manifest = _manifest(entry)
        if manifest is None:
            return None
        touched = False
        for name, known in manifest["files"].items():
            seen = _stat(entry / name)
            if seen is None or seen.st_size != known["size"] or (known["program"] and not seen.st_mode & _EXECUTABLE):
                return None
            if seen.st_mtime_ns != known["mtime_ns"]:
                if digest(entry / name) != known["sha256"]:
                    return None
                known["mtime_ns"] = seen.st_mtime_ns
                touched = True
        if touched:
            write_json(entry / "manifest.json", manifest)
        return _tool(tool, source, entry, manifest)

    def damage(self, tool: ToolDescription, source: Source) -> list[str]:
        """Read every file of an entry and name those that are not what was verified when it was made."""
        entry = self.entry(tool, source)
        manifest = _manifest(entry)
        if manifest is None:
            return ["manifest.json"] if entry.exists() else []
        return [
            name
            for name, known in manifest["files"].items()
            if _stat(entry / name) is None or digest(entry / name) != known["sha256"]
        ]

    def discard(self, tool: ToolDescription, source: Source, progress: Progress) -> None:
        """Take an entry away, so that it is made again."""
        with self._making(tool, source, progress):
            self._take_away(self.entry(tool, source))

    def make(self, tool: ToolDescription, source: Source, fill: Callable[[Path], Made], progress: Progress) -> Tool:
        """Make an entry, or find that someone else has just made it.

        Args:
            tool: What to make.
            source: Where from.
            fill: Puts bin/ and share/ into the folder that it is given.
            progress: Told when another process makes the same entry and this one waits.

        Raises:
            UnavailableError: The cache can't be written, or what ``fill`` raises. Nothing is left behind.
            DeadlineError: Another process holds the entry for more than an hour.
        """
        entry = self.entry(tool, source)
        with self._making(tool, source, progress):
            found = self.find(tool, source)
            if found is not None:
                return found
            self.sweep(held=entry.name)
            self._take_away(entry)
            with writing_errors(self._root):
                folder = Path(tempfile.mkdtemp(dir=self._root, prefix=f".making-{entry.name}."))
            try:
                manifest = _fill(tool, source, folder, fill)
                with writing_errors(entry):
                    folder.rename(entry)
            except BaseException:
                shutil.rmtree(folder, ignore_errors=True)
                raise
            return _tool(tool, source, entry, manifest)

    def sweep(self, *, held: str = "") -> None:
        """Remove what makers left behind that were killed: nobody holds the lock of their entry.

        Args:
            held: An entry whose lock the caller holds: what is left of that one is no one's either.
        """
        for folder in self._root.glob(".making-*"):
            name = folder.name.removeprefix(".making-").rpartition(".")[0]
            if name == held:
                shutil.rmtree(folder, ignore_errors=True)
                continue
            # Its maker is at work where the lock is held, and takes it away itself.
            with contextlib.suppress(DeadlineError), self._locked(name, 0.0, f"the remains of {name}"):
                shutil.rmtree(folder, ignore_errors=True)

    def _take_away(self, entry: Path) -> None:
        if entry.exists():
            # Renamed first: a removal that is cut short must not leave half an entry under its real name.
            doomed = Path(tempfile.mkdtemp(dir=self._root, prefix=f".making-{entry.name}."))
            entry.rename(doomed / "old")
            shutil.rmtree(doomed, ignore_errors=True)

    def _locked(
        self, name: str, seconds: float, wanted: str, on_wait: Callable[[], None] = lambda: None
    ) -> AbstractContextManager[None]:
        with writing_errors(self._root):
            path = make_private_dir(self._root / ".locks") / f"{name}.lock"
        return locked(path, Mode.ALONE, Deadline.after(seconds), wanted=wanted, held=_HELD, on_wait=on_wait)

    def _making(self, tool: ToolDescription, source: Source, progress: Progress) -> AbstractContextManager[None]:
        name = self.entry(tool, source).name
        wanted = f"the cache entry of {tool.name}"
        return self._locked(
            name, _LOCK_SECONDS, wanted, lambda: progress.update(tool.name, None, f"{_HELD}; waiting for that")
        )


def _stat(path: Path) -> os.stat_result | None:
    try:
        return path.stat()
    except OSError:
        return None


def _manifest(entry: Path) -> dict[str, Any] | None:
    try:
        return dict(read_json(entry / "manifest.json"))
    except (OSError, UsageError):
        # A damaged manifest is a damaged entry: it is made again like a missing one.
        return None


def _fill(tool: ToolDescription, source: Source, folder: Path, fill: Callable[[Path], Made]) -> dict[str, Any]:
    begun = time.monotonic()
    for part in ("bin", "share"):
        make_private_dir(folder / part)
    made = fill(folder)
    names = sorted(path.relative_to(folder) for path in folder.rglob("*") if path.is_file())
    manifest = {
        "version": made.version or tool.version,
        "provider": source.provider,
        "source": made.source,
        "seconds": round(time.monotonic() - begun, 3),
        "files": {str(name): _describe(folder / name, program=name.parts[0] == "bin") for name in names},
    }
    write_json(folder / "manifest.json", manifest)
    return manifest


def _describe(path: Path, *, program: bool) -> dict[str, Any]:
    seen = path.stat()
    return {"sha256": digest(path), "size": seen.st_size, "mtime_ns": seen.st_mtime_ns, "program": program}


def _tool(tool: ToolDescription, source: Source, entry: Path, manifest: dict[str, Any]) -> Tool:
    return Tool(
        name=tool.name,
        version=manifest["version"],
        provider=manifest["provider"],
        source=manifest["source"],
        root=entry,
        program=tool.binary,
        size=sum(known["size"] for known in manifest["files"].values()),
        seconds=manifest["seconds"],
        note=source.note,
    )
