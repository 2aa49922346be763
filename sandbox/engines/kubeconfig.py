"""The user's own kubeconfig: a sandbox's context is put into it when that is asked for, and only that taken out again.

The client library reads kubeconfigs and merges them in memory only. So the file is read as YAML and written whole,
with all entries that it had; comments and formatting are lost, for which a backup of the file is kept beside it.
What is ours carries an extension (clientcmd ``v1.NamedExtension``), which kubectl keeps, with the sandbox's folder.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from sandbox.core.conditions import Deadline, Observation, met, pending, wait_for
from sandbox.core.errors import UsageError
from sandbox.core.files import make_private_dir, read_json, write_file, write_json, writing_errors
from sandbox.core.folders import home, state_root

__all__ = [
    "Merged",
    "check_mergeable",
    "context_name",
    "merge",
    "merged",
    "unmerge",
    "users_contexts",
    "users_file",
    "users_files",
]

_LISTS = ("clusters", "users", "contexts")
_EXTENSION = "dev.gitops-sandbox"
_NOTE = "kubeconfig-merged.json"
_LOCK_SECONDS = 10.0


@dataclass(frozen=True, slots=True)
class Merged:
    """Where a sandbox's context was merged into.

    Attributes:
        file: The user's kubeconfig.
        context: The name of the context, the cluster and the user in it.
    """

    file: Path
    context: str

    def to_json(self) -> dict[str, str]:
        """Give what ``status --json`` promises of it."""
        return {"file": str(self.file), "context": self.context}


def context_name(sandbox: str) -> str:
    """Give the name that a sandbox's context has in the user's kubeconfig."""
    return f"gitops-sandbox-{sandbox}"


def users_file() -> Path:
    """Say which file kubectl would write to: the first that KUBECONFIG names, else ``~/.kube/config``.

    Raises:
        UsageError: It is a sandbox's own.
    """
    named = next((part for part in os.environ.get("KUBECONFIG", "").split(os.pathsep) if part), "")
    # Through links: what is replaced is the file, never a link to it.
    path = (Path(named) if named else home() / ".kube" / "config").resolve()
    if path.is_relative_to(state_root().resolve()):
        raise UsageError(
            "KUBECONFIG names a sandbox's own file",
            why=f"{path} is where the context comes from, and goes with its sandbox",
            hint="unset KUBECONFIG, or name your own file there",
        )
    return path


def users_files() -> str:
    """Say where kubectl reads the user's contexts: absolute paths, joined as KUBECONFIG joins them."""
    named = [part for part in os.environ.get("KUBECONFIG", "").split(os.pathsep) if part]
    paths = [Path(part) for part in named] or [home() / ".kube" / "config"]
    return os.pathsep.join(str(path.absolute()) for path in paths)


def users_contexts() -> list[str]:
    """Name the contexts that the user has.

    Raises:
        UsageError: A file is damaged.
    """
    found = [_read(Path(part)) for part in users_files().split(os.pathsep)]
    return sorted({str(context["name"]) for config in found for context in config["contexts"]})


def merge(sandbox: str, folder: Path) -> Merged:
    """Put a sandbox's context into the user's kubeconfig, or bring it up to date there; the current context stays.

    Args:
        sandbox: The sandbox's name.
        folder: Its state folder, with its ``kubeconfig``.

    Raises:
        UsageError: The user's file is damaged, or has an entry of that name that is not this sandbox's.
        UnavailableError: The file can't be written.
        DeadlineError: Another program keeps it locked.
    """
    target, name = _target(folder), context_name(sandbox)
    own = yaml.safe_load((folder / "kubeconfig").read_text())
    entries = {kind: _entry(own, kind, name, folder) for kind in _LISTS}
    entries["contexts"]["context"] |= {"cluster": name, "user": name}
    if not target.parent.exists():
        make_private_dir(target.parent)
    with _locked(target):
        config = _mergeable(target, name, folder)
        for kind, entry in entries.items():
            config[kind] = [*(each for each in config[kind] if each["name"] != name), entry]
        # Noted first: of a merge that is broken off, `down` still finds what there may be.
        write_json(folder / _NOTE, {"file": str(target), "context": name})
        _write(target, config)
    return Merged(target, name)


def check_mergeable(sandbox: str, folder: Path) -> None:
    """Look whether ``merge`` will find the user's kubeconfig as it needs it, before anything is begun.

    Raises:
        UsageError: The user's file is damaged, or has an entry of that name that is not this sandbox's.
    """
    _mergeable(_target(folder), context_name(sandbox), folder)


