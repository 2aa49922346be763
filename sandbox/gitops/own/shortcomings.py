"""What no sandbox can show of a user's objects, so that it is named and not held against them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

__all__ = ["shortcoming", "unexplained"]

_NEED_ADDRESSES = ("Ingress", "Service", "Gateway", "HTTPRoute")

Json = Mapping[str, Any]


def shortcoming(node: Json) -> str:
    """Say why an object that is not healthy can't be here, whatever is in Git; empty where it could.

    Args:
        node: The object as in Argo CD's resource tree.
    """
    if node.get("kind") in _NEED_ADDRESSES and (node.get("health") or {}).get("status") == "Progressing":
        return "no controller in the sandbox gives it an address"
    return ""


def unexplained(nodes: Iterable[Json]) -> list[Json]:
    """Give the objects, of those that are not healthy, that no shortcoming explains."""
    return [each for each in nodes if not shortcoming(each)]
