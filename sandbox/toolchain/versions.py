"""Reading versions.toml: each tool's exact version and its sources, in the order in which they are tried."""

from __future__ import annotations

import hashlib
import json
import platform
import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sandbox.core.errors import UsageError
from sandbox.core.folders import data_root
from sandbox.toolchain.tables import Table

__all__ = [
    "PROVIDERS",
    "FileSet",
    "GoModule",
    "GoSource",
    "PublishedImage",
    "ReleaseSource",
    "Replacement",
    "Source",
    "SystemSource",
    "ToolDescription",
    "Versions",
    "WheelSource",
    "architecture",
    "load_images",
    "load_versions",
    "parse_images",
    "parse_versions",
    "read_lock",
    "version_set",
]

SCHEMA = 1
PROVIDERS = ("release", "go", "wheel", "system")
LOCKS = Path(__file__).resolve().parent / "go"

_ARCHITECTURES = {"x86_64": "amd64", "amd64": "amd64", "aarch64": "arm64", "arm64": "arm64"}


def architecture() -> str:
    """Give this machine's architecture as the publishers spell it: amd64 or arm64."""
    machine = platform.machine().lower()
    return _ARCHITECTURES.get(machine, machine)


@dataclass(frozen=True, slots=True)
class GoModule:
    """A Go module at an exact version, with the flags that its programs are linked with.

    Attributes:
        lock: The folder with the go.mod and go.sum that pin it and all that it needs.
    """

    name: str
    path: str
    version: str
    ldflags: tuple[str, ...]
    tags: tuple[str, ...]
    lock: Path


@dataclass(frozen=True, slots=True)
class ReleaseSource:
    """The publisher's own binary; exactly one of ``sha256`` and ``checksums`` is given."""

    url: str
    member: str
    sha256: Mapping[str, str]
    checksums: str
    arch_names: Mapping[str, str]
    provider: str = "release"
    note: str = ""

    def fill(self, template: str, version: str, arch: str) -> str:
        """Put version, system and architecture into a URL or the name of an archive's member."""
        return template.format(version=version, os="linux", arch=self.arch_names.get(arch, arch))


@dataclass(frozen=True, slots=True)
class Replacement:
    """A text that is replaced in a file of a module before it is built; it must occur exactly once.

    Attributes:
        file: The file's path in the module.
    """

    file: str
    old: str
    new: str


@dataclass(frozen=True, slots=True)
class GoSource:
    """A program built from a module's source.

    Attributes:
        package: The folder of the program inside the module; empty for its root.
        toolchain: The version of Go that builds it.
        seconds: What a cold build took on two cores.
        replacements: What is built otherwise than the module says.
    """

    module: GoModule
    package: str
    toolchain: str
    seconds: float
    replacements: tuple[Replacement, ...] = ()
    provider: str = "go"
    note: str = ""


@dataclass(frozen=True, slots=True)
class WheelSource:
    """A program that a locked Python dependency carries.

    Attributes:
        program: A pattern for the program's path within the distribution; empty for a whole Go toolchain.
        goroot: The distribution's folder that is a Go toolchain; empty for a single program.
    """

    distribution: str
    version: str
    program: str
    goroot: str
    provider: str = "wheel"
    note: str = ""


@dataclass(frozen=True, slots=True)
class SystemSource:
    """A program on PATH, taken when it reports at least the version ``minimum``."""

    program: str
    arguments: tuple[str, ...]
    pattern: str
    minimum: str
    provider: str = "system"
    note: str = ""


Source = ReleaseSource | GoSource | WheelSource | SystemSource
"""Where a tool comes from; ``note`` is what its user should know of that, and decides nothing."""


@dataclass(frozen=True, slots=True)
class FileSet:
    """Files of a Go module that a tool needs beside its program.

    Attributes:
        below: The module's folder that the patterns look into, and that is cut from the names.
        to: Where they go in the tool's folder; what goes to "bin" is made executable.
    """

    module: GoModule
    below: str
    include: tuple[str, ...]
    exclude: tuple[str, ...]
    to: str


@dataclass(frozen=True, slots=True)
class ToolDescription:
    """One tool of versions.toml."""

    name: str
    version: str
    binary: str
    sources: tuple[Source, ...]
    files: tuple[FileSet, ...]


Versions = Mapping[str, ToolDescription]


@dataclass(frozen=True, slots=True)
class PublishedImage:
    """An image that its publisher has in a public registry.

    Attributes:
        repository: With the registry's name, where that is not Docker's own.
        tag: Under which the digest was found; nothing is pulled by it.
        digest: Of the index of all architectures, "sha256:...".
    """

    repository: str
    tag: str
    digest: str

    @property
    def reference(self) -> str:
        """The name that leads to this image and no other."""
        return f"{self.repository}@{self.digest}"


def read_lock() -> dict[str, Any]:
    """Read versions.toml as it stands.

    Raises:
        UsageError: It is missing or no TOML.
    """
    path = data_root() / "versions.toml"
    try:
        return tomllib.loads(path.read_text())
    except (OSError, ValueError) as error:
        raise UsageError(f"{path} can't be read", why=str(error), hint=f"git checkout {path}") from error


