"""What lies in a repository, by its files alone: manifests, kustomizations, charts, and what Argo CD stumbles over."""

from __future__ import annotations

import posixpath
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from functools import cached_property
from typing import Any

import yaml

from sandbox.gitops.commits import Entry
from sandbox.gitops.git import BareRepo
from sandbox.gitops.own.rewriting import ARGO_KINDS

__all__ = ["Declared", "Layout", "Submodule", "is_below"]

_KUSTOMIZATIONS = ("kustomization.yaml", "kustomization.yml", "Kustomization")
_REFERENCES = ("resources", "bases", "components")
_YAML = (".yaml", ".yml", ".json")
_MOST_BYTES = 4 * 2**20
# https://github.com/git-lfs/git-lfs/blob/main/docs/spec.md: a pointer's first line, and its size.
_LFS = b"version https://git-lfs.github.com/spec/v1\n"
_LFS_BYTES = 1024


@dataclass(frozen=True, slots=True)
class Declared:
    """An Application, ApplicationSet or AppProject that stands in a file.

    Attributes:
        path: The file.
        manifest: The object.
    """

    path: str
    manifest: dict[str, Any] = field(hash=False)

    @property
    def kind(self) -> str:
        """Its kind."""
        return str(self.manifest["kind"])

    @property
    def name(self) -> str:
        """Its name."""
        return str(self.manifest["metadata"].get("name", ""))


@dataclass(frozen=True, slots=True)
class Submodule:
    """Another repository's commit within this one.

    Attributes:
        path: Where it is.
        commit: Which commit.
        address: Where ``.gitmodules`` says that it comes from; empty where it says nothing.
    """

    path: str
    commit: str
    address: str


def is_below(path: str, folder: str) -> bool:
    """Whether a path lies in a folder, at whatever depth; everything lies in the empty one."""
    return folder in ("", ".") or path == folder or path.startswith(f"{folder}/")


