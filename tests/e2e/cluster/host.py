"""An Argo CD that somebody has in a cluster for themselves: the official install.yaml, and an Application in it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager

from sandbox.core.commands import CommandError
from sandbox.core.conditions import Deadline, Observation, met, pending, wait_for
from sandbox.toolchain import ensure_tools
from tests.e2e.cluster.plain import PlainCluster

__all__ = ["NAMESPACE", "THEIRS", "objects", "somebodys_argocd"]

NAMESPACE = "argocd"
THEIRS = "payroll"
"""What their Application and their AppProject are called."""

_ROLLOUT_SECONDS = 240.0
# Logs people in by other services, which nobody does here; the node has no image of it.
_DEX = "argocd-dex-server"
_KINDS = (
    *("applications.argoproj.io", "applicationsets.argoproj.io", "appprojects.argoproj.io", "secrets", "configmaps"),
    *("serviceaccounts", "services", "roles", "rolebindings", "networkpolicies", "deployments", "statefulsets"),
)
_PROJECT = {
    "apiVersion": "argoproj.io/v1alpha1",
    "kind": "AppProject",
    "metadata": {"name": THEIRS, "namespace": NAMESPACE},
    "spec": {"sourceRepos": ["https://git.invalid/payroll.git"]},
}
_APPLICATION = {
    "apiVersion": "argoproj.io/v1alpha1",
    "kind": "Application",
    "metadata": {"name": THEIRS, "namespace": NAMESPACE},
    "spec": {
        "project": THEIRS,
        "source": {"repoURL": "https://git.invalid/payroll.git", "path": ".", "targetRevision": "main"},
        "destination": {"server": "https://kubernetes.default.svc", "namespace": "default"},
    },
}


def objects(cluster: PlainCluster) -> dict[str, str]:
    """Give what stands in its namespace: each object's name and uid, and what it says, but for what Argo CD notes."""
    listed = cluster.kubectl("get", ",".join(_KINDS), "--namespace", NAMESPACE, "--output=json")
    found = {}
    for item in json.loads(listed)["items"]:
        metadata = item["metadata"]
        for noted in ("managedFields", "resourceVersion", "generation"):
            metadata.pop(noted, None)
        item.pop("status", None)
        found[f"{item['kind']} {metadata['name']} {metadata['uid']}"] = json.dumps(item, sort_keys=True)
    return found


@contextmanager
def somebodys_argocd(cluster: PlainCluster) -> Iterator[None]:
    """Install it for the whole cluster, as its manual says, and take it away in the end."""
    install = ensure_tools(("argocd",))["argocd"].file("install.yaml").read_text()
    # The node has the images, and can reach nobody who has others.
    install = install.replace("imagePullPolicy: Always", "imagePullPolicy: IfNotPresent")
    where = ("--namespace", NAMESPACE)
    cluster.kubectl("create", "namespace", NAMESPACE)
    try:
        cluster.kubectl("apply", "--server-side", *where, "--filename=-", stdin=install)
        for manifest in (_PROJECT, _APPLICATION):
            cluster.kubectl("apply", "--filename=-", stdin=json.dumps(manifest))
        _wait_for_rollout(cluster)
        yield
    finally:
        cluster.kubectl("delete", "applications", "--all", *where)
        cluster.kubectl("delete", "--ignore-not-found", "--wait=false", *where, "--filename=-", stdin=install)
        cluster.kubectl("delete", "namespace", NAMESPACE, "--wait=false")
        wait_for(lambda: _gone(cluster), Deadline.after(_ROLLOUT_SECONDS), wanted="no Argo CD to be left", every=1.0)


def _gone(cluster: PlainCluster) -> Observation:
    try:
        left = [each for each in cluster.objects() if "argo" in each]
    except CommandError as error:
        # A type that is just going is listed, and not served.
        return pending(error.why)
    return pending(f"still there: {', '.join(left)}") if left else met("gone")


def _wait_for_rollout(cluster: PlainCluster) -> None:
    def rolled_out() -> Observation:
        listed = cluster.kubectl("get", "deployments,statefulsets", "--namespace", NAMESPACE, "--output=json")
        items = json.loads(listed)["items"]
        names = [item["metadata"]["name"] for item in items if not item["status"].get("readyReplicas")]
        waiting = [name for name in names if name != _DEX]
        # Its project is made by the controller, at its first start.
        known = cluster.kubectl("get", "appprojects", "default", "--namespace", NAMESPACE, "--ignore-not-found")
        return pending(f"not ready: {', '.join(waiting)}") if waiting or not known else met("rolled out")

    wait_for(rolled_out, Deadline.after(_ROLLOUT_SECONDS), wanted="somebody's Argo CD to run", every=1.0)
