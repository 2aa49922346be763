"""How live objects differ from what Git renders: every field of it, where a verdict needs only the first."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

__all__ = ["Judge", "leaf_differences"]

Json = Mapping[str, Any]
Judge = Callable[[Json, Json], str | None]
"""Says whether one object differs from another as to what it says; None when it does not."""

_Path = tuple[str | int, ...]
_LONGEST = 400


def leaf_differences(said: Json, lives: Json, judge: Judge) -> Iterator[tuple[str, str, str]]:
    """Give each field that differs: its place, what the commit says, what lives.

    Args:
        said: The object as rendered.
        lives: The object as the API server has it.
        judge: Decides on objects that have one field each, so that it is the verdict's own rule that speaks.
    """
    for path, one, other in _leaves(said, lives, ()):
        kind = {"kind": said.get("kind")}
        if judge({**kind, **_alone(path, one)}, {**kind, **_alone(path, other)}):
            yield _place(path), _shown(one), _shown(other)


def _leaves(said: Any, lives: Any, path: _Path) -> Iterator[tuple[_Path, Any, Any]]:
    if isinstance(said, Mapping) and said and (lives is None or isinstance(lives, Mapping)):
        for key, value in said.items():
            yield from _leaves(value, (lives or {}).get(key), (*path, key))
    elif isinstance(said, list) and isinstance(lives, list) and len(said) == len(lives):
        for index, (one, other) in enumerate(zip(said, lives, strict=True)):
            yield from _leaves(one, other, (*path, index))
    else:
        yield path, said, lives


def _alone(path: _Path, value: Any) -> dict[str, Any]:
    """Make an object that has nothing but this field."""
    made = value
    for part in reversed(path):
        made = [made] if isinstance(part, int) else {part: made}
    return dict(made)


def _place(path: _Path) -> str:
    return "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in path)[1:]


def _shown(value: Any) -> str:
    text = "not set" if value is None else str(value)
    return text if len(text) <= _LONGEST else f"{text[:_LONGEST]}…"
