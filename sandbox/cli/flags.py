"""Flags that several verbs share: a dataclass whose fields are flags, so that a new one is written once.

A verb takes such a dataclass as one argument; ``sandbox.cli.verb`` shows Invoke its fields instead.
"""

from __future__ import annotations

import dataclasses
import inspect
import typing
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from sandbox.engines import sandboxes

__all__ = ["COMMON", "DEFAULT_NAME", "PROVIDER_HELP", "Bringing", "Expansion"]

DEFAULT_NAME = "default"
PROVIDER_HELP = "Take tools from this source only: release, go, wheel or system."
COMMON = {
    "name": "Name of the sandbox.",
    "json": "One JSON object on stdout; progress goes to stderr.",
}
"""What flags mean that nearly every verb has."""


def _flag(default: Any, meaning: str) -> Any:
    return dataclasses.field(default=default, metadata={"help": meaning})


@dataclass(frozen=True, slots=True)
class Bringing:
    """Which sandbox a verb works in, and how that is brought up where it does not stand.

    Nothing is 0 or the empty text, since Invoke takes a flag's type from its default.
    """

    name: str = _flag(DEFAULT_NAME, COMMON["name"])
    engine: str = _flag(
        "",
        f"Where it lives: {', '.join(sandboxes.ENGINES)} (for a new one {sandboxes.DEFAULT_ENGINE};"
        " one that there is keeps its own).",
    )
    nodes: int = _flag(0, "How many nodes the cluster has (1 for a new sandbox).")
    provider: str = _flag("", PROVIDER_HELP)

    merge_kubeconfig: bool = _flag(
        False,  # noqa: FBT003  # a field's default
        "Put the sandbox's context into your own kubeconfig too; down takes it out again.",
    )

    def options(self) -> sandboxes.UpOptions:
        """Read them.

        Raises:
            UsageError: A value can't be.
        """
        return sandboxes.UpOptions.parsed(
            self.engine, self.nodes, self.provider, merge_kubeconfig=self.merge_kubeconfig
        )


class Expansion:
    """A function's signature with each dataclass argument replaced by that dataclass' fields.

    Args:
        function: Its arguments that are annotated with a dataclass are keyword-only.

    Attributes:
        signature: What is to be shown of it.
        help: What each flag means, as far as it is known.
    """

    def __init__(self, function: Callable[..., Any]) -> None:
        hints = typing.get_type_hints(function)
        whole = inspect.signature(function)
        self._groups = {name: hints[name] for name in whole.parameters if dataclasses.is_dataclass(hints.get(name))}
        self.help: dict[str, str] = {}
        parameters: list[inspect.Parameter] = []
        for name, parameter in whole.parameters.items():
            if name not in self._groups:
                parameters.append(parameter)
                self.help |= {name: COMMON[name]} if name in COMMON else {}
                continue
            for field in dataclasses.fields(self._groups[name]):
                parameters.append(inspect.Parameter(field.name, inspect.Parameter.KEYWORD_ONLY, default=field.default))
                self.help[field.name] = field.metadata["help"]
        self.signature = whole.replace(parameters=parameters)

    def folded(self, given: Mapping[str, Any]) -> dict[str, Any]:
        """Make the arguments that the function takes of those that Invoke gives."""
        rest = dict(given)
        made = {
            name: group(
                **{field.name: rest.pop(field.name) for field in dataclasses.fields(group) if field.name in rest}
            )
            for name, group in self._groups.items()
        }
        return rest | made
