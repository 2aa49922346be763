"""The world of a story: the repositories, the pipeline, the Applications and the cluster of one tenant."""

from __future__ import annotations

import contextlib
import threading
from dataclasses import replace
from typing import Any, Self

from sandbox.core.conditions import Deadline, wait_for
from sandbox.core.errors import DeadlineError
from sandbox.core.names import check_choice
from sandbox.engines.access import Access
from sandbox.gitops.application import Application
from sandbox.gitops.clearing import Cleared, clear_tenant
from sandbox.gitops.cluster import Cluster
from sandbox.gitops.moment import Moment
from sandbox.gitops.pipeline import Pipeline
from sandbox.gitops.predicates import Predicate, every
from sandbox.gitops.registry import RegistryView
from sandbox.gitops.repositories import EnvironmentRepo, SourceRepo
from sandbox.gitops.telling import WITHIN, acting
from sandbox.gitops.tenant import APPLICATION, ENVIRONMENTS, Tenant, Tenants
from sandbox.gitops.traffic import Service, Traffic
from sandbox.kube.api import KubeApi, Resource, shared_api
from sandbox.kube.watching import Heard, Watch

__all__ = ["World"]

_WITHIN_OF_CONTAINERS = 120.0
_LOOKING_SECONDS = 3.0


class World:
    """All that a story speaks of; used as a context, it is empty at its beginning.

    Args:
        access: The way into the sandbox.
        tenant: The names that the story may use.
    """

    def __init__(self, access: Access, tenant: Tenant) -> None:
        self.access = access
        self.tenant = tenant = replace(tenant, prefix=access.tenant_prefix)
        self.api = shared_api(access.kubeconfig)
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
        self._by_name = {each.name: each for each in self.applications.values()}
        self._unseen: set[str] = set()
        self._listeners: list[Heard] = []

    @property
    def dev(self) -> Application:
        """The Application of the dev environment, which CI releases to."""
        return self.applications["dev"]

    @property
    def service(self) -> Service:
        """The application as its users in the dev environment see it."""
        return Service(self.api, self.dev.namespace, APPLICATION)

    @property
    def within(self) -> float:
        """Seconds that a verdict has here: a container is pulled and started, and looked after, before it is ready."""
        return _WITHIN_OF_CONTAINERS if "containers" in self.access.capabilities else WITHIN

    def traffic(self) -> Traffic:
        """Give a client that asks the application again and again; used as a context."""
        return Traffic(Service(KubeApi(self.access.kubeconfig), self.dev.namespace, APPLICATION))

    def lives_everywhere(self, revision: str, since: Moment | None = None) -> Predicate:
        """A commit lives in every environment; see ``Application.lives``."""
        return every(application.lives(revision, since) for application in self.applications.values())

    def register(self, *environments: str) -> None:
        """Create the tenant's AppProject and Applications, as the environment repository describes them.

        Waits a moment until Argo CD has looked at them.

        Args:
            *environments: Whose Applications; those of all when none is named.

        Raises:
            UsageError: There is no such environment.
        """
        for name in environments:
            check_choice("environment", name, ENVIRONMENTS)
        acting()
        registered = [each for name, each in self.applications.items() if not environments or name in environments]
        left_out = {each.name for each in self.applications.values() if each not in registered}
        for manifest in self.environment.argocd_manifests():
            if manifest["metadata"]["name"] not in left_out:
                self.api.apply(manifest)
        wanted, deadline = f"Argo CD to find the project {self.tenant.project}", Deadline.after(_LOOKING_SECONDS)
        # An Argo CD that looks at nothing is for the verdicts to find out.
        with contextlib.suppress(DeadlineError):
            for each in registered:
                wait_for(each.finds_project, deadline, wanted=wanted, wake=self.changed, every=0.1)

    def clear(self) -> Cleared:
        """Remove everything that an earlier story made under this tenant's names, and wait until it is gone.

        Returns:
            What had to be freed of finalizers on the way.

        Raises:
            UnavailableError: A namespace that the story needs can't be had.
            DeadlineError: Something stays; names it and the finalizers that hold it.
        """
        return clear_tenant(self.access, self.api, self.tenant)

    def claim(self) -> None:
        """Say that the tenant is there: what comes into being under its names from now on is its own."""
        Tenants(self.access.folder).add(self.tenant)

    def listen(self, listener: Heard) -> None:
        """Have somebody told of each change, from when the story begins: one watch serves all."""
        self._listeners.append(listener)

    def _heard(self, resource: Resource, event: dict[str, Any]) -> None:
        name = event["object"]["metadata"].get("name", "")
        if resource.kind == "Application" and name in self._by_name:
            self._by_name[name].hear(event["object"])
            # Many a story has one environment: what the others would have is not watched before there is any.
            if self._watch and name in self._unseen:
                self._unseen.remove(name)
                self._watch.add(self._by_name[name].objects)
        for listener in self._listeners:
            listener(resource, event)

    def __enter__(self) -> Self:
        """Clear what was left, and begin to watch."""
        self.clear()
        self.claim()
        self._unseen = set(self._by_name)
        # One of its own for each telling: what has ended does not begin again.
        self._watch = Watch(self.api, self._heard)
        self.changed = self._watch.changed
        self._watch.add([each.itself for each in self.applications.values()])
        return self

    def __exit__(self, *_: object) -> None:
        """Stop watching; what the story made stays, to be looked at."""
        if self._watch is not None:
            self._watch.__exit__()
