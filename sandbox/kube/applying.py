"""Applying many objects at once: namespaces first, and objects of custom types only when the types are in force."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from sandbox.core.conditions import Deadline, Observation, met, pending, wait_for
from sandbox.kube.api import KubeApi, KubeError

__all__ = ["apply_all", "covers"]

_NOT_FOUND = 404
_NAMESPACE = "Namespace"
_CUSTOM = "CustomResourceDefinition"
# Whoever may not bind every role is refused (404) where the role that is bound is not there yet (Kubernetes, "Using
# RBAC Authorization", Restrictions on role binding creation or update).
_BINDINGS = ("RoleBinding", "ClusterRoleBinding")
# What the client's pool keeps open for a machine of two processors is twice that.
_AT_ONCE = 4


def apply_all(api: KubeApi, manifests: Iterable[Mapping[str, Any]], deadline: Deadline) -> None:
    """Apply manifests side by side: namespaces first, bindings of roles last, and what is of a custom type after that.

    What is already as it must be is only looked at: to apply a large custom type again takes the API server seconds.

    Args:
        api: Who applies them, to which cluster.
        manifests: What must be, in any order.
        deadline: When custom types must be in force.

    Raises:
        KubeError: The API server refused one.
        DeadlineError: A custom type was not served in time.
    """
    listed = list(manifests)
    definitions = [manifest for manifest in listed if manifest["kind"] == _CUSTOM]
    groups = {definition["spec"]["group"] for definition in definitions}
    custom = [manifest for manifest in listed if str(manifest["apiVersion"]).partition("/")[0] in groups]
    for manifest in listed:
        if manifest["kind"] == _NAMESPACE:
            _have(api, manifest)
    others = [manifest for manifest in listed if manifest["kind"] != _NAMESPACE and manifest not in custom]
    bindings = [manifest for manifest in others if manifest["kind"] in _BINDINGS]
    # Each waits for the API server's disk; in a fresh cluster that is most of the time.
    with ThreadPoolExecutor(_AT_ONCE) as pool:
        for phase in ([manifest for manifest in others if manifest not in bindings], bindings):
            list(pool.map(lambda manifest: _have(api, manifest), phase))
    for definition in definitions:
        name = definition["metadata"]["name"]
        wait_for(
            lambda definition=definition: _served(api, definition["spec"]),  # type: ignore[misc]
            deadline,
            wanted=f"CRD {name} to be in force",
            hint=f"kubectl get crd {name} --output yaml: its conditions say what keeps it",
        )
    for manifest in custom:
        wait_for(
            lambda manifest=manifest: _applied(api, manifest),  # type: ignore[misc]
            deadline,
            wanted=f"{manifest['kind']} {manifest['metadata']['name']} to be accepted",
        )


def covers(live: Any, wanted: Any) -> bool:
    """Say whether a live object has all that a manifest says; what it has beyond that is the API server's."""
    if isinstance(wanted, Mapping):
        return isinstance(live, Mapping) and all(
            name in live and covers(live[name], value) for name, value in wanted.items()
        )
    if isinstance(wanted, list):
        return isinstance(live, list) and len(live) == len(wanted) and all(map(covers, live, wanted))
    return bool(live == wanted)


def _have(api: KubeApi, manifest: Mapping[str, Any]) -> None:
    metadata = manifest["metadata"]
    live = api.get(manifest["apiVersion"], manifest["kind"], metadata["name"], metadata.get("namespace"))
    if live is None or not covers(live, manifest):
        api.apply(manifest)


def _served(api: KubeApi, spec: Mapping[str, Any]) -> Observation:
    """Look whether a type is served: to look at its definition, which may be large, is work for the API server."""
    version = next(each["name"] for each in spec["versions"] if each["served"])
    path = f"/apis/{spec['group']}/{version}"
    try:
        names = [each["name"] for each in api.request("GET", path)["resources"]]
    except KubeError as error:
        if error.status != _NOT_FOUND:
            raise
        names = []
    return met("served") if spec["names"]["plural"] in names else pending(f"{path} serves {', '.join(names) or 'none'}")


def _applied(api: KubeApi, manifest: Mapping[str, Any]) -> Observation:
    try:
        _have(api, manifest)
    except KubeError as error:
        # An established CRD may still be a moment away from being served.
        if error.status == _NOT_FOUND:
            return pending(error.why)
        raise
    return met("accepted")
