"""All that a sandbox holds, in a form that can be compared: the whole API, every ref, every image, every run."""

from __future__ import annotations

from collections.abc import Container
from difflib import ndiff
from pathlib import Path
from typing import Any

import yaml

from sandbox.core.commands import run
from sandbox.core.conditions import Deadline, Observation, met, pending, wait_for
from sandbox.engines.access import Access
from sandbox.gitops.registry import RegistryView
from sandbox.kube.api import KubeApi
from sandbox.servers.repositories import isolated_git, list_repositories

__all__ = ["differences", "everything", "settled"]

# What moves by itself, each with its reason.
_MOVING_KINDS = {
    "componentstatuses": "are not kept: they say what a probe finds while the question is answered",
    "events": "tell of what happened, and pass after an hour",
    "leases": "are renewed every few seconds by nodes and API servers: looked at by name below",
}
_MOVING_FIELDS = {
    "managedFields": "say who wrote when, and a controller that writes the same again is noted there",
    "resourceVersion": "is the count of all writes: putting an object back is one more",
}
_HEARTBEAT = "lastHeartbeatTime"  # a node says that it lives
# What moves where containers run: some begin anew with a way back, and others tell of that.
_TIMES = {"lastTransitionTime", "lastUpdateTime"}


def _without(value: Any, moving: Container[str]) -> Any:
    """Give an object without some fields, wherever they are."""
    if isinstance(value, dict):
        return {key: _without(item, moving) for key, item in value.items() if key not in moving}
    return [_without(item, moving) for item in value] if isinstance(value, list) else value


def _in_order(value: Any) -> Any:
    """Give an object with its lists in one order: conditions and addresses are told as they came about."""
    if isinstance(value, dict):
        return {key: _in_order(item) for key, item in value.items()}
    return sorted(map(_in_order, value), key=repr) if isinstance(value, list) else value


def _still(kind: str, item: dict[str, Any], *, runs: bool) -> dict[str, Any]:
    """Give an object without what moves by itself, where containers run or where none does."""
    still: dict[str, Any] = _without(item, {*_MOVING_FIELDS, _HEARTBEAT, *(_TIMES if runs else ())})
    if runs and kind == "pods":
        # What the kubelet tells of its containers.
        still["status"] = still["status"]["phase"]
    if runs and kind == "nodes":
        # Told by the kubelet once in a while; looked at in the node itself.
        del still["status"]["images"]
    if runs and kind in {"endpoints", "endpointslices"}:
        # Whose addresses they are is said beside them: a pod that came back has another one.
        moving = {"ip", "annotations", "generation", *(["addresses"] if kind == "endpointslices" else ())}
        still = _in_order(_without(still, moving))
    if runs and "status" in still:
        still["status"] = _in_order(still["status"])
    return still


def everything(access: Access) -> dict[str, Any]:
    """Give all that a sandbox holds, by a name that says what it is."""
    return {
        **_objects(access),
        **{f"ref {name}": refs for name, refs in _refs(access.repositories).items()},
        **{f"images of {name}": tags for name, tags in _registry(access).tags("").items()},
        **{f"blob {path.parent.name}": path.stat().st_size for path in access.folder.glob("registry/**/blobs/**/data")},
        **{f"CI run {path.name}": True for path in access.runs.iterdir()},
        **{f"working copy of {path.name}": True for path in access.folder.glob("work/*")},
        **{f"tenant {path.name}": True for path in access.folder.glob("tenants/*")},
    }


def _objects(access: Access) -> dict[str, Any]:
    api = KubeApi(access.kubeconfig)
    runs = "containers" in access.capabilities
    found: dict[str, Any] = {}
    for kind in api.kinds():
        # The second name of events is left out with the first.
        if "list" not in kind.verbs or kind.plural == "events":
            continue
        for item in api.request("GET", kind.path())["items"] or ():
            metadata = item["metadata"]
            key = f"{kind.plural}.{kind.api_version} {metadata.get('namespace', '')}/{metadata['name']}"
            found[key] = True if kind.plural in _MOVING_KINDS else _still(kind.plural, item, runs=runs)
    api.close()
    return found


def _refs(root: Path) -> dict[str, str]:
    words = ["for-each-ref", "--format=%(refname) %(objectname)"]
    return {
        name: run(["git", "--git-dir", root / f"{name}.git", *words], timeout=30, env=isolated_git())
        for name in list_repositories(root)
    }


def _registry(access: Access) -> RegistryView:
    return RegistryView(access.registry_address, access.registry.user, access.registry.password())


def differences(before: dict[str, Any], after: dict[str, Any]) -> list[str]:
    """Say in which way two moments differ; nothing where they don't."""
    gone, new = sorted(set(before) - set(after)), sorted(set(after) - set(before))
    changed = sorted(key for key in set(before) & set(after) if before[key] != after[key])
    told = [f"changed: {key}: {_lines_that_differ(before[key], after[key])}" for key in changed]
    return [*(f"gone: {key}" for key in gone), *(f"new: {key}" for key in new), *told]


def _lines_that_differ(before: Any, after: Any) -> str:
    """Give the lines of two objects that are not in both, each with the sign of the side that it is on."""
    was, became = (yaml.safe_dump(value).splitlines() for value in (before, after))
    return ", ".join(line for line in ndiff(was, became) if line[0] in "+-")


def settled(access: Access) -> dict[str, Any]:
    """Give everything once Kubernetes' controllers have given each namespace its authority of the API server."""
    api = KubeApi(access.kubeconfig)
    authority = (access.folder / "pki" / "ca.crt").read_text()

    def given() -> Observation:
        spaces = [item["metadata"] for item in api.list("v1", "Namespace")]
        # One that is going is given nothing any more.
        names = [each["name"] for each in spaces if "deletionTimestamp" not in each]
        found = {name: api.get("v1", "ConfigMap", "kube-root-ca.crt", name) or {} for name in names}
        waiting = [name for name, item in found.items() if item.get("data", {}).get("ca.crt") != authority]
        return pending(f"waits for it: {waiting}") if waiting else met("given")

    wait_for(given, Deadline.after(60), wanted="each namespace to have the authority of this sandbox")
    api.close()
    return everything(access)
