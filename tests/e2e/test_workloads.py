"""What users deploy becomes healthy as it would on a real cluster, each by its own kind's conditions."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from sandbox.components.base import ARGOCD_NAMESPACE
from sandbox.core.conditions import Deadline, Observation, met, pending, wait_for
from sandbox.core.timeline import Timeline
from sandbox.engines import sandboxes
from sandbox.gitops.git import Credential, WorkingCopy
from sandbox.kube.api import KubeApi
from sandbox.servers.repositories import create_repository
from tests.e2e.support import User

DATA = Path(__file__).parent / "data"
NAMESPACE = "workloads"
NODES = 3
ARGO = "argoproj.io/v1alpha1"
SECONDS = 90.0
AUTOMATED = {"automated": {"prune": True, "selfHeal": True}, "syncOptions": ["CreateNamespace=true"]}
HERE = "https://kubernetes.default.svc"


@pytest.fixture(scope="module")
def cluster(user: User, tmp_path_factory: pytest.TempPathFactory) -> Iterator[KubeApi]:
    """Give a cluster of three nodes to which a repository of plain manifests is deployed."""
    del user
    access = sandboxes.up("work", sandboxes.UpOptions(nodes=NODES), Timeline())
    create_repository(access.repositories, "users/manifests")
    url = f"{access.git.url}/users/manifests.git"
    credential = Credential(access.git.url, access.git.user, access.git.password())
    copy = WorkingCopy.create(
        tmp_path_factory.mktemp("copy") / "manifests", url, credential, "A User", DATA, message="Deploy"
    )
    copy.push()
    api = KubeApi(access.kubeconfig)
    source = {"repoURL": url, "targetRevision": "main"}
    api.create(
        {
            "apiVersion": ARGO,
            "kind": "Application",
            "metadata": {"name": NAMESPACE, "namespace": ARGOCD_NAMESPACE},
            "spec": {
                "project": "default",
                "source": {**source, "path": "workloads"},
                "destination": {"server": HERE, "namespace": NAMESPACE},
                "syncPolicy": AUTOMATED,
            },
        }
    )
    api.create(
        {
            "apiVersion": ARGO,
            "kind": "ApplicationSet",
            "metadata": {"name": "generated", "namespace": ARGOCD_NAMESPACE},
            "spec": {
                "goTemplate": True,
                "generators": [
                    {"git": {"repoURL": url, "revision": "main", "directories": [{"path": "set/*"}]}},
                ],
                "template": {
                    "metadata": {"name": "generated-{{.path.basename}}"},
                    "spec": {
                        "project": "default",
                        "source": {**source, "path": "{{.path.path}}"},
                        "destination": {"server": HERE, "namespace": "generated-{{.path.basename}}"},
                        "syncPolicy": AUTOMATED,
                    },
                },
            },
        }
    )
    yield api
    api.close()


def application(cluster: KubeApi, name: str) -> dict[str, Any]:
    return cluster.get(ARGO, "Application", name, ARGOCD_NAMESPACE) or {}


def eventually(wanted: str, look: Any) -> None:
    wait_for(look, Deadline.after(SECONDS), wanted=wanted, every=0.25)


@pytest.fixture(scope="module")
def deployed(cluster: KubeApi) -> KubeApi:
    """Give the cluster when the operation with its hooks has succeeded."""

    def look() -> Observation:
        operation = application(cluster, NAMESPACE).get("status", {}).get("operationState", {})
        return met() if operation.get("phase") == "Succeeded" else pending(str(operation.get("message")))

    eventually("the sync with its hooks to succeed", look)
    return cluster


def status(cluster: KubeApi, api_version: str, kind: str, name: str) -> dict[str, Any]:
    found = cluster.get(api_version, kind, name, NAMESPACE)
    assert found is not None, f"there is no {kind} {name}"
    return dict(found.get("status", {}))


def test_the_application_with_every_kind_of_workload_becomes_healthy(deployed: KubeApi) -> None:
    def look() -> Observation:
        found = application(deployed, NAMESPACE)["status"]
        health, sync = found["health"]["status"], found["sync"]["status"]
        return met() if (health, sync) == ("Healthy", "Synced") else pending(f"{health}, {sync}: {found['resources']}")

    eventually("the Application to be Healthy", look)


def test_replicas_are_spread_over_the_nodes_by_the_scheduler(deployed: KubeApi) -> None:
    eventually(
        "six replicas",
        lambda: (
            met()
            if status(deployed, "apps/v1", "Deployment", "web").get("availableReplicas") == 6
            else pending("not yet")
        ),
    )
    pods = deployed.list("v1", "Pod", NAMESPACE, labels="app=web")
    places = [pod["spec"]["nodeName"] for pod in pods]
    assert sorted(places.count(node) for node in set(places)) == [2] * NODES


def test_a_stateful_set_gets_its_claims_bound_in_the_default_and_in_the_named_class(deployed: KubeApi) -> None:
    def look() -> Observation:
        ready = status(deployed, "apps/v1", "StatefulSet", "db").get("readyReplicas", 0)
        return met() if ready == 2 else pending(f"{ready} ready")

    eventually("both replicas of the StatefulSet", look)
    claims = deployed.list("v1", "PersistentVolumeClaim", NAMESPACE)
    assert {claim["metadata"]["name"] for claim in claims} == {"data-db-0", "data-db-1", "named-db-0", "named-db-1"}
    volumes = {volume["metadata"]["name"]: volume for volume in deployed.list("v1", "PersistentVolume")}
    for claim in claims:
        assert claim["status"]["phase"] == "Bound"
        assert claim["spec"]["storageClassName"] == "standard"
        volume = volumes[claim["spec"]["volumeName"]]
        assert volume["spec"]["claimRef"]["name"] == claim["metadata"]["name"]
        assert volume["status"]["phase"] == "Bound"


def test_a_daemon_set_has_a_ready_pod_on_each_node(deployed: KubeApi) -> None:
    eventually(
        "a pod on each node",
        lambda: (
            met()
            if status(deployed, "apps/v1", "DaemonSet", "agent").get("numberReady") == NODES
            else pending("not yet")
        ),
    )


def test_jobs_and_both_hooks_complete(deployed: KubeApi) -> None:
    for name in ("once", "before", "after"):
        eventually(
            f"Job {name} to complete",
            lambda name=name: (
                met() if status(deployed, "batch/v1", "Job", name).get("succeeded") == 1 else pending("not yet")
            ),
        )


def test_a_cron_job_that_is_run_by_hand_completes(deployed: KubeApi) -> None:
    found = deployed.get("batch/v1", "CronJob", "nightly", NAMESPACE)
    assert found is not None
    job = {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": {"name": "nightly-by-hand", "namespace": NAMESPACE},
        "spec": found["spec"]["jobTemplate"]["spec"],
    }
    deployed.create(job)
    eventually(
        "the Job to complete",
        lambda: (
            met()
            if status(deployed, "batch/v1", "Job", "nightly-by-hand").get("succeeded") == 1
            else pending("not yet")
        ),
    )


@pytest.mark.parametrize(("api_version", "kind"), [("v1", "Service"), ("networking.k8s.io/v1", "Ingress")])
def test_what_asks_for_an_address_gets_one(deployed: KubeApi, api_version: str, kind: str) -> None:
    def look() -> Observation:
        given = status(deployed, api_version, kind, "web").get("loadBalancer", {}).get("ingress", [])
        return met(given[0]["ip"]) if given and given[0].get("ip") else pending(f"{given}")

    eventually(f"an address for the {kind}", look)


def test_an_application_set_generates_an_application_for_each_folder(cluster: KubeApi) -> None:
    for name in ("one", "two"):

        def look(name: str = name) -> Observation:
            found = cluster.get("v1", "ConfigMap", name, f"generated-{name}")
            troubles = application(cluster, f"generated-{name}").get("status", {}).get("conditions")
            return met() if found else pending(f"no ConfigMap {name}; {troubles}")

        eventually(f"what the Application for {name} deploys", look)
