"""What Argo CD reads: the official manifests as they stand, and the settings of this sandbox.

``static_manifests`` is the same for every sandbox of one version set and variant, and goes into the seed;
``ArgocdConfig`` adds what differs: passwords, the webhook's secret, the Git server's address.
"""

from __future__ import annotations

import base64
import datetime as dt
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any

import bcrypt

from sandbox.components.argocd.ha import without_passwords_in_arguments
from sandbox.components.argocd.home import ARGOCD_API
from sandbox.components.base import ARGOCD_NAMESPACE, Context
from sandbox.components.kept_manifests import official
from sandbox.core.conditions import Observation, met
from sandbox.toolchain import Tool

__all__ = [
    "ADMIN_SECRET",
    "GIT_SECRET",
    "PLAIN",
    "WEBHOOK_SECRET",
    "ArgocdConfig",
    "git_credential",
    "secret",
    "static_manifests",
]

ADMIN_SECRET = "argocd-admin"  # noqa: S105  # names of secrets, not secrets
GIT_SECRET = "git-argocd"  # noqa: S105
WEBHOOK_SECRET = "webhook-argocd"  # noqa: S105
GIT_USER = "argocd"

PLAIN = "install.yaml"
"""The official manifest that has one of each, among the files of the tool argocd."""

# Argo CD's components run as processes beside the cluster, with these objects as their identity and settings.
_KINDS = (
    "CustomResourceDefinition",
    "ServiceAccount",
    "Role",
    "ClusterRole",
    "RoleBinding",
    "ClusterRoleBinding",
    "ConfigMap",
)
_ROUNDS = 8  # a random password of 256 bits needs no slow hash

_SETTINGS = {
    # Drops hostile webhook bodies early (CVE-2024-40634 was an oversized one).
    "webhook.maxPayloadSizeMB": "1",
    "application.instanceLabelKey": "app.kubernetes.io/instance",
    "application.resourceTrackingMethod": "annotation",
    "statusbadge.enabled": "false",
    "users.anonymous.enabled": "false",
}


def static_manifests(argocd: Tool, namespace: str = ARGOCD_NAMESPACE, variant: str = PLAIN) -> list[dict[str, Any]]:
    """Give the objects of an official manifest that a process-based Argo CD needs, and a default project.

    Args:
        argocd: The tool.
        namespace: Where Argo CD is.
        variant: The manifest, among the tool's files.
    """
    manifests = []
    for document in official(argocd.file(variant)):
        if document["kind"] in _KINDS:
            if document["kind"] not in ("CustomResourceDefinition", "ClusterRole", "ClusterRoleBinding"):
                document["metadata"]["namespace"] = namespace
            if document["metadata"]["name"] == "argocd-cm":
                document["data"] = {**document.get("data", {}), **_SETTINGS}
            if document["kind"] == "ConfigMap" and "data" in document:
                document["data"] = without_passwords_in_arguments(document["data"])
            manifests.append(document)
    manifests.append(
        {
            "apiVersion": ARGOCD_API,
            "kind": "AppProject",
            "metadata": {"name": "default", "namespace": namespace},
            "spec": {
                "sourceRepos": ["*"],
                "destinations": [{"namespace": "*", "server": "*"}],
                "clusterResourceWhitelist": [{"group": "*", "kind": "*"}],
            },
        }
    )
    return manifests


def git_credential(context: Context, name: str, labels: Mapping[str, str] = MappingProxyType({})) -> dict[str, Any]:
    """Describe the credential template by which Argo CD reads the sandbox's repositories.

    Argo CD takes it for URLs that begin with the one in it ("Declarative Setup", Repository credentials).

    Args:
        context: The sandbox.
        name: Of the Secret.
        labels: Further ones.
    """
    data = {
        "type": "git",
        "url": f"http://{context.address_inside('git-server')}",
        "username": GIT_USER,
        "password": context.secrets.value(GIT_SECRET),
        # Git otherwise starts Argo CD's whole binary twice for each fetch, to ask for the name and the password.
        "forceHttpBasicAuth": "true",
    }
    marks = {**labels, "app.kubernetes.io/part-of": "argocd", "argocd.argoproj.io/secret-type": "repo-creds"}
    return secret(name, context.argocd_namespace, data, marks)


def secret(
    name: str, namespace: str, data: dict[str, str], labels: dict[str, str], type_: str = "Opaque"
) -> dict[str, Any]:
    """Describe a Secret."""
    return {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {"name": name, "namespace": namespace, "labels": labels},
        "type": type_,
        "data": {key: base64.b64encode(value.encode()).decode() for key, value in data.items()},
    }


class ArgocdConfig:
    """The secrets and settings of this sandbox, applied before any component of Argo CD starts.

    Args:
        requires: The components that bring the namespace and the settings of install.yaml.
    """

    name = "argocd-config"
    ports = ("argocd-server", "git-server")

    def __init__(self, *requires: str) -> None:
        self.requires = requires

    def ensure(self, context: Context) -> None:
        """Apply them; what Argo CD adds to its secret itself stays."""
        api = context.api()
        part_of = {"app.kubernetes.io/part-of": "argocd"}
        secrets, namespace = context.secrets, context.argocd_namespace
        if api.get("v1", "Secret", "argocd-secret", namespace) is None:
            hashed = bcrypt.hashpw(secrets.value(ADMIN_SECRET).encode(), bcrypt.gensalt(_ROUNDS)).decode()
            now = dt.datetime.now(dt.UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
            data = {
                "admin.password": hashed,
                "admin.passwordMtime": now,
                "server.secretkey": secrets.value("argocd-server-key"),
                "webhook.github.secret": secrets.value(WEBHOOK_SECRET),
                # A sender that claims to be Gogs is looked at before GitHub's headers: it needs a secret too.
                "webhook.gogs.secret": secrets.value(WEBHOOK_SECRET),
            }
            api.create(secret("argocd-secret", namespace, data, part_of))
        certificate = {
            "tls.crt": context.pki("argocd-tls.crt").read_text(),
            "tls.key": context.pki("argocd-tls.key").read_text(),
        }
        api.apply(secret("argocd-server-tls", namespace, certificate, part_of, "kubernetes.io/tls"))
        api.apply(git_credential(context, "sandbox-git"))
        api.merge(
            "v1",
            "ConfigMap",
            "argocd-cm",
            namespace,
            {"data": {"url": f"https://{context.address('argocd-server')}"}},
        )

    def ready(self, context: Context) -> Observation:
        """It is ready once applied."""
        del context
        return met("applied")

    def diagnose(self, context: Context, into: Path) -> None:
        """Nothing: these are secrets."""

    def remove(self, context: Context) -> None:
        """It goes with the cluster."""