class Layout:
    """The tree of one commit.

    Args:
        repository: Where it is read from.
        revision: The commit.
    """

    def __init__(self, repository: BareRepo, revision: str) -> None:
        self._repository = repository
        self.entries: dict[str, Entry] = {entry.path: entry for entry in repository.entries(revision)}
        self._documents: dict[str, list[dict[str, Any]]] = {}

    def text(self, path: str) -> str:
        """Give a file's text; the empty one where it is none, is too large, or is no regular file."""
        entry = self.entries.get(path)
        if entry is None or entry.is_link or entry.is_submodule or entry.size > _MOST_BYTES:
            return ""
        try:
            return self._repository.read(entry.sha).decode()
        except UnicodeDecodeError:
            return ""

    def documents(self, path: str) -> list[dict[str, Any]]:
        """Give the mappings of a YAML or JSON file; nothing of one that can't be parsed, as Helm templates can't."""
        if path not in self._documents:
            try:
                loaded = list(yaml.load_all(self.text(path), Loader=yaml.CSafeLoader))
            # An impossible date or a wrong tag is a ValueError of the constructor.
            except (yaml.YAMLError, ValueError):
                loaded = []
            self._documents[path] = [each for each in loaded if isinstance(each, dict)]
        return self._documents[path]

    # What Argo CD stumbles over.

    @cached_property
    def links_outside(self) -> dict[str, str]:
        """Symbolic links that lead out of the repository, with their targets.

        As Argo CD looks for them (util/app/path, ``CheckOutOfBoundsSymlinks``): an absolute one, or one that leaves
        the repository on its way, even if it comes back.
        """
        targets = {
            path: self._repository.read(entry.sha).decode(errors="replace")
            for path, entry in self.entries.items()
            if entry.is_link
        }
        return {path: target for path, target in targets.items() if _leaves(path, target)}

    @cached_property
    def lfs_pointers(self) -> list[str]:
        """Files whose content is a Git LFS pointer."""
        small = [each for each in self.entries.values() if len(_LFS) < each.size < _LFS_BYTES and not each.is_link]
        return [each.path for each in small if self._repository.read(each.sha).startswith(_LFS)]

    @cached_property
    def submodules(self) -> list[Submodule]:
        """The submodules."""
        addresses: dict[str, dict[str, str]] = {}
        section: dict[str, str] = {}
        for line in map(str.strip, self.text(".gitmodules").splitlines()):
            if line.startswith("["):
                section = addresses.setdefault(line, {})
            elif "=" in line:
                key, _, value = line.partition("=")
                section[key.strip()] = value.strip()
        by_path = {each.get("path", ""): each.get("url", "") for each in addresses.values()}
        found = [each for each in self.entries.values() if each.is_submodule]
        return [Submodule(each.path, each.sha, by_path.get(each.path, "")) for each in found]

    # What there is to deploy.

    @cached_property
    def charts(self) -> dict[str, Mapping[str, Any]]:
        """The folders of charts with their ``Chart.yaml``; charts within charts are left out."""
        named = {posixpath.dirname(path): path for path in self.entries if posixpath.basename(path) == "Chart.yaml"}
        tops = [folder for folder in named if not any(is_below(folder, other) for other in named if other != folder)]
        return {folder: next(iter(self.documents(named[folder])), {}) for folder in sorted(tops)}

    @cached_property
    def kustomizations(self) -> dict[str, dict[str, Any]]:
        """The folders of kustomizations with their content, which is empty where it can't be parsed."""
        found = {}
        for name in _KUSTOMIZATIONS:
            for path in self.entries:
                if posixpath.basename(path) == name and not self._in_chart(path):
                    found[posixpath.dirname(path)] = next(iter(self.documents(path)), {})
        return dict(sorted(found.items()))

    @cached_property
    def _references(self) -> dict[str, set[str]]:
        """What each kustomization names directly: files and folders of this repository."""
        return {
            folder: {
                posixpath.normpath(posixpath.join(folder, str(each)))
                for key in _REFERENCES
                for each in _list(content.get(key))
                if isinstance(each, str) and "://" not in each and "//" not in each
            }
            for folder, content in self.kustomizations.items()
        }

    def files_of(self, folder: str) -> set[str]:
        """Give the files that a kustomization is made of, those of the kustomizations below it too."""
        seen: set[str] = set()
        files: set[str] = set()
        open_ones = [folder]
        while open_ones:
            current = open_ones.pop()
            if current in seen:
                continue
            seen.add(current)
            for each in self._references.get(current, ()):
                # The root is a kustomization like any other, and is called "." in a path.
                if (each if each != "." else "") in self.kustomizations:
                    open_ones.append(each if each != "." else "")
                else:
                    files.add(each)
        return files

    @cached_property
    def top_kustomizations(self) -> list[str]:
        """The kustomizations that no other one is made with, and that are no mere components."""
        used = {each for references in self._references.values() for each in references}
        return [
            folder
            for folder, content in self.kustomizations.items()
            if folder not in used and (folder or ".") not in used and content.get("kind") != "Component"
        ]

    def _in_chart(self, path: str) -> bool:
        return any(is_below(path, chart) for chart in self.charts)

    def _manifest_files(self) -> Iterator[str]:
        for path in self.entries:
            hidden = any(part.startswith(".") for part in path.split("/"))
            if path.endswith(_YAML) and not hidden and posixpath.basename(path) not in _KUSTOMIZATIONS:
                yield path

    @cached_property
    def manifests(self) -> int:
        """How many manifests stand in files, as far as they can be read as such."""
        return sum(_is_manifest(each) for path in self._manifest_files() for each in self.documents(path))

    @cached_property
    def declared(self) -> list[Declared]:
        """The Applications, ApplicationSets and AppProjects that stand in files."""
        found = []
        for path in self._manifest_files():
            if self._in_chart(path) or "argoproj.io/" not in self.text(path):
                continue
            found += [Declared(path, each) for each in _unrolled(self.documents(path)) if _is_argo(each)]
        return found

    @cached_property
    def plain_folders(self) -> list[str]:
        """The folders with manifests that belong to no chart and no kustomization."""
        used = {file for folder in self.kustomizations for file in self.files_of(folder)}
        folders = set()
        for path in self._manifest_files():
            folder = posixpath.dirname(path)
            if folder in folders or folder in self.kustomizations or path in used or self._in_chart(path):
                continue
            if any(_is_manifest(each) and not _is_argo(each) for each in self.documents(path)):
                folders.add(folder)
        return sorted(folders)

    @cached_property
    def charts_of_applications(self) -> list[str]:
        """The charts whose templates make Applications: apps of apps."""
        return [
            chart
            for chart in self.charts
            if any(
                "argoproj.io/" in (text := self.text(path)) and any(f"kind: {kind}" in text for kind in ARGO_KINDS[:2])
                for path in self.entries
                if is_below(path, f"{chart}/templates" if chart else "templates")
            )
        ]

    def covers(self, folder: str, path: str, *, recurse: bool = False) -> bool:
        """Whether an Application whose source is a folder deploys what stands in a file."""
        folder = posixpath.normpath(folder) if folder else ""
        folder = "" if folder == "." else folder
        if any(mark in folder for mark in "*?["):
            return any(fnmatchcase(parent, folder) for parent in _parents(path))
        if folder in self.charts:
            return is_below(path, f"{folder}/templates".lstrip("/"))
        if folder in self.kustomizations:
            return path in self.files_of(folder)
        return is_below(path, folder) if recurse else posixpath.dirname(path) == folder


def _list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []


def _unrolled(documents: list[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    for each in documents:
        if str(each.get("kind", "")).endswith("List") and isinstance(each.get("items"), list):
            yield from (item for item in each["items"] if isinstance(item, dict))
        else:
            yield each


def _is_manifest(document: Mapping[str, Any]) -> bool:
    metadata = document.get("metadata")
    named = isinstance(metadata, dict) and isinstance(metadata.get("name", metadata.get("generateName")), str)
    return named and isinstance(document.get("apiVersion"), str) and isinstance(document.get("kind"), str)


def _is_argo(document: Mapping[str, Any]) -> bool:
    return (
        _is_manifest(document)
        and "name" in document["metadata"]
        and str(document["apiVersion"]).startswith("argoproj.io/")
        and document["kind"] in ARGO_KINDS
        and isinstance(document.get("spec"), dict)
    )


def _leaves(path: str, target: str) -> bool:
    if target.startswith("/"):
        return True
    at = posixpath.dirname(path)
    for part in target.split("/"):
        at = posixpath.normpath(posixpath.join(at, part))
        if at == ".." or at.startswith("../"):
            return True
    return False


def _parents(path: str) -> Iterator[str]:
    while path := posixpath.dirname(path):
        yield path
