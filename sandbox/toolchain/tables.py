"""Strict reading of a TOML table: what is missing, unknown or of the wrong kind is an error that names its place."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeVar

from sandbox.core.errors import UsageError

__all__ = ["Table"]

_Value = TypeVar("_Value")
_MISSING = object()


class Table:
    """One table of a TOML file.

    Args:
        place: Where it stands, for messages: "versions.toml: tools.etcd".
        content: What it holds.
    """

    def __init__(self, place: str, content: Mapping[str, Any]) -> None:
        self.place = place
        self._content = content
        self._seen: set[str] = set()

    def check(self, holds: bool, otherwise: str) -> None:  # noqa: FBT001 - the condition is the subject
        """Raise UsageError with the table's place unless ``holds``."""
        if not holds:
            raise UsageError(f"{self.place}: {otherwise}", hint="mend versions.toml")

    def done(self) -> None:
        """Raise UsageError when the table holds a key that nothing asked for."""
        unknown = sorted(set(self._content) - self._seen)
        self.check(not unknown, f"unknown key {', '.join(unknown)}")

    def peek(self, key: str) -> object:
        """Give a value without a check, and without counting the key as known."""
        return self._content.get(key)

    def _take(self, key: str, kind: type[_Value] | tuple[type[_Value], ...], default: object) -> _Value:
        self._seen.add(key)
        value = self._content.get(key, default)
        self.check(value is not _MISSING, f"{key} is missing")
        if not isinstance(value, kind):
            raise UsageError(f"{self.place}: {key} is of the wrong kind", hint="mend versions.toml")
        return value

    def text(self, key: str, default: object = _MISSING) -> str:
        """Give a string."""
        return self._take(key, str, default)

    def number(self, key: str) -> float:
        """Give a number."""
        return float(self._take(key, (int, float), _MISSING))

    def texts(self, key: str) -> tuple[str, ...]:
        """Give a list of strings; empty when there is none."""
        values = self._take(key, list, [])
        self.check(all(isinstance(value, str) for value in values), f"{key} must hold strings")
        return tuple(values)

    def mapping(self, key: str) -> dict[str, str]:
        """Give a table of strings; empty when there is none."""
        values = self._take(key, dict, {})
        self.check(all(isinstance(value, str) for value in values.values()), f"{key} must hold strings")
        return dict(values)

    def choice(self, key: str, choices: Mapping[str, _Value]) -> _Value:
        """Give the member of ``choices`` that a string names."""
        name = self.text(key)
        self.check(name in choices, f"{key} {name!r} is none of {', '.join(choices)}")
        return choices[name]

    def tables(self, key: str) -> dict[str, Table]:
        """Give the tables of a table of tables, by name."""
        parts = self._take(key, dict, _MISSING)
        self.check(all(isinstance(part, dict) for part in parts.values()), f"{key} must hold tables")
        return {name: Table(f"{self.place}: {key}.{name}", part) for name, part in parts.items()}

    def list_of_tables(self, key: str) -> list[Table]:
        """Give the tables of an array of tables; empty when there is none."""
        parts = self._take(key, list, [])
        self.check(all(isinstance(part, dict) for part in parts), f"{key} must hold tables")
        return [Table(f"{self.place}, {key} {number}", part) for number, part in enumerate(parts, 1)]
