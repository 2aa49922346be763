"""What a commit says, and how a live object differs from it.

The comparison follows the API server's own rules as far as they change what was written: it adds
fields (defaults, status), so only what the commit says is compared; it drops null, empty lists and
texts, zero, false and empty maps (but not empty objects: ``emptyDir: {}`` says something); it
rewrites quantities; and it keeps a Secret's ``stringData`` as ``data``.
"""

from __future__ import annotations

import base64
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from sandbox.core.commands import run
from sandbox.core.errors import UnavailableError
from sandbox.kube.quantities import quantity

__all__ = ["Key", "difference", "key_of", "render", "with_namespace"]

_RENDER_SECONDS = 30.0
# Where the API takes quantities (resource.Quantity): in maps by resource, and in some fields of their own.
_QUANTITY_MAPS = {"requests", "limits", "capacity", "hard", "default", "defaultRequest", "min", "max"}
_QUANTITY_FIELDS = {"sizeLimit", "averageValue", "divisor"}
# What lies under these is the user's own text, whatever its keys are called.
_FREE_TEXT = {"data", "metadata", "stringData", "binaryData"}
# Fields that are Go maps in k8s.io/api and apimachinery (v0.36.3): empty, they are left out. An empty struct is not.
_MAPS = {
    *("labels", "annotations", "matchLabels", "nodeSelector", "data", "binaryData", "stringData", "parameters"),
    *("attributes", "counters", "options", "overhead", "volumeAttributes", "maxLimitRequestRatio"),
    *_QUANTITY_MAPS,
}
# A map in these kinds, a struct in all others, where an empty one means everything.
_SELECTOR_IS_MAP = {"Service", "ReplicationController"}
# An empty one means the same as none, so that no version of the server is held to writing it.
_MEANINGLESS = {"resources", "securityContext", "strategy", "updateStrategy", "metadata", "status"}
_OPTIONAL = frozenset(_MAPS | _MEANINGLESS)


@dataclass(frozen=True, slots=True, order=True)
class Key:
    """Names one object."""

    api_version: str
    kind: str
    namespace: str
    name: str

    def __str__(self) -> str:
        """Give it as people say it."""
        return f"{self.kind} {self.name}"


def key_of(manifest: Mapping[str, Any]) -> Key:
    """Give the key of an object."""
    metadata = manifest["metadata"]
    return Key(manifest["apiVersion"], manifest["kind"], metadata.get("namespace", ""), metadata["name"])


def render(kustomize: Path, folder: Path) -> list[dict[str, Any]]:
    """Render an overlay, as the repo-server does, but by our own hand.

    Args:
        kustomize: The program.
        folder: The overlay, in a tree that holds just one commit.

    Raises:
        CommandError: The overlay can't be rendered; gives Kustomize's words.
    """
    if not folder.is_dir():
        raise UnavailableError(f"the commit has no folder {folder.name}")
    environment = {"PATH": "/usr/bin:/bin", "HOME": str(folder)}
    text = run([kustomize, "build", folder], timeout=_RENDER_SECONDS, env=environment)
    return [document for document in yaml.load_all(text, Loader=yaml.CSafeLoader) if document]


def with_namespace(manifests: Sequence[dict[str, Any]], namespace: str, cluster_kinds: set[str]) -> None:
    """Put objects that name no namespace into the Application's own, as Argo CD does."""
    for manifest in manifests:
        if manifest["kind"] not in cluster_kinds:
            manifest["metadata"].setdefault("namespace", namespace)


def difference(said: Mapping[str, Any], lives: Mapping[str, Any]) -> str | None:
    """Say how a live object differs from what the commit says of it; None when it does not.

    Args:
        said: The object as rendered.
        lives: The object as the API server has it.
    """
    said = _as_stored(said)
    optional = _OPTIONAL | {"selector"} if said.get("kind") in _SELECTOR_IS_MAP else _OPTIONAL
    return next(_differences(said, lives, (), optional), None)


def _as_stored(said: Mapping[str, Any]) -> Mapping[str, Any]:
    if said.get("kind") != "Secret" or "stringData" not in said:
        return said
    encoded = {key: base64.b64encode(str(value).encode()).decode() for key, value in (said["stringData"] or {}).items()}
    rest = {key: value for key, value in said.items() if key != "stringData"}
    return {**rest, "data": {**(said.get("data") or {}), **encoded}}


def _differences(said: Any, lives: Any, path: tuple[str | int, ...], optional: frozenset[str]) -> Iterator[str]:
    """Walk both; ``optional`` names the mappings that may be absent when they hold nothing."""
    if said is None or path == ("status",):
        return
    if isinstance(said, Mapping) and (lives is None or isinstance(lives, Mapping)):
        for key, value in said.items():
            yield from _differences(value, (lives or {}).get(key), (*path, key), optional)
        if lives is None and path[-1] not in optional:
            yield f"{_place(path)} is not set, the commit says {said}"
    elif isinstance(said, list) and isinstance(lives, list):
        if len(said) != len(lives):
            yield f"{_place(path)} has {len(lives)} entries, the commit says {len(said)}"
            return
        for index, (one, other) in enumerate(zip(said, lives, strict=True)):
            yield from _differences(one, other, (*path, index), optional)
    elif not _equal(said, lives, path):
        yield f"{_place(path)} is {_shown(lives)}, the commit says {_shown(said)}"


def _place(path: tuple[str | int, ...]) -> str:
    return "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in path)[1:]


def _shown(value: Any) -> str:
    return "not set" if value is None else repr(value) if isinstance(value, str) else f"{value}"


def _equal(said: Any, lives: Any, path: tuple[str | int, ...]) -> bool:
    if lives is None:
        # The server leaves empty lists and texts, zero and false out.
        return not said
    if type(said) is type(lives) and said == lives:
        return True
    if _is_quantity(path):
        one, other = quantity(said), quantity(lives)
        return one is not None and one == other
    return False


def _is_quantity(path: tuple[str | int, ...]) -> bool:
    return path[0] not in _FREE_TEXT and (
        path[-1] in _QUANTITY_FIELDS or (len(path) > 1 and path[-2] in _QUANTITY_MAPS)
    )
