"""What is read from the files of the real KWOK and Argo CD, and rendered by the real Kustomize."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import yaml

from sandbox.components.argocd.config import static_manifests
from sandbox.components.argocd.ha import HA
from sandbox.components.base import Context
from sandbox.components.embedded.kwok import Kwok
from sandbox.components.overlay import rendered
from sandbox.components.pki import ARGOCD_ACCOUNTS, Pki
from sandbox.containers.node import POD_SUBNET
from sandbox.core.commands import CommandError
from sandbox.core.supervision import SupervisorClient
from sandbox.gitops.manifests import render
from sandbox.toolchain import ensure_tools

WORKLOADS = ("Deployment", "StatefulSet")


@pytest.fixture
def context(tmp_path: Path) -> Context:
    tools = ensure_tools(("kwok", "argocd", "kustomize", "flannel"))
    return Context("box", "unit", tmp_path, {"apiserver": 20001}, tools, 1, SupervisorClient(tmp_path))


def test_the_stages_of_volumes_ask_for_the_class_that_users_name(context: Context) -> None:
    Kwok().prepare(context)
    stages = list(yaml.safe_load_all((context.folder / "run/kwok/stages.yaml").read_text()))
    assert "kwok-volume" not in json.dumps(stages)
    classes = [stage["metadata"]["name"] for stage in stages if "'standard'" in json.dumps(stage["spec"]["selector"])]
    assert classes
    kinds = {stage["spec"]["resourceRef"]["kind"] for stage in stages}
    assert kinds >= {"Node", "Pod", "PersistentVolumeClaim", "PersistentVolume", "Service", "Ingress"}
    names = [stage["metadata"]["name"] for stage in stages]
    assert len(set(names)) == len(names)


def test_argo_cds_own_rules_bind_the_very_accounts_that_the_certificates_name(context: Context) -> None:
    manifests = static_manifests(context.tools["argocd"])
    accounts = {item["metadata"]["name"] for item in manifests if item["kind"] == "ServiceAccount"}
    assert set(ARGOCD_ACCOUNTS) <= accounts
    bound = {
        subject["name"]
        for item in manifests
        if item["kind"] in ("RoleBinding", "ClusterRoleBinding")
        for subject in item["subjects"]
    }
    assert set(ARGOCD_ACCOUNTS) <= bound
    definitions = {item["spec"]["names"]["kind"] for item in manifests if item["kind"] == "CustomResourceDefinition"}
    assert definitions == {"Application", "ApplicationSet", "AppProject"}
    maps = {item["metadata"]["name"] for item in manifests if item["kind"] == "ConfigMap"}
    assert maps >= {"argocd-cm", "argocd-cmd-params-cm", "argocd-rbac-cm", "argocd-ssh-known-hosts-cm"}
    assert not {"Deployment", "StatefulSet", "Secret", "Service"} & {item["kind"] for item in manifests}


def test_the_kubeconfigs_are_read_by_the_real_client(context: Context) -> None:
    # The client itself checks that certificate and key fit together.
    from sandbox.kube.api import KubeApi  # noqa: PLC0415  # as late as the product does

    Pki().ensure(context)
    for path in (context.folder / "kubeconfig", *context.pki("").glob("*.kubeconfig")):
        KubeApi(path).close()


def test_an_overlay_is_rendered_and_one_that_is_wrong_is_told_in_kustomizes_words(
    context: Context, tmp_path: Path
) -> None:
    overlay = tmp_path / "over lay"
    overlay.mkdir()
    (overlay / "map.yaml").write_text("apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: a\ndata:\n  on: 'yes'\n")
    (overlay / "kustomization.yaml").write_text("namePrefix: core-\nresources: [map.yaml]\n")
    kustomize = context.tools["kustomize"].binary()
    (rendered,) = render(kustomize, overlay)
    assert rendered["metadata"]["name"] == "core-a"
    assert rendered["data"] == {"on": "yes"}
    (overlay / "kustomization.yaml").write_text("resources: [none.yaml]\n")
    with pytest.raises(CommandError, match="kustomize") as caught:
        render(kustomize, overlay)
    assert "none.yaml" in caught.value.why


def test_no_script_of_the_ha_variant_shows_a_password_in_an_argument(context: Context) -> None:
    scripts = {
        name: text
        for item in static_manifests(context.tools["argocd"], variant=HA)
        if item["kind"] == "ConfigMap" and item["metadata"]["name"].startswith("argocd-redis-ha")
        for name, text in item["data"].items()
    }
    assert {"init.sh", "fix-split-brain.sh", "redis_readiness.sh", "trigger-failover-if-master.sh"} <= set(scripts)
    assert [name for name, text in scripts.items() if "--no-auth-warning" in text] == []
    assert sum(text.count("REDISCLI_AUTH=") for text in scripts.values()) > 10


def test_the_ha_variant_keeps_the_official_replicas_and_needs_no_secret_made_in_the_cluster(context: Context) -> None:
    manifests = rendered(context, "argocd/ha", context.tools["argocd"].file(HA))
    workloads = {item["metadata"]["name"]: item["spec"] for item in manifests if item["kind"] in WORKLOADS}
    assert {name: spec.get("replicas", 1) for name, spec in workloads.items()} == {
        "argocd-application-controller": 1,
        "argocd-applicationset-controller": 1,
        "argocd-notifications-controller": 1,
        "argocd-redis-ha-haproxy": 3,
        "argocd-redis-ha-server": 3,
        "argocd-repo-server": 2,
        "argocd-server": 2,
    }
    first = [each["name"] for each in workloads["argocd-redis-ha-haproxy"]["template"]["spec"]["initContainers"]]
    assert first == ["config-init"]


def test_flannel_makes_plain_routes_in_the_subnet_of_the_nodes_and_installs_nothing_on_them(context: Context) -> None:
    manifests = rendered(context, "flannel", context.tools["flannel"].file("kube-flannel.yml"))
    (settings,) = [item for item in manifests if item["kind"] == "ConfigMap"]
    network = json.loads(settings["data"]["net-conf.json"])
    assert network == {"Network": POD_SUBNET, "Backend": {"Type": "host-gw"}}
    (daemon_set,) = [item for item in manifests if item["kind"] == "DaemonSet"]
    assert "initContainers" not in daemon_set["spec"]["template"]["spec"]
