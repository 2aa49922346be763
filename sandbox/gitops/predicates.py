"""Predicates: what a verdict demands, in words and as a look at what there is.

A predicate is a condition that knows its sentence, so that ``eventually(dev.lives(revision))`` needs
no further words, and that carries the evidence which it gives once it is proved.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from sandbox.core.conditions import Condition, Observation, State, met

__all__ = ["Predicate", "every"]


@dataclass(frozen=True, slots=True)
class Predicate:
    """Something that can be so or not; called, it looks.

    Attributes:
        sentence: What is demanded: "abc12345 to live in dev".
        look: Looks once.
        evidence: What a reader can check when it was proved.
        final: Whether nothing can change it any more once it is so; it is then not watched for a moment.
    """

    sentence: str
    look: Condition
    evidence: Mapping[str, Any] = field(default_factory=dict)
    final: bool = False

    def __call__(self) -> Observation:
        """Look."""
        return self.look()


def every(predicates: Iterable[Predicate]) -> Predicate:
    """Demand several things at once; the first that is not so is what is seen."""
    parts = list(predicates)

    def look() -> Observation:
        said = []
        for part in parts:
            seen = part()
            if seen.state is not State.MET:
                return Observation(seen.state, f"{part.sentence}: {seen.seen}")
            said.append(seen.seen)
        return met("; ".join(said))

    evidence = {key: value for part in parts for key, value in part.evidence.items()}
    return Predicate(" and ".join(part.sentence for part in parts), look, evidence)