def load_versions() -> Versions:
    """Give every tool of versions.toml by its name, in the order of the file.

    Raises:
        UsageError: The file is missing or says something that has no meaning; names the place.
    """
    return parse_versions(read_lock())


def load_images() -> Mapping[str, PublishedImage]:
    """Give every image of versions.toml by its name.

    Raises:
        UsageError: The file is missing or says something that has no meaning; names the place.
    """
    return parse_images(read_lock())


def parse_images(lock: Mapping[str, Any]) -> Mapping[str, PublishedImage]:
    """Make descriptions of the images in the parsed file.

    Raises:
        UsageError: A key is missing, unknown or of the wrong kind; names the place.
    """
    tables = Table("versions.toml", lock).tables("images")
    return {name: _image(table) for name, table in tables.items()}


def _image(table: Table) -> PublishedImage:
    image = PublishedImage(table.text("repository"), table.text("tag"), table.text("digest"))
    table.check(re.fullmatch("sha256:[0-9a-f]{64}", image.digest) is not None, "digest must be sha256: and 64 digits")
    table.done()
    return image


def version_set() -> str:
    """Give a short hash of all that versions.toml says; comments and layout do not count."""
    return hashlib.sha256(json.dumps(read_lock(), sort_keys=True).encode()).hexdigest()[:12]


def parse_versions(lock: Mapping[str, Any]) -> Versions:
    """Make descriptions of the parsed file.

    Raises:
        UsageError: A key is missing, unknown or of the wrong kind; names the place.
    """
    top = Table("versions.toml", lock)
    top.check(top.number("schema") == SCHEMA, f"only schema {SCHEMA} is understood")
    modules = {name: _module(name, table) for name, table in top.tables("go_modules").items()}
    tools = top.tables("tools")
    for table in top.tables("images").values():
        _image(table)
    top.check("go" in tools, "tools.go, the toolchain that builds, is missing")
    known = _Known(modules, tools["go"].text("version"))
    parsed = {name: _tool(name, table, known) for name, table in tools.items()}
    top.done()
    return parsed


@dataclass(frozen=True, slots=True)
class _Known:
    """What the sources of a tool may refer to."""

    modules: Mapping[str, GoModule]
    toolchain: str


def _module(name: str, table: Table) -> GoModule:
    version = table.text("version")
    major, minor = [*version.split("."), ""][:2]
    module = GoModule(
        name=name,
        path=table.text("path"),
        version=version,
        ldflags=tuple(flag.format(version=version, major=major, minor=minor) for flag in table.texts("ldflags")),
        tags=table.texts("tags"),
        lock=LOCKS / name,
    )
    table.done()
    return module


def _tool(name: str, table: Table, known: _Known) -> ToolDescription:
    tables = table.list_of_tables("sources")
    stated = table.text("version", "")
    # A tool that can be built has the version of its module: said once, it can't come apart.
    built = next((part.choice("module", known.modules) for part in tables if part.peek("provider") == "go"), None)
    version = built.version if built and not stated else table.text("version")
    tool = ToolDescription(
        name=name,
        version=version,
        binary=table.text("binary", name),
        sources=tuple(_source(part, version, known) for part in tables),
        files=tuple(_files(part, known) for part in table.list_of_tables("files")),
    )
    table.done()
    return tool


def _source(table: Table, version: str, known: _Known) -> Source:
    provider = table.text("provider")
    note = table.text("note", "")
    source: Source
    if provider == "release":
        source = ReleaseSource(
            url=table.text("url"),
            member=table.text("member", ""),
            sha256=table.mapping("sha256"),
            checksums=table.text("checksums", ""),
            arch_names=table.mapping("arch_names"),
            note=note,
        )
        table.check(bool(source.sha256) != bool(source.checksums), "give one of sha256 and checksums")
    elif provider == "go":
        source = GoSource(
            module=table.choice("module", known.modules),
            package=table.text("package"),
            toolchain=known.toolchain,
            seconds=table.number("seconds"),
            replacements=tuple(_replacement(part) for part in table.list_of_tables("replace")),
            note=note,
        )
    elif provider == "wheel":
        source = WheelSource(
            distribution=table.text("distribution"),
            version=table.text("distribution_version", version),
            program=table.text("program", ""),
            goroot=table.text("goroot", ""),
            note=note,
        )
        table.check(bool(source.program) != bool(source.goroot), "give one of program and goroot")
    else:
        table.check(provider == "system", f"{provider!r} is no provider; there are {', '.join(PROVIDERS)}")
        source = SystemSource(
            program=table.text("program"),
            arguments=table.texts("arguments"),
            pattern=table.text("pattern"),
            minimum=table.text("minimum"),
            note=note,
        )
    table.done()
    return source


def _replacement(table: Table) -> Replacement:
    replacement = Replacement(table.text("file"), table.text("old"), table.text("new"))
    table.check(bool(replacement.old), "old must not be empty")
    table.done()
    return replacement


def _files(table: Table, known: _Known) -> FileSet:
    files = FileSet(
        module=table.choice("module", known.modules),
        below=table.text("below"),
        include=table.texts("include"),
        exclude=table.texts("exclude"),
        to=table.text("to"),
    )
    table.done()
    return files
