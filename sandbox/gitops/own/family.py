"""Which Applications belong to a repository: those that were created of it, and all that these make in turn."""

from __future__ import annotations

import graphlib
from collections.abc import Iterable, Mapping
from typing import Any

from sandbox.gitops.cluster import TRACKING
from sandbox.gitops.own.findings import Finding, Level

__all__ = ["family", "live_cycles"]

Json = dict[str, Any]


def family(roots: Mapping[tuple[str, str], str], objects: Iterable[Json]) -> dict[tuple[str, str], tuple[Json, str]]:
    """Find the Applications and ApplicationSets that come of some roots.

    Args:
        roots: Kind and name of each root, with the file that it comes from.
        objects: All Applications and ApplicationSets that there are.

    Returns:
        Each by kind and name, with what made it, as people say it.
    """
    waiting = {(each["kind"], each["metadata"]["name"]): each for each in objects}
    makers = {key: f"{path}" for key, path in roots.items() if key in waiting}
    open_ones = list(makers)
    while open_ones:
        kind, name = open_ones.pop(0)
        for key, each in waiting.items():
            if key not in makers and _parent(each) == (kind, name):
                makers[key] = f"{kind} {name}"
                open_ones.append(key)
    return {key: (waiting[key], by) for key, by in makers.items()}


def _parent(item: Json) -> tuple[str, str] | None:
    """Say what made an Application: an ApplicationSet owns it, another Application tracks it."""
    for owner in item["metadata"].get("ownerReferences") or ():
        if owner["kind"] == "ApplicationSet":
            return "ApplicationSet", owner["name"]
    return _tracker(item)


def _tracker(item: Json) -> tuple[str, str] | None:
    # NAME:GROUP/KIND:NAMESPACE/NAME of the object itself; of a copy it would name another object.
    said = (item["metadata"].get("annotations") or {}).get(TRACKING, "")
    name, _, rest = said.partition(":")
    own = f"argoproj.io/{item['kind']}:{item['metadata']['namespace']}/{item['metadata']['name']}"
    return ("Application", name.rpartition("_")[2]) if rest == own else None


def live_cycles(objects: Iterable[Json]) -> list[Finding]:
    """Find Applications that deploy one another in a circle, by what Argo CD itself notes on them."""
    applications = [each for each in objects if each["kind"] == "Application"]
    graph = {
        each["metadata"]["name"]: {parent[1]}
        for each in applications
        if (parent := _tracker(each)) and parent[1] != each["metadata"]["name"]
    }
    try:
        graphlib.TopologicalSorter(graph).prepare()
    except graphlib.CycleError as error:
        names = list(error.args[1])
        return [
            Finding(
                Level.ERROR,
                names[0],
                " → ".join(f"Application {name}" for name in names),
                "these Applications deploy one another in a circle",
                why="Argo CD notes on each that the one before it deploys it",
                hint="take one of them out of the other's path: a deletion or a prune would go round and take all",
            )
        ]
    return []
