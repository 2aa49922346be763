"""Reading a server's configuration: JSON that the sandbox wrote, checked field by field before anything starts."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from sandbox.core.errors import UsageError

__all__ = ["Fields"]

_T = TypeVar("_T")
_HIGHEST_PORT = 65535


@dataclass(frozen=True, slots=True)
class Fields:
    """A JSON object whose fields are taken by type; a wrong one is named by its place in the file.

    Attributes:
        values: The object.
        where: Its place, for messages: ``webhooks[0]``; empty for the whole file.
    """

    values: Mapping[str, object]
    where: str = ""

    def text(self, name: str) -> str:
        """Give a string that is not empty.

        Raises:
            UsageError: It is missing, empty or no string; the value itself is never shown, it may be a secret.
        """
        value = self._required(name, str)
        if not value:
            raise self._wrong(name, "must not be empty")
        return value

    def port(self, name: str) -> int:
        """Give a TCP port.

        Raises:
            UsageError: It is missing or none.
        """
        value = self._required(name, int)
        if isinstance(value, bool) or not 0 < value <= _HIGHEST_PORT:
            raise self._wrong(name, f"must be a port, 1 to {_HIGHEST_PORT}")
        return value

    def number(self, name: str, default: float) -> float:
        """Give a number above zero, or ``default`` where the field is missing.

        Raises:
            UsageError: It is none.
        """
        value = self.values.get(name, default)
        if isinstance(value, bool) or not isinstance(value, int | float) or value <= 0:
            raise self._wrong(name, "must be a number above zero")
        return float(value)

    def path(self, name: str) -> Path:
        """Give an absolute path.

        Raises:
            UsageError: It is missing or relative: a server has no folder that it could start from.
        """
        path = Path(self.text(name))
        if not path.is_absolute():
            raise self._wrong(name, "must be an absolute path")
        return path

    def optional_path(self, name: str) -> Path | None:
        """Give an absolute path, or None where the field is missing or null.

        Raises:
            UsageError: It is relative.
        """
        return None if self.values.get(name) is None else self.path(name)

    def texts(self, name: str) -> tuple[str, ...]:
        """Give a list of strings; empty where the field is missing.

        Raises:
            UsageError: It is no list of strings.
        """
        value = self.values.get(name, [])
        if not isinstance(value, list) or not all(isinstance(item, str) for item in value):
            raise self._wrong(name, "must be a list of strings")
        return tuple(value)

    def child(self, name: str) -> Fields:
        """Give an object inside this one.

        Raises:
            UsageError: It is missing or no object.
        """
        value: dict[str, object] = self._required(name, dict)
        return Fields(value, self._place(name))

    def children(self, name: str) -> list[Fields]:
        """Give a list of objects; empty where the field is missing.

        Raises:
            UsageError: It is something else.
        """
        value = self.values.get(name, [])
        if not isinstance(value, list) or not all(isinstance(item, dict) for item in value):
            raise self._wrong(name, "must be a list of objects")
        return [Fields(item, f"{self._place(name)}[{index}]") for index, item in enumerate(value)]

    def _required(self, name: str, kind: type[_T]) -> _T:
        value = self.values.get(name)
        if not isinstance(value, kind):
            raise self._wrong(name, "is missing" if value is None else f"must be of type {kind.__name__}")
        return value

    def _place(self, name: str) -> str:
        return f"{self.where}.{name}" if self.where else name

    def _wrong(self, name: str, why: str) -> UsageError:
        return UsageError("the server's configuration can't be used", why=f"{self._place(name)} {why}")
