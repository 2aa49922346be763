"""Argo CD in containers: what its repo server fetches from the internet goes through the user's proxies."""

from __future__ import annotations

from sandbox.components.argocd.config import secret
from sandbox.components.argocd.in_cluster import ArgocdInCluster
from sandbox.components.base import Context
from sandbox.containers.node import POD_SUBNET, SERVICE_SUBNET
from sandbox.containers.settings import container_proxies
from sandbox.core.proxies import proxy_variables
from sandbox.kube.api import KubeApi

__all__ = ["ArgocdInKind"]

_SECRET = "gitops-sandbox-proxies"  # noqa: S105  # its name, as the overlay has it
_REPO_SERVER = ("apps/v1", "Deployment", "argocd-repo-server")
_INSIDE = (".svc", ".cluster.local", SERVICE_SUBNET, POD_SUBNET)


class ArgocdInKind(ArgocdInCluster):
    """The workloads of Argo CD, of which one speaks to the internet."""

    def ensure(self, context: Context) -> None:
        """Bring the proxies first: a process has its environment from when it began."""
        api = KubeApi(context.pki("admin.kubeconfig"))
        begun = api.get(*_REPO_SERVER, context.argocd_namespace) is not None
        changed = _bring_proxies(api, context)
        super().ensure(context)
        if begun and changed is not None:
            # As `kubectl rollout restart` has pods begin anew.
            noted = {"metadata": {"annotations": {"gitops-sandbox/proxies": changed}}}
            api.merge(*_REPO_SERVER, context.argocd_namespace, {"spec": {"template": noted}})

    def edits(self, context: Context) -> list[list[str]]:
        """Have the repo server take its proxies from a Secret: they may hold a password."""
        chosen = ["--kind", "Deployment", "--name", "argocd-repo-server"]
        return [*super().edits(context), ["add", "patch", "--path", "proxies.yaml", *chosen]]


def _bring_proxies(api: KubeApi, context: Context) -> str | None:
    """Have the Secret hold the user's proxies; give its version where it was changed, and None where it was not."""
    place = ("v1", "Secret", _SECRET, context.argocd_namespace)
    variables = proxy_variables([context.host("git-server"), *_INSIDE], container_proxies())
    before = api.get(*place)
    if not variables:
        api.delete(*place)
        return None if before is None else "none"
    wanted = secret(_SECRET, context.argocd_namespace, variables, {"app.kubernetes.io/part-of": "argocd"})
    if before is not None and before.get("data") == wanted["data"]:
        return None
    return str(api.apply(wanted)["metadata"]["resourceVersion"])
