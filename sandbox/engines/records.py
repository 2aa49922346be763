"""What is known of each sandbox: one record in its state folder, written whole, read with care."""

from __future__ import annotations

import contextlib
import secrets
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Self

from sandbox.core.conditions import Deadline
from sandbox.core.errors import UsageError
from sandbox.core.files import make_private_dir, read_json, write_json
from sandbox.core.folders import sandbox_dir, state_root
from sandbox.core.locks import Mode, locked
from sandbox.toolchain import version_set

__all__ = ["Record", "Shape", "exclusive", "known_names", "lock_of"]

_FILE = "sandbox.json"
_FORMAT = 2


@dataclass(frozen=True, slots=True)
class Shape:
    """What a sandbox's cluster is like.

    Attributes:
        nodes: How many nodes it has.
        ha: Whether Argo CD runs in its HA variant.
    """

    nodes: int = 1
    ha: bool = False


@dataclass(frozen=True, slots=True)
class Record:
    """One sandbox.

    Attributes:
        name: Its name.
        engine: Which engine it lives on.
        run_id: Marks every process, container and cluster of it.
        nodes: How many nodes its cluster has.
        created: Unix time in seconds.
        versions: The set of tool versions that its data was made with (``sandbox.toolchain.version_set``).
        ready: Whether an ``up`` has completed.
        context: The context of the cluster that it lives in; empty where it has one of its own.
        kubeconfig: Where that context stands; several files are joined as KUBECONFIG joins them.
        ha: Whether Argo CD runs in its HA variant.
        argocd: The namespace of the Argo CD in that cluster of which it is a guest; empty where it has its own.
    """

    name: str
    engine: str
    run_id: str
    nodes: int
    created: float
    versions: str
    ready: bool = False
    context: str = ""
    kubeconfig: str = ""
    ha: bool = False
    argocd: str = ""

    @property
    def shape(self) -> Shape:
        """What its cluster is like."""
        return Shape(self.nodes, self.ha)

    @property
    def folder(self) -> Path:
        """Its state folder."""
        return sandbox_dir(self.name)

    @classmethod
    def new(cls, name: str, engine: str, nodes: int, **more: str | bool) -> Self:
        """Describe a sandbox that does not exist yet, and make its folder.

        Args:
            name: Its name.
            engine: Which engine it is to live on.
            nodes: How many nodes its cluster is to have.
            **more: Other fields, such as those that say in which cluster it is to live.
        """
        record = cls(name, engine, secrets.token_hex(8), nodes, time.time(), version_set())
        record = replace(record, **more)  # type: ignore[arg-type]  # what is read of it is checked
        make_private_dir(record.folder)
        record.save()
        return record

    @classmethod
    def load(cls, name: str) -> Self | None:
        """Read the record of a sandbox; None when there is none.

        Raises:
            UsageError: The record is damaged.
        """
        path = sandbox_dir(name) / _FILE
        try:
            data = read_json(path)
        except FileNotFoundError:
            return None
        try:
            if data.pop("format") != _FORMAT:
                raise UsageError(f"{path} was written by another version", hint="use that version to take it down")
            record = cls(**data)  # type: ignore[arg-type]  # checked right below
            record._check(name)
            return record  # noqa: TRY300  # what follows is for all of the above
        except (KeyError, TypeError) as error:
            raise UsageError(
                f"{path} is damaged",
                why=f"unexpected content: {error}",
                hint=f"`down --name {name}` ends what still runs and removes the folder",
            ) from error

    def _check(self, name: str) -> None:
        kinds: dict[str, type | tuple[type, ...]] = {
            "engine": str,
            "run_id": str,
            "nodes": int,
            "created": (int, float),
            "ready": bool,
            "context": str,
            "kubeconfig": str,
            "ha": bool,
            "argocd": str,
        }
        for field, kind in kinds.items():
            if not isinstance(getattr(self, field), kind):
                raise TypeError(f"{field} is {getattr(self, field)!r}")
        if self.name != name:
            raise TypeError(f"it is the record of {self.name!r}")

    def save(self) -> None:
        """Write the record."""
        write_json(self.folder / _FILE, {"format": _FORMAT, **asdict(self)})

    def with_shape(self, shape: Shape) -> Record:
        """Ask for another shape, which is kept once ``up`` has completed."""
        return self if shape == self.shape else replace(self, nodes=shape.nodes, ha=shape.ha)

    def completed(self) -> Record:
        """Note that ``up`` has completed."""
        record = replace(self, ready=True)
        record.save()
        return record


def known_names() -> list[str]:
    """Give the names of all sandboxes of this user, damaged ones too."""
    return sorted(path.name for path in state_root().iterdir() if path.is_dir() and not path.name.startswith("."))


def lock_of(name: str) -> Path:
    """Give the file by which one verb at a time holds a sandbox."""
    # Beside the folder, not in it: `down` removes the folder while it holds the lock.
    return state_root() / f".{name}.lock"


@contextlib.contextmanager
def exclusive(name: str, *, seconds: float, on_wait: Callable[[], None]) -> Iterator[None]:
    """Hold a sandbox for one verb at a time: a second ``up`` or ``down`` of the same name waits.

    Args:
        name: The sandbox's name.
        seconds: How long to wait for another one.
        on_wait: Called once when there is another one.

    Raises:
        DeadlineError: The other one did not end in time.
    """
    with locked(
        lock_of(name),
        Mode.ALONE,
        Deadline.after(seconds),
        wanted=f"sandbox {name} to be free",
        held="another `up` or `down` of this sandbox is at work",
        hint="try again later",
        on_wait=on_wait,
    ):
        yield
