"""Custom types: those that a cluster defines, and those that its API server serves, which come a moment later."""

from __future__ import annotations

from sandbox.core.conditions import Observation, met, pending
from sandbox.core.errors import UnavailableError
from sandbox.kube.api import KubeApi, KubeError
from sandbox.kube.resources import Resource

__all__ = ["served_as_defined"]

_DEFINITIONS = Resource(
    "apiextensions.k8s.io/v1", "CustomResourceDefinition", "customresourcedefinitions", namespaced=False
)
_API_SERVICES = Resource("apiregistration.k8s.io/v1", "APIService", "apiservices", namespaced=False)
_MANAGED = "kube-aggregator.kubernetes.io/automanaged"
"""On an APIService: "true" for one that follows from definitions (kube-aggregator, ``autoregister``)."""
_NOT_FOUND = 404


def served_as_defined(api: KubeApi) -> Observation:
    """Look whether the custom types that the cluster defines are served, and no others told of.

    What is served, and what discovery tells of, follow the definitions each in a time of their own.
    """
    try:
        defined = {str(each["name"]) for each in api.metadata(_DEFINITIONS)}
        told = {_named(kind): kind for kind in _custom(api)}
        waiting = [
            *(
                f"{name} is defined and not told of"
                for name in sorted(defined - told.keys())
                if not _refused(api, name)
            ),
            *(f"{name} is told of and not defined" for name in sorted(told.keys() - defined)),
            *(f"{name} is not served" for name, kind in told.items() if not _answered(api, kind)),
        ]
    except UnavailableError as error:
        return pending(str(error))
    return pending("; ".join(waiting)) if waiting else met(f"{len(defined)} custom types are served")


def _custom(api: KubeApi) -> list[Resource]:
    """Give the kinds of which discovery tells, but those that Kubernetes or a server beside it brings along."""
    other = {
        _api_version(str(each["name"]))
        for each in api.metadata(_API_SERVICES)
        if (each.get("labels") or {}).get(_MANAGED) != "true"
    }
    # The aggregator serves its own kind itself, with no APIService.
    other.add(_API_SERVICES.api_version)
    return [kind for kind in api.kinds() if kind.api_version not in other]


def _api_version(service: str) -> str:
    version, _, group = service.partition(".")
    return f"{group}/{version}" if group else version


def _named(kind: Resource) -> str:
    return f"{kind.plural}.{kind.api_version.partition('/')[0]}"


def _refused(api: KubeApi, name: str) -> bool:
    """Whether a definition will never be served: of two that want the same names only one is."""
    found = api.get(_DEFINITIONS.api_version, _DEFINITIONS.kind, name) or {}
    conditions = found.get("status", {}).get("conditions") or ()
    return any(each["type"] == "NamesAccepted" and each["status"] == "False" for each in conditions)


def _answered(api: KubeApi, kind: Resource) -> bool:
    try:
        api.request("GET", f"{kind.path()}?limit=1")
    except KubeError as error:
        if error.status == _NOT_FOUND:
            return False
        raise
    return True
