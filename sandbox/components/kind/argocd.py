"""Argo CD in containers: what is otherwise in a cluster of the sandbox's own.

What its repo server fetches from the internet goes through the user's proxies, and its cache has an address that is
known beforehand.
"""

from __future__ import annotations

import hmac
import json
from typing import Any

from sandbox.components.argocd.config import secret
from sandbox.components.argocd.in_cluster import ArgocdInCluster, ArgocdSettings
from sandbox.components.base import Context
from sandbox.containers.node import POD_SUBNET, SERVICE_SUBNET
from sandbox.containers.settings import container_proxies
from sandbox.core.proxies import proxy_variables
from sandbox.kube.api import KubeApi

__all__ = ["ArgocdInKind", "ArgocdSettingsInKind"]

_SECRET = "gitops-sandbox-proxies"  # noqa: S105  # its name, as the overlay has it
_MARK = "gitops-sandbox/proxies"
_REPO_SERVER = "argocd-repo-server"
_REDIS = ("v1", "Service", "argocd-redis")
# One of those that no Service is given by itself (Kubernetes, "Service ClusterIP allocation").
_REDIS_ADDRESS = "10.96.0.20"
_INSIDE = (".svc", ".cluster.local", SERVICE_SUBNET, POD_SUBNET)


class ArgocdSettingsInKind(ArgocdSettings):
    """The settings, with redis by its address.

    Each process of Argo CD looks its name up as it begins. When a node starts again, CoreDNS begins beside them, and a
    question that is asked too early is lost: two seconds each, and of the server twice (go-redis 9, maintnotifications,
    ``DetectEndpointType``).
    """

    def differing(self, context: Context) -> dict[str, dict[str, str]]:
        """Add the address; the HA variant has proxies before its redis, which look names up themselves."""
        settings = super().differing(context)
        if context.ha:
            return settings
        parameters = settings["argocd-cmd-params-cm"] | {"redis.server": f"{_REDIS_ADDRESS}:6379"}
        return settings | {"argocd-cmd-params-cm": parameters}


class ArgocdInKind(ArgocdInCluster):
    """The workloads of Argo CD, of which one speaks to the internet."""

    def ensure(self, context: Context) -> None:
        """Bring the proxies first: a process has its environment from when it began."""
        api = context.api()
        _bring_proxies(api, context)
        if not context.ha:
            _free_redis_of_its_address(api, context.argocd_namespace)
        super().ensure(context)

    def rendered(self, context: Context) -> list[dict[str, Any]]:
        """Give redis its address, and have the repo server begin anew when its proxies change: its pods are marked."""
        manifests = super().rendered(context)
        named = {(each["kind"], each["metadata"]["name"]): each for each in manifests}
        if not context.ha:
            named[_REDIS[1:]]["spec"]["clusterIP"] = _REDIS_ADDRESS
        metadata = named["Deployment", _REPO_SERVER]["spec"]["template"]["metadata"]
        metadata["annotations"] = (metadata.get("annotations") or {}) | {_MARK: _mark(context)}
        return manifests

    def edits(self, context: Context) -> list[list[str]]:
        """Have the repo server take its proxies from a Secret: they may hold a password."""
        chosen = ["--kind", "Deployment", "--name", _REPO_SERVER]
        return [*super().edits(context), ["add", "patch", "--path", "proxies.yaml", *chosen]]


def _free_redis_of_its_address(api: KubeApi, namespace: str) -> None:
    """Take away redis' Service where a sandbox of before has it at another address: that can't be changed."""
    found = api.get(*_REDIS, namespace)
    if found is not None and found["spec"]["clusterIP"] != _REDIS_ADDRESS:
        api.delete(*_REDIS, namespace)


def _proxies(context: Context) -> dict[str, str]:
    return proxy_variables([context.host("git-server"), *_INSIDE], container_proxies())


def _mark(context: Context) -> str:
    """Mark proxies without telling of them: a password may be among them, and could be guessed by a plain digest."""
    key = context.secrets.value("proxies-mark").encode()
    return hmac.digest(key, json.dumps(_proxies(context), sort_keys=True).encode(), "sha256").hex()[:32]


def _bring_proxies(api: KubeApi, context: Context) -> None:
    """Have the Secret hold the user's proxies, or take it away where there are none."""
    if variables := _proxies(context):
        api.apply(secret(_SECRET, context.argocd_namespace, variables, {"app.kubernetes.io/part-of": "argocd"}))
    else:
        api.delete("v1", "Secret", _SECRET, context.argocd_namespace)
