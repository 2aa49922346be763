"""Flags that several verbs share: a dataclass whose fields are flags, so that a new one is written once.

A verb takes such a dataclass as one argument; ``sandbox.cli.verb`` shows Invoke its fields instead.
"""

from __future__ import annotations

import dataclasses
import inspect
import random
import re
import typing
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from sandbox.core.errors import UsageError
from sandbox.engines import sandboxes

__all__ = ["COMMON", "DEFAULT_NAME", "PROVIDER_HELP", "Bringing", "Course", "Expansion", "Pausing", "flag"]

DEFAULT_NAME = "default"
_MOST_JOBS = 32
PROVIDER_HELP = "Take tools from this source only: release, go, wheel or system."
COMMON = {
    "name": "Name of the sandbox.",
    "json": "One JSON object on stdout; progress goes to stderr.",
}
"""What flags mean that nearly every verb has."""


def flag(default: Any, meaning: str) -> Any:
    """Give a dataclass field that is a flag, with what it means."""
    return dataclasses.field(default=default, metadata={"help": meaning})


@dataclass(frozen=True, slots=True)
class Bringing:
    """Which sandbox a verb works in, and how that is brought up where it does not stand.

    Nothing is 0 or the empty text, since Invoke takes a flag's type from its default.
    """

    name: str = flag(DEFAULT_NAME, COMMON["name"])
    engine: str = flag(
        "",
        f"Where it lives: {', '.join(sandboxes.ENGINES)} (for a new one {sandboxes.DEFAULT_ENGINE};"
        " one that there is keeps its own).",
    )
    context: str = flag("", "With --engine cluster: in the cluster of which context of your kubeconfig.")
    argocd: str = flag("", "With --context: use the Argo CD that runs in this namespace of that cluster, as a guest.")
    nodes: int = flag(0, "How many nodes the cluster has (1 for a new sandbox, 3 with --ha).")
    ha: bool = flag(
        False,  # noqa: FBT003  # a field's default
        "Run Argo CD in its HA variant; kind only, and on 3 nodes or more. A sandbox that has it keeps it.",
    )
    provider: str = flag("", PROVIDER_HELP)

    merge_kubeconfig: bool = flag(
        False,  # noqa: FBT003  # a field's default
        "Put the sandbox's context into your own kubeconfig too; down takes it out again.",
    )

    def options(self) -> sandboxes.UpOptions:
        """Read them.

        Raises:
            UsageError: A value can't be.
        """
        return sandboxes.UpOptions.parsed(
            self.engine,
            self.nodes,
            self.provider,
            merge_kubeconfig=self.merge_kubeconfig,
            context=self.context,
            ha=self.ha,
            argocd=self.argocd,
        )


@dataclass(frozen=True, slots=True)
class Pausing:
    """Where a telling pauses so that somebody can look."""

    step: bool = flag(False, "Pause before each step, say how to get in, and go on with Enter.")  # noqa: FBT003  # a field's default
    pause_on_failure: bool = flag(
        False,  # noqa: FBT003  # a field's default
        "Pause when a step has failed, while everything is as it was then.",
    )


@dataclass(frozen=True, slots=True)
class Course:
    """In which order several stories are told, and how many at once."""

    jobs: int = flag(1, "How many to tell at once, each as a tenant of its own.")
    shuffle: str = flag("", "Tell them in another order: by chance, or by the number that an earlier run said.")

    def order(self, count: int, say: Callable[[str], None]) -> list[int]:
        """Give the order in which so many stories are told, as their places in the order that was asked for.

        Args:
            count: How many there are.
            say: Told the number by which the same order can be had again.

        Raises:
            UsageError: A value can't be.
        """
        if not 1 <= self.jobs <= _MOST_JOBS:
            raise UsageError(f"--jobs {self.jobs}: from 1 to {_MOST_JOBS} stories can be told at once", hint="--jobs 2")
        order = list(range(count))
        if self.shuffle:
            seed = self._seed()
            random.Random(seed).shuffle(order)  # noqa: S311  # an order, and no secret
            say(f"in another order; the same again: --shuffle {seed}")
        return order

    def _seed(self) -> int:
        # A flag that stands without a value is given as the flag's own truth.
        if self.shuffle in (True, "True"):
            return random.randrange(10**6)  # noqa: S311  # an order, and no secret
        if not re.fullmatch(r"[0-9]{1,18}", self.shuffle):
            raise UsageError(f"--shuffle {self.shuffle}: that is no number", hint="--shuffle, or --shuffle 42")
        return int(self.shuffle)


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
