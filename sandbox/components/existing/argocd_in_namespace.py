"""Argo CD in one namespace of somebody's cluster: it may change what is in the namespaces that it is told of, no more.

The official install.yaml without what holds for a whole cluster, as Argo CD's own namespace-install.yaml is, and a
cluster Secret that names the namespaces ("Declarative Setup", Clusters: ``namespaces``, ``clusterResources``).
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from sandbox.components.argocd.config import secret, static_manifests
from sandbox.components.argocd.home import OwnHome
from sandbox.components.argocd.in_cluster import ArgocdInCluster, ArgocdSettings
from sandbox.components.base import Context
from sandbox.components.existing.rights import APPLICATION_RULES, role, role_binding
from sandbox.containers.described import Owner
from sandbox.core.conditions import Deadline, Observation
from sandbox.kube.api import KubeApi
from sandbox.kube.applying import apply_all
from sandbox.toolchain import Tool

__all__ = [
    "TYPE",
    "ArgocdInNamespace",
    "HomeInNamespace",
    "NamespacedArgocdSettings",
    "argocd_image",
    "bring_types",
    "cluster_secret",
    "types_of",
]

TYPE = "CustomResourceDefinition"
_CLUSTER_KINDS = (TYPE, "ClusterRole", "ClusterRoleBinding")
_SECRET = "gitops-sandbox-cluster"  # noqa: S105  # the name of the Secret, not the secret
_TYPE_SECONDS = 60.0
_ROLE = "gitops-sandbox-argocd"
# Those who change objects for an Application: the one by itself, the other for who clicks in the web page.
_ACCOUNTS = ("argocd-application-controller", "argocd-server")


def bring_types(api: KubeApi, argocd: Tool, labels: Mapping[str, str]) -> None:
    """Apply Argo CD's types, marked as the sandbox's, and wait until they are in force.

    Raises:
        DeadlineError: One did not become Established in time.
    """
    apply_all(api, types_of(argocd, labels), Deadline.after(_TYPE_SECONDS))


def types_of(argocd: Tool, labels: Mapping[str, str]) -> list[dict[str, Any]]:
    """Give Argo CD's types as install.yaml has them, with labels added."""
    types = [manifest for manifest in static_manifests(argocd) if manifest["kind"] == TYPE]
    for manifest in types:
        metadata = manifest["metadata"]
        metadata["labels"] = {**(metadata.get("labels") or {}), **labels}
    return types


def cluster_secret(namespace: str, tenants: Sequence[str]) -> dict[str, Any]:
    """Tell Argo CD that of its own cluster it has these namespaces alone.

    Args:
        namespace: Where Argo CD is.
        tenants: The namespaces that Applications fill.
    """
    data = {
        "name": "in-cluster",
        "server": "https://kubernetes.default.svc",
        # None at all would mean every namespace.
        "namespaces": ",".join([namespace, *tenants]),
        "clusterResources": "false",
        "config": json.dumps({"tlsClientConfig": {"insecure": False}}),
    }
    labels = {"app.kubernetes.io/part-of": "argocd", "argocd.argoproj.io/secret-type": "cluster"}
    return secret(_SECRET, namespace, data, labels)


def argocd_image(argocd: Tool) -> str:
    """Give the image that install.yaml names: the one that a cluster must be able to pull anyway."""
    return f"quay.io/argoproj/argocd:v{argocd.version}"


class NamespacedArgocdSettings(ArgocdSettings):
    """The identities and the settings, without rights in the cluster."""

    def manifests(self, context: Context) -> list[dict[str, Any]]:
        """Give what install.yaml has of them for one namespace."""
        whole = super().manifests(context)
        kept = [manifest for manifest in whole if manifest["kind"] not in (*_CLUSTER_KINDS, "Namespace")]
        known = context.api().get("v1", "Secret", _SECRET, context.argocd_namespace)
        return kept if known else [*kept, cluster_secret(context.argocd_namespace, ())]

    def differing(self, context: Context) -> dict[str, dict[str, str]]:
        """Have it ask what it may see instead of failing at what it may not."""
        return {**super().differing(context), "argocd-cm": {"resource.respectRBAC": "normal"}}


class ArgocdInNamespace(ArgocdInCluster):
    """The workloads, in the sandbox's own namespace."""

    ports: tuple[str, ...] = ()

    def edits(self, context: Context) -> list[list[str]]:
        """Change nothing: images are pulled by the names that install.yaml has."""
        del context
        return []

    def rendered(self, context: Context) -> list[dict[str, Any]]:
        """Render them, each as often as it is to run: what was stopped is not started again by saying nothing."""
        made = [manifest for manifest in super().rendered(context) if manifest["kind"] not in _CLUSTER_KINDS]
        for manifest in made:
            if manifest["kind"] in ("Deployment", "StatefulSet"):
                manifest["spec"].setdefault("replicas", 1)
        return made

    def ready(self, context: Context) -> Observation:
        """It is ready when every workload is rolled out."""
        return self.rolled_out(context)


@dataclass(frozen=True, slots=True)
class HomeInNamespace(OwnHome):
    """That of an Argo CD which is the sandbox's alone, and may fill only what it is told of.

    Attributes:
        owner: The sandbox.
    """

    owner: Owner = field(kw_only=True)

    def open_to(self, api: KubeApi, namespaces: Sequence[str], known: Sequence[str]) -> None:
        """Give Argo CD its Role in them, and tell it of all that are known."""
        labels = self.owner.labels
        accounts = [{"kind": "ServiceAccount", "name": name, "namespace": self.namespace} for name in _ACCOUNTS]
        for name in namespaces:
            api.apply(role(_ROLE, name, APPLICATION_RULES, labels))
            api.apply(role_binding(_ROLE, name, _ROLE, accounts, labels))
        api.apply(cluster_secret(self.namespace, known))
