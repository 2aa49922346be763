"""Leaving somebody's cluster: what the sandbox made goes, by its mark, and nothing else."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from sandbox.components.argocd.home import ARGOCD_API
from sandbox.components.existing.argocd_in_namespace import TYPE
from sandbox.components.existing.foothold import PREPARED_LABEL, Foothold, own_namespace
from sandbox.components.existing.given_namespaces import empty, left_in
from sandbox.components.existing.rights import APPLICATION_KINDS, OWN_KINDS
from sandbox.containers.described import RUN_ID_LABEL
from sandbox.core.conditions import Deadline, Observation, met, pending, wait_for
from sandbox.kube.api import KubeApi, KubeError

__all__ = ["leave"]

_ARGOCD_KINDS = tuple(kind for kind in OWN_KINDS if kind[0] == ARGOCD_API)
_GRANTING = (
    ("v1", "Secret"),
    ("rbac.authorization.k8s.io/v1", "RoleBinding"),
    ("rbac.authorization.k8s.io/v1", "Role"),
)
_RUNNING = (("apps/v1", "Deployment"), ("apps/v1", "StatefulSet"), ("apps/v1", "ReplicaSet"), ("v1", "Pod"))
_FORBIDDEN, _NOT_FOUND = 403, 404


def leave(foothold: Foothold, namespaces: Sequence[str], deadline: Deadline) -> None:
    """Delete the namespaces that the sandbox made, empty those that were prepared for it, and take its types along.

    Args:
        foothold: The user's identity.
        namespaces: All that the sandbox has ever asked for; what does not carry its mark is left alone.
        deadline: For all of it together.

    Raises:
        KubeError: Something may not be deleted.
        DeadlineError: Something stays; names it.
    """
    api = foothold.api
    states = {name: foothold.look(name) for name in namespaces}
    # Nobody is left who would do what their finalizers wait for.
    for name, state in states.items():
        if state != "absent":
            _release_finalizers(api, name)
    for name, state in states.items():
        if state == "made":
            # Its own deletion would sit out the grace of each pod.
            empty(api, name, _RUNNING, PREPARED_LABEL)
            api.delete("v1", "Namespace", name)
        elif state == "prepared":
            empty(api, name, _kinds(foothold, name), PREPARED_LABEL)
    wait_for(
        lambda: _left(foothold, states),
        deadline,
        wanted=f"what the sandbox had in the cluster of context {foothold.context} to be gone",
        every=0.3,
    )
    _remove_types(foothold, deadline)


def _release_finalizers(api: KubeApi, namespace: str) -> None:
    for api_version, kind in _ARGOCD_KINDS:
        try:
            items = api.list(api_version, kind, namespace)
        except KubeError as error:
            if error.status not in (_NOT_FOUND, _FORBIDDEN):
                raise
            continue
        for item in items:
            if item["metadata"].get("finalizers"):
                name = item["metadata"]["name"]
                api.merge(api_version, kind, name, namespace, {"metadata": {"finalizers": None}})


def _kinds(foothold: Foothold, namespace: str) -> tuple[tuple[str, str], ...]:
    own = namespace == own_namespace(foothold.owner.name)
    return (*(OWN_KINDS if own else APPLICATION_KINDS), *_GRANTING)


def _left(foothold: Foothold, states: Mapping[str, str]) -> Observation:
    api, left = foothold.api, []
    for name, state in states.items():
        if state == "made" and (found := api.get("v1", "Namespace", name)) is not None:
            conditions = found.get("status", {}).get("conditions") or ()
            said = "; ".join(entry["message"] for entry in conditions if entry["status"] == "True")
            left.append(f"namespace {name}: {said or 'being deleted'}")
        elif state == "prepared":
            left += [f"{each} in {name}" for each in left_in(api, name, _kinds(foothold, name), PREPARED_LABEL)]
    return pending("; ".join(left)) if left else met("gone")


def _remove_types(foothold: Foothold, deadline: Deadline) -> None:
    """Delete the types that this sandbox brought, unless somebody has made objects of them since."""
    api = foothold.api
    mark = f"{RUN_ID_LABEL}={foothold.owner.run_id}"
    try:
        types = api.list("apiextensions.k8s.io/v1", TYPE, labels=mark)
    except KubeError as error:
        if error.status == _FORBIDDEN:
            # Who may not look could not have brought them.
            return
        raise
    used = [each for each in types if api.list(ARGOCD_API, each["spec"]["names"]["kind"])]
    if not types or used:
        return
    for each in types:
        api.delete("apiextensions.k8s.io/v1", TYPE, each["metadata"]["name"])
    # They are served for a moment yet: who looked then would count on them.
    wait_for(
        lambda: _served(foothold, mark),
        deadline,
        wanted="the types of Argo CD that the sandbox brought to be gone",
        every=0.3,
    )


def _served(foothold: Foothold, mark: str) -> Observation:
    left = [each["metadata"]["name"] for each in foothold.api.list("apiextensions.k8s.io/v1", TYPE, labels=mark)]
    if left:
        return pending(f"still there: {', '.join(left)}")
    return pending("they are still served") if foothold.has_types() else met("gone")
