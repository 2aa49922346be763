from __future__ import annotations

from typing import Any

import yaml

from sandbox.components.argocd.config import static_manifests
from sandbox.components.base import Context

KEPT = (
    "CustomResourceDefinition",
    "ServiceAccount",
    "Role",
    "ClusterRole",
    "RoleBinding",
    "ClusterRoleBinding",
    "ConfigMap",
)
DROPPED = ("Deployment", "StatefulSet", "Service", "NetworkPolicy", "Secret")


def manifest(kind: str, name: str, **fields: Any) -> dict[str, Any]:
    return {"apiVersion": "v1", "kind": kind, "metadata": {"name": name}, **fields}


def static(context: Context, *documents: dict[str, Any]) -> list[dict[str, Any]]:
    argocd = context.tools["argocd"]
    argocd.file("install.yaml").write_text(yaml.safe_dump_all(documents))
    return static_manifests(argocd)


def test_what_runs_as_a_process_beside_the_cluster_is_not_applied_to_it(context: Context) -> None:
    applied = static(context, *(manifest(kind, "one") for kind in (*KEPT, *DROPPED)))
    assert [found["kind"] for found in applied] == [*KEPT, "AppProject"]


def test_only_what_lives_in_a_namespace_is_put_into_argo_cds(context: Context) -> None:
    applied = static(context, *(manifest(kind, "one") for kind in KEPT))
    for found in applied:
        cluster_wide = found["kind"] in ("CustomResourceDefinition", "ClusterRole", "ClusterRoleBinding")
        assert found["metadata"].get("namespace") == (None if cluster_wide else "argocd")


def test_settings_are_added_to_those_that_argo_cd_has_and_nowhere_else(context: Context) -> None:
    bare, full, other = static(
        context,
        manifest("ConfigMap", "argocd-cm"),
        manifest("ConfigMap", "argocd-cm", data={"theirs": "1"}),
        manifest("ConfigMap", "argocd-rbac-cm"),
    )[:3]
    assert bare["data"]["application.resourceTrackingMethod"] == "annotation"
    assert bare["data"]["users.anonymous.enabled"] == "false"
    assert full["data"] == {"theirs": "1", **bare["data"]}
    assert "data" not in other