def _target(folder: Path) -> Path:
    known = merged(folder)
    return known.file if known else users_file()


def _mergeable(path: Path, name: str, folder: Path) -> dict[str, Any]:
    config = _read(path)
    for kind in _LISTS:
        if any(each["name"] == name and not _is_of(each, kind, folder) for each in config[kind]):
            raise UsageError(
                f"{path} has an entry {name} among its {kind} already, which is not this sandbox's",
                hint=f"kubectl config get-{kind}; or choose another --name",
            )
    return config


def merged(folder: Path) -> Merged | None:
    """Say where a sandbox's context was merged into; None when it was not asked for."""
    try:
        note = read_json(folder / _NOTE)
    except FileNotFoundError:
        return None
    return Merged(Path(str(note["file"])), str(note["context"]))


def unmerge(folder: Path) -> None:
    """Take out of the user's kubeconfig what ``merge`` put there, if that is still there; nothing else changes.

    Raises:
        UsageError: The user's file is damaged.
        UnavailableError: The file can't be written.
        DeadlineError: Another program keeps it locked.
    """
    known = merged(folder)
    if known is None:
        return
    if known.file.exists():
        with _locked(known.file):
            config = _read(known.file)
            before = {kind: len(config[kind]) for kind in _LISTS}
            for kind in _LISTS:
                config[kind] = [
                    each for each in config[kind] if each["name"] != known.context or not _is_of(each, kind, folder)
                ]
            if before != {kind: len(config[kind]) for kind in _LISTS}:
                contexts = [each["name"] for each in config["contexts"]]
                if config.get("current-context") == known.context and known.context not in contexts:
                    # kubectl fails on a current context that is not there.
                    config["current-context"] = ""
                _write(known.file, config)
    (folder / _NOTE).unlink()


def _entry(config: dict[str, Any], kind: str, name: str, folder: Path) -> dict[str, Any]:
    """Give the one entry that a sandbox's own kubeconfig has of a kind, under another name and with our mark."""
    [entry] = config[kind]
    mark = {"name": _EXTENSION, "extension": {"folder": str(folder)}}
    return {"name": name, kind[:-1]: {**entry[kind[:-1]], "extensions": [mark]}}


def _is_of(entry: dict[str, Any], kind: str, folder: Path) -> bool:
    extensions = (entry.get(kind[:-1]) or {}).get("extensions") or ()
    return any(
        each.get("name") == _EXTENSION and (each.get("extension") or {}).get("folder") == str(folder)
        for each in extensions
    )


def _read(path: Path) -> dict[str, Any]:
    """Read a kubeconfig with all three lists in it; an empty one where there is no file."""
    try:
        config = yaml.safe_load(path.read_text()) if path.exists() else {}
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise UsageError(f"{path} is no kubeconfig", why=str(error), hint="mend it; it was not changed") from error
    config = {} if config is None else config
    whole = {"apiVersion": "v1", "kind": "Config", **config} if isinstance(config, dict) else {}
    for kind in _LISTS:
        entries = whole.get(kind) or []
        if not isinstance(entries, list) or not all(isinstance(each, dict) and "name" in each for each in entries):
            whole = {}
            break
        whole[kind] = entries
    if not whole:
        raise UsageError(
            f"{path} is no kubeconfig", why="it does not hold lists of entries", hint="mend it; it was not changed"
        )
    return whole


def _write(path: Path, config: dict[str, Any]) -> None:
    """Write a kubeconfig whole, with the rights that it had; what it was before stays beside it."""
    mode = 0o600
    if path.exists():
        mode = path.stat().st_mode & 0o777
        write_file(path.with_name(f"{path.name}.before-gitops-sandbox"), path.read_bytes())
    write_file(path, yaml.safe_dump(config, sort_keys=False), mode=mode)


@contextlib.contextmanager
def _locked(path: Path) -> Iterator[None]:
    """Keep kubectl and others from writing meanwhile, by the lock file that client-go makes (``lockFile``)."""
    lock = path.with_name(f"{path.name}.lock")

    def taken() -> Observation:
        with writing_errors(lock):
            try:
                os.close(os.open(lock, os.O_CREAT | os.O_EXCL, 0o600))
            except FileExistsError:
                return pending(f"another program holds {lock}")
        return met()

    wait_for(
        taken,
        Deadline.after(_LOCK_SECONDS),
        wanted=f"{path} to be free",
        hint=f"if nothing uses it any more: rm {lock}",
    )
    try:
        yield
    finally:
        lock.unlink(missing_ok=True)
