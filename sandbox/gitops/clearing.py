"""Clearing a tenant: everything that it has made goes, and nothing that was there before it.

A tenant's are its repositories, its images, its CI runs, and in the cluster

- the Applications, ApplicationSets and AppProjects that bear its name or follow its repositories,
- its namespaces, and those that its Applications alone are deployed to and that are younger than itself,
- what Argo CD tracks as part of its Applications, wherever it lies,
- and any object that bears its name and is younger than itself, with or without a namespace.

Names that a tenant claims are told apart from those of a tenant with a longer name
(``Tenant.claims``); the age is what keeps a tenant called ``local`` from claiming what the cluster
brought along.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from sandbox.components.argocd.home import ARGOCD_API
from sandbox.components.namespaces import nothing, overtaken
from sandbox.core.conditions import Deadline, Observation, met, pending, wait_for
from sandbox.engines.access import Access
from sandbox.gitops.cluster import TRACKING
from sandbox.gitops.registry import RegistryView
from sandbox.gitops.tenant import ENVIRONMENTS, Tenant, Tenants
from sandbox.kube.api import KubeApi
from sandbox.servers.ci_runs import RunStore
from sandbox.servers.repositories import delete_repository, list_repositories

__all__ = ["Cleared", "clear_tenant"]

_SECONDS = 60.0


@dataclass(frozen=True, slots=True)
class Cleared:
    """What became of a tenant.

    Attributes:
        freed: What finalizers held that nobody took off: each object, and the finalizers.
    """

    freed: tuple[str, ...] = ()


def clear_tenant(access: Access, api: KubeApi, tenant: Tenant) -> Cleared:
    """Remove all that a tenant has made, and wait until it is gone.

    Args:
        access: The way into the sandbox.
        api: An administrator's view of the cluster.
        tenant: Whose; nobody may be at work under its names.

    Raises:
        DeadlineError: Something stays; names it and the finalizers that hold it.
        UnavailableError: A server does not answer, or a namespace that the tenant needs can't be had.
    """
    deadline = Deadline.after(_SECONDS)
    # First whatever would still push something.
    _end_runs(access, tenant, deadline)
    access.home.admit(api, tenant.in_argocd)
    for name in list_repositories(access.repositories):
        if name.startswith(f"{tenant.name}/"):
            delete_repository(access.repositories, name)
    freed = _Cluster(access, api, tenant).cleared(deadline)
    RegistryView(access.registry_address, access.registry.user, access.registry.password()).remove(f"{tenant.name}/")
    shutil.rmtree(access.folder / "work" / tenant.name, ignore_errors=True)
    Tenants(access.folder).discard(tenant)
    return Cleared(tuple(freed))


def _end_runs(access: Access, tenant: Tenant, deadline: Deadline) -> None:
    """Cancel the CI runs of a tenant that wait or go on, and remove the records of all of them."""
    store = RunStore(access.runs)

    def ended() -> Observation:
        mine = [run for run in store.all() if run.repository.startswith(f"{tenant.name}/")]
        for run in mine:
            if run.finished:
                store.remove(run)
            elif not store.is_cancelled(run):
                store.cancel(run)
        left = [run for run in mine if not run.finished]
        return pending(", ".join(f"run {run.id} is {run.status}" for run in left)) if left else met("all ended")

    wait_for(ended, deadline, wanted=f"the CI runs of {tenant.name} to end", hint=f"the runs: {access.runs}")


@dataclass(slots=True)
class _Ground:
    """By what it is told whose an object is.

    Attributes:
        tenant: Who.
        others: The names of the other tenants.
        since: How old the tenant is; None for one that has never been there.
        generators: Its ApplicationSets, by name.
        applications: Its Applications, by name.
        destinations: The namespaces that its Applications alone are deployed to.
    """

    tenant: Tenant
    others: list[str]
    since: str | None
    generators: set[str] = field(default_factory=set)
    applications: set[str] = field(default_factory=set)
    destinations: set[str] = field(default_factory=set)

    @property
    def may_own(self) -> bool:
        """Whether the tenant can have made anything."""
        return self.since is not None or bool(self.applications)

    def owns(self, metadata: Mapping[str, Any]) -> bool:
        tracked = (metadata.get("annotations") or {}).get(TRACKING, "").partition(":")[0]
        if tracked in self.applications:
            return True
        name, young = metadata["name"], self.since is not None and metadata.get("creationTimestamp", "") >= self.since
        claimed = any(self._of(other).claims(name) for other in self.others)
        fills = name in self.destinations and "namespace" not in metadata and not claimed
        return young and (fills or self.tenant.claims(name, self.others))

    def _of(self, other: str) -> Tenant:
        return Tenant(other, self.tenant.prefix)


class _Cluster:
    """What the cluster holds of a tenant."""

    def __init__(self, access: Access, api: KubeApi, tenant: Tenant) -> None:
        self._access = access
        self._api = api
        self._tenant = tenant
        urls = {access.git.url, access.git_inside} - {""}
        self._repositories = [f"{url}/{tenant.name}/" for url in urls]
        known = Tenants(access.folder)
        self._ground = _Ground(tenant, [name for name in known.names() if name != tenant.name], known.since(tenant))
        self._own = {tenant.application(each) for each in ENVIRONMENTS}

    def cleared(self, deadline: Deadline) -> list[str]:
        """Remove it all; give what had to be freed of finalizers."""
        freed: list[str] = []
        looked = False

        def gone() -> Observation:
            nonlocal looked
            found = self._end_argocds()
            if found or not looked:
                looked = not found
                if looked:
                    may_own = self._ground.may_own
                    owns = self._ground.owns if may_own else nothing
                    freed.extend(self._access.namespaces.clear(self._api, sorted(self._own), owns))
                    if not may_own:
                        # Nor can anything of its be on the way.
                        return met("gone")
                return pending(", ".join(found) or "it is looked whether anything was made meanwhile")
            return met("gone")

        wait_for(gone, deadline, wanted=f"what {self._tenant.name} left behind to be gone", every=0.02)
        return freed

    def _end_argocds(self) -> list[str]:
        """Delete what is the tenant's of Argo CD's own kinds; learn from it where its other things are, and name it."""
        items = self._access.home.held(self._api, self._tenant.in_argocd)
        ground, known = self._ground, None
        # Again until nothing new is found: one may be made by another, in any order.
        while known != (len(ground.applications), len(ground.generators)):
            known = len(ground.applications), len(ground.generators)
            mine = {kind: [item for item in those if self._is_mine(item)] for kind, those in items.items()}
            ground.generators |= {item["metadata"]["name"] for item in mine["ApplicationSet"]}
            ground.applications |= {item["metadata"]["name"] for item in mine["Application"]}
        ground.destinations |= _destinations(mine["Application"]) - _destinations(
            [item for item in items["Application"] if item not in mine["Application"]]
        )
        found = [(kind, item["metadata"]) for kind, those in mine.items() for item in those]
        for kind, metadata in found:
            self._delete(kind, metadata["name"], metadata.get("finalizers"))
        return [f"{kind} {metadata['name']}" for kind, metadata in found]

    def _is_mine(self, item: Mapping[str, Any]) -> bool:
        metadata, spec = item["metadata"], item.get("spec") or {}
        said = json.dumps(spec)
        return (
            metadata["name"] in {self._tenant.project, *self._own}
            or spec.get("project") == self._tenant.project
            or any(url in said for url in self._repositories)
            or any(owner["name"] in self._ground.generators for owner in metadata.get("ownerReferences") or ())
            or self._ground.owns(metadata)
        )

    def _delete(self, kind: str, name: str, finalizers: Sequence[str] | None) -> None:
        namespace = self._access.argocd_namespace
        with overtaken():
            # Without them it goes at once; its objects go with their namespaces, or as what it tracks.
            if finalizers:
                self._api.merge(ARGOCD_API, kind, name, namespace, {"metadata": {"finalizers": None}})
            self._api.delete(ARGOCD_API, kind, name, namespace)


def _destinations(applications: list[dict[str, Any]]) -> set[str]:
    named = (item["spec"].get("destination", {}).get("namespace") for item in applications)
    return {name for name in named if name}
