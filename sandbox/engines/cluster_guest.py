"""The cluster engine as a guest: a sandbox that uses the Argo CD which runs in the cluster already."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from sandbox.components.argocd.home import ArgocdHome, HomeNames
from sandbox.components.base import Component, Context
from sandbox.components.existing.argocd_host import ArgocdHost, GuestHome, git_secret_name
from sandbox.components.existing.foothold import Foothold
from sandbox.components.existing.guest_of_argocd import GuestOfArgocd
from sandbox.components.existing.refresher import REFRESHER, Refresher
from sandbox.components.git_server import GitServer
from sandbox.containers.described import Owner
from sandbox.core.timeline import Timeline
from sandbox.engines.access import Account
from sandbox.engines.cluster import Cluster
from sandbox.engines.engine import ARGOCD_SETTINGS
from sandbox.engines.records import Record
from sandbox.kube.api import KubeApi
from sandbox.toolchain import Tool

__all__ = ["ClusterGuest"]


class ClusterGuest(Cluster):
    """Somebody's cluster and somebody's Argo CD: the registry as a pod, the Git server and CI here."""

    capabilities = Cluster.capabilities - {ARGOCD_SETTINGS}
    receiver = REFRESHER

    def components(self) -> list[Component]:
        """Give the parts of a sandbox that brings no Argo CD."""
        return [*self.beside_argocd(), Refresher(), GitServer(self.receiver), GuestOfArgocd()]

    def prepare(self, record: Record, tools: Mapping[str, Tool], timeline: Timeline) -> None:
        """Gain the foothold, and a Role in the namespace of that Argo CD.

        Raises:
            UnavailableError: The user may not do it, there is no Argo CD that will do, or a name is somebody else's.
        """
        owner = Owner(record.name, record.run_id)
        host = ArgocdHost(Foothold(record.kubeconfig, record.context, owner), record.argocd)
        version = host.check()
        super().prepare(record, tools, timeline)
        names = HomeNames(secrets=(git_secret_name(record.name),))
        self.home(record, self.context_of(record, tools)).admit(KubeApi(record.folder / "kubeconfig"), names)
        timeline.record("host", "ready", f"Argo CD {version} in namespace {record.argocd}, of which nothing is changed")

    def context_of(self, record: Record, tools: Mapping[str, Tool]) -> Context:
        """Give the context of a sandbox whose Applications are with its host."""
        return replace(super().context_of(record, tools), argocd_namespace=record.argocd)

    def home(self, record: Record, context: Context) -> ArgocdHome:
        """Give the host's namespace."""
        owner = Owner(record.name, record.run_id)
        return GuestHome(record.kubeconfig, record.context, owner, context.folder, record.argocd)

    def argocd_account(self, context: Context) -> Account | None:
        """Give none: who may log in there is its owner's to say."""
        del context
        return None

    def survey_host(self, name: str, context: str, argocd: str) -> str:
        """Say what the cluster of a context is, and which Argo CD there would take a sandbox as a guest.

        Args:
            name: What the sandbox is to be called.
            context: The context.
            argocd: Where that Argo CD is.

        Raises:
            UsageError: There is no such context.
            UnavailableError: The cluster does not answer, or a permission is lacking, or that Argo CD will not do.
        """
        said, place, known = self.survey(name, context), self.place(context), Record.load(name)
        owner = Owner(name, known.run_id if known else "")
        version = ArgocdHost(Foothold(place["kubeconfig"], place["context"], owner), argocd).check()
        return f"{said}, as a guest of Argo CD {version} in namespace {argocd}"

    def host_grants(self, name: str, context: str, argocd: str, names: Sequence[HomeNames]) -> list[dict[str, Any]]:
        """Describe what an administrator has to apply in the namespace of an Argo CD for a guest.

        Args:
            name: What the sandbox is to be called.
            context: The context.
            argocd: Where that Argo CD is.
            names: What each story makes there.

        Raises:
            UsageError: There is no such context.
            UnavailableError: The cluster does not answer.
        """
        place = self.place(context or None)
        host = ArgocdHost(Foothold(place["kubeconfig"], place["context"], Owner(name)), argocd)
        return host.grants(HomeNames.joined(names))
