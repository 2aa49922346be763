"""What an API server serves: how objects of a kind are addressed, and what can be done with them."""

from __future__ import annotations

import urllib.parse
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

__all__ = ["AGGREGATED", "Resource", "Target", "described"]

AGGREGATED = "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList"
"""What to accept from ``/api`` and ``/apis`` to be told all of it at once (Kubernetes API, aggregated discovery)."""


@dataclass(frozen=True, slots=True)
class Resource:
    """How objects of one kind are addressed, and what can be done with them (``verbs`` of the discovery)."""

    api_version: str
    kind: str
    plural: str
    namespaced: bool
    verbs: frozenset[str] = frozenset()

    def path(self, namespace: str | None = None, name: str | None = None) -> str:
        """Give the URL path of one object, or of the list it is in."""
        root = f"/api/{self.api_version}" if "/" not in self.api_version else f"/apis/{self.api_version}"
        if self.namespaced and namespace:
            root += f"/namespaces/{urllib.parse.quote(namespace, safe='')}"
        return f"{root}/{self.plural}" + (f"/{urllib.parse.quote(name, safe='')}" if name else "")


@dataclass(frozen=True, slots=True)
class Target:
    """What to watch of a kind.

    Attributes:
        resource: The kind.
        namespace: Where; None for all namespaces.
        name: The only object; empty for all. Who may see just that one may watch it so (Kubernetes, "Using RBAC
            Authorization", Referring to resources: ``resourceNames``).
    """

    resource: Resource
    namespace: str | None
    name: str = ""

    def path(self) -> str:
        """Give the URL path of the watch."""
        query = {"watch": "true", "allowWatchBookmarks": "true", "timeoutSeconds": "600"}
        query |= {"fieldSelector": f"metadata.name={self.name}"} if self.name else {}
        return f"{self.resource.path(self.namespace)}?{urllib.parse.urlencode(query)}"


def described(discovery: Mapping[str, Any]) -> Iterator[Resource]:
    """Read an aggregated discovery: every kind, each in the version that its group prefers, which is the first.

    Args:
        discovery: An ``APIGroupDiscoveryList`` of ``apidiscovery.k8s.io/v2``.
    """
    for group in discovery["items"]:
        name = group["metadata"].get("name", "")
        known: set[str] = set()
        for version in group["versions"]:
            api_version = f"{name}/{version['version']}" if name else version["version"]
            served = [each for each in version.get("resources", ()) if each["resource"] not in known]
            known.update(each["resource"] for each in served)
            # One without a kind of its own has subresources alone.
            yield from (_resource(api_version, each) for each in served if each.get("responseKind"))


def _resource(api_version: str, entry: Mapping[str, Any]) -> Resource:
    kind, namespaced = entry["responseKind"]["kind"], entry["scope"] == "Namespaced"
    return Resource(api_version, kind, entry["resource"], namespaced, frozenset(entry["verbs"]))
