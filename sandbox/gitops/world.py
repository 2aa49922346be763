"""The world of a story: the repositories, the pipeline, the Applications and the cluster of one tenant."""

from __future__ import annotations

import threading
from typing import Self

from sandbox.components.kube import KubeApi, Watch
from sandbox.components.pki import ARGOCD_NAMESPACE
from sandbox.core.conditions import Deadline, Observation, met, pending, wait_for
from sandbox.engines.access import Access
from sandbox.gitops.application import API, Application
from sandbox.gitops.cluster import Cluster
from sandbox.gitops.moment import Moment
from sandbox.gitops.pipeline import Pipeline
from sandbox.gitops.predicates import Predicate, every
from sandbox.gitops.registry import RegistryView
from sandbox.gitops.repositories import EnvironmentRepo, SourceRepo
from sandbox.gitops.telling import acting
from sandbox.gitops.tenant import APPLICATION, ENVIRONMENTS, Tenant
from sandbox.gitops.traffic import Service, Traffic
from sandbox.servers.repositories import delete_repository

__all__ = ["World"]

_CLEAR_SECONDS = 60.0


class World:
    """All that a story speaks of; used as a context, it is empty at its beginning.

    Args:
        access: The way into the sandbox.
        tenant: The names that the story may use.
    """

    def __init__(self, access: Access, tenant: Tenant) -> None:
        self.access = access
        self.tenant = tenant
        self.api = KubeApi(access.kubeconfig)
        self.cluster = Cluster(self.api)
        self.source = SourceRepo(access, tenant)
        self.environment = EnvironmentRepo(access, tenant)
        self.pipeline = Pipeline(access.runs, tenant.source)
        self.registry = RegistryView(access.registry_address, access.registry.user, access.registry.password())
        self.applications = {
            name: Application(self.api, tenant.application(name), name, self.environment) for name in ENVIRONMENTS
        }
        self.changed = threading.Event()
        self._watch: Watch | None = None

    @property
    def dev(self) -> Application:
        """The Application of the dev environment, which CI releases to."""
        return self.applications["dev"]

    @property
    def service(self) -> Service:
        """The application as its users in the dev environment see it."""
        return Service(self.api, self.dev.namespace, APPLICATION)

    def traffic(self) -> Traffic:
        """Give a client that asks the application again and again; used as a context."""
        return Traffic(Service(KubeApi(self.access.kubeconfig), self.dev.namespace, APPLICATION))

    def lives_everywhere(self, revision: str, since: Moment | None = None) -> Predicate:
        """A commit lives in every environment; see ``Application.lives``."""
        return every(application.lives(revision, since) for application in self.applications.values())

    def register(self) -> None:
        """Create the tenant's AppProject and Applications, as the environment repository describes them."""
        acting()
        for manifest in self.environment.argocd_manifests():
            self.api.apply(manifest)

    def clear(self) -> None:
        """Remove everything that an earlier story made under this tenant's names, and wait until it is gone.

        Raises:
            DeadlineError: Something stays; names it and the finalizers that hold it.
        """
        namespaces = [application.namespace for application in self.applications.values()]
        # Without its finalizer an Application goes at once; its objects go with their namespace.
        for name in namespaces:
            if self.api.get(API, "Application", name, ARGOCD_NAMESPACE) is not None:
                self.api.merge(API, "Application", name, ARGOCD_NAMESPACE, {"metadata": {"finalizers": None}})
                self.api.delete(API, "Application", name, ARGOCD_NAMESPACE)
            if self.api.get("v1", "Namespace", name) is not None:
                self._empty(name)
                self.api.delete("v1", "Namespace", name)
            # The namespace controller first looks five seconds later; pods that it finds cost sixteen more.
            self.api.delete_all("v1", "Pod", name)
        self._delete_project()
        wait_for(
            lambda: self._gone(namespaces),
            Deadline.after(_CLEAR_SECONDS),
            wanted=f"what {self.tenant.name} left behind to be gone",
            every=0.1,
        )
        for repository in (self.tenant.source, self.tenant.environment):
            delete_repository(self.access.repositories, repository)

    def _empty(self, namespace: str) -> None:
        """Delete what runs there without any grace: the namespace's own deletion would sit out half of each pod's."""
        for api_version, kind in (("apps/v1", "Deployment"), ("apps/v1", "ReplicaSet"), ("v1", "Pod")):
            path = self.api.resource(api_version, kind).path(namespace)
            options = {"kind": "DeleteOptions", "gracePeriodSeconds": 0, "propagationPolicy": "Background"}
            self.api.request("DELETE", path, body=options)

    def _delete_project(self) -> None:
        project = self.api.get(API, "AppProject", self.tenant.project, ARGOCD_NAMESPACE)
        if project is not None:
            self.api.merge(API, "AppProject", self.tenant.project, ARGOCD_NAMESPACE, {"metadata": {"finalizers": None}})
            self.api.delete(API, "AppProject", self.tenant.project, ARGOCD_NAMESPACE)

    def _gone(self, namespaces: list[str]) -> Observation:
        left = [found for name in namespaces if (found := self.api.get("v1", "Namespace", name)) is not None]
        if not left:
            return met("gone")
        messages = [
            condition["message"]
            for found in left
            for condition in found.get("status", {}).get("conditions") or ()
            if condition["status"] == "True"
        ]
        names = ", ".join(found["metadata"]["name"] for found in left)
        return pending(f"namespaces {names}: {'; '.join(messages) or 'being deleted'}")

    def __enter__(self) -> Self:
        """Clear what was left, and begin to watch."""
        self.clear()
        kinds = {kind for application in self.applications.values() for kind in application.watched()}
        self._watch = self.api.watch(sorted(kinds, key=str))
        self.changed = self._watch.changed
        return self

    def __exit__(self, *_: object) -> None:
        """Stop watching; what the story made stays, to be looked at."""
        if self._watch is not None:
            self._watch.__exit__()
