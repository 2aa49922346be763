"""Namespaces in a cluster that is not the sandbox's own: each is had once, and emptied before each story."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sandbox.components.argocd.config import secret
from sandbox.components.argocd.home import ArgocdHome
from sandbox.components.base import Context
from sandbox.components.existing.foothold import NATIVE, PREPARED_LABEL, Foothold
from sandbox.components.existing.registry_in_cluster import READER_SECRET, READER_USER
from sandbox.components.existing.rights import APPLICATION_KINDS, TENANT_RULES
from sandbox.components.namespaces import Owns
from sandbox.containers.described import NAME_LABEL, Owner
from sandbox.core.conditions import Deadline, Observation, met, pending, wait_for
from sandbox.core.files import read_json, write_json
from sandbox.kube.api import KubeApi, KubeError

__all__ = ["PULL_SECRET", "GivenNamespaces", "empty", "left_in", "note", "noted", "pull_secret"]

PULL_SECRET = "gitops-sandbox-registry"  # noqa: S105  # the name of the Secret, not the secret
"""By which nodes pull the images of a sandbox."""

_NOTES = "namespaces.json"
_NOT_FOUND, _FORBIDDEN = 404, 403
_CLEAR_SECONDS = 120.0


def noted(folder: Path) -> list[str]:
    """Name the namespaces that a sandbox has ever asked for, its own first."""
    try:
        return [str(name) for name in read_json(folder / _NOTES)["namespaces"]]  # type: ignore[attr-defined]  # our own
    except FileNotFoundError:
        return []


def note(folder: Path, name: str) -> None:
    """Note a namespace before it is asked for: of what is broken off, ``down`` still finds what there may be."""
    write_json(folder / _NOTES, {"namespaces": list(dict.fromkeys([*noted(folder), name]))})


def empty(api: KubeApi, namespace: str, kinds: Iterable[tuple[str, str]], stays: str) -> None:
    """Delete all objects of some kinds in a namespace, at once.

    Args:
        api: Who deletes.
        namespace: Where.
        kinds: Of what ``apiVersion`` and ``kind``; those that the cluster does not serve are passed over.
        stays: A label; what carries it stays, as does what each namespace has from its beginning.
    """
    for api_version, kind in kinds:
        try:
            api.delete_all(api_version, kind, namespace, labels=f"!{stays}", names=NATIVE.get(kind, ()))
        except KubeError as error:
            if error.status != _NOT_FOUND:
                raise


def left_in(api: KubeApi, namespace: str, kinds: Iterable[tuple[str, str]], stays: str) -> list[str]:
    """Name what ``empty`` would delete."""
    found = []
    for api_version, kind in kinds:
        try:
            items = api.list(api_version, kind, namespace, labels=f"!{stays}")
        except KubeError as error:
            if error.status != _NOT_FOUND:
                raise
            continue
        names = [str(each["metadata"]["name"]) for each in items]
        found += [f"{kind} {name}" for name in names if name not in NATIVE.get(kind, ())]
    return found


def pull_secret(sandbox: Context, namespace: str) -> dict[str, Any]:
    """Describe the Secret by which nodes pull for the pods of a namespace: it can read, and nothing else."""
    account = f"{READER_USER}:{sandbox.secrets.value(READER_SECRET)}"
    auth = {"auth": base64.b64encode(account.encode()).decode()}
    config = json.dumps({"auths": {sandbox.address("registry"): auth}})
    labels = Owner(sandbox.name, sandbox.run_id).labels
    kind = "kubernetes.io/dockerconfigjson"
    return secret(PULL_SECRET, namespace, {".dockerconfigjson": config}, labels, kind)


@dataclass(frozen=True, slots=True)
class GivenNamespaces:
    """Gives stories namespaces of somebody's cluster, made by the user's identity or prepared by an administrator.

    Attributes:
        kubeconfig: The user's.
        context: Which context of it.
        sandbox: The sandbox.
        home: Where its Applications are.
    """

    kubeconfig: str
    context: str
    sandbox: Context
    home: ArgocdHome

    def clear(self, api: KubeApi, names: Sequence[str], owns: Owns) -> Sequence[str]:
        """Have the namespaces, empty, with Argo CD allowed to work in them and nodes able to pull.

        Outside of them the sandbox may not look, and so may not have made anything.

        Raises:
            UnavailableError: One may not be made, or is somebody else's; names the permission that is lacking.
            DeadlineError: Something stays; names it.
        """
        del owns
        claimed = [name for name in names if not self._is_ours(api, name)]
        if claimed:
            foothold = Foothold(self.kubeconfig, self.context, self._owner)
            for name in claimed:
                note(self.sandbox.folder, name)
                foothold.claim(name, TENANT_RULES)
        for name in names:
            empty(api, name, APPLICATION_KINDS, NAME_LABEL)
            api.apply(pull_secret(self.sandbox, name))
        own = self.sandbox.own_namespace
        self.home.open_to(api, names, [name for name in noted(self.sandbox.folder) if name != own])
        wait_for(
            lambda: self._cleared(api, names),
            Deadline.after(_CLEAR_SECONDS),
            wanted=f"{', '.join(names)} to be empty",
            every=0.2,
        )
        return ()

    @property
    def _owner(self) -> Owner:
        return Owner(self.sandbox.name, self.sandbox.run_id)

    def _is_ours(self, api: KubeApi, name: str) -> bool:
        """Say whether the service account works there already."""
        try:
            found = api.get("v1", "Namespace", name)
        except KubeError as error:
            if error.status == _FORBIDDEN:
                return False
            raise
        labels = (found or {"metadata": {}})["metadata"].get("labels") or {}
        return labels.get(PREPARED_LABEL) == self._owner.name or self._owner.labels.items() <= labels.items()

    @staticmethod
    def _cleared(api: KubeApi, names: Sequence[str]) -> Observation:
        left = [f"{each} in {name}" for name in names for each in left_in(api, name, APPLICATION_KINDS, NAME_LABEL)]
        return pending(f"still there: {', '.join(left)}") if left else met("empty")
