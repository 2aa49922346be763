"""What happens to containers behind the sandbox's back: status tells, `up` mends, and nothing of others is touched."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import pytest
import requests

from sandbox.core.commands import run
from sandbox.core.conditions import Deadline, Observation, met, pending, wait_for
from sandbox.kube.api import KubeApi
from tests.e2e.kind.machine import (
    COLD_SECONDS,
    NAME,
    component,
    docker,
    executed,
    held,
    image_of,
    inspected,
    is_ready,
    kubectl,
    node,
    password,
)
from tests.e2e.support import User, tool

TAKEN = "t1-taken"
POD_SECONDS = 60.0
NOWHERE = {
    "no such socket": "unix:///nowhere/docker.sock",
    "nobody listens": "tcp://127.0.0.1:1",
}

pytestmark = pytest.mark.timeout(COLD_SECONDS)


def up(user: User, name: str = NAME) -> dict[str, Any]:
    return user.ok("up", "--engine", "kind", "--name", name, seconds=600)


def ids(status: dict[str, Any]) -> dict[str, str]:
    return {each["name"]: each["container"] for each in status["components"] if each.get("container")}


def keep(status: dict[str, Any], name: str) -> None:
    kubectl(status, "create", "configmap", name, "--from-literal=kept=yes")


def kept(status: dict[str, Any], name: str) -> bool:
    return kubectl(status, "get", "configmap", name, "--ignore-not-found", "--output", "name") != ""


def own_workloads(status: dict[str, Any]) -> set[str]:
    """Give the owners of the pods that the sandbox is made of: a ReplicaSet that replaces a pod stays the same."""
    pods = [
        pod
        for namespace in ("kube-system", "argocd")
        for pod in json.loads(kubectl(status, "--namespace", namespace, "get", "pods", "--output", "json"))["items"]
    ]
    return {
        owner["uid"]
        for pod in pods
        if "deletionTimestamp" not in pod["metadata"]
        for owner in pod["metadata"].get("ownerReferences", ())
    }


def push_layer(status: dict[str, Any], content: bytes) -> str:
    """Push a layer as CI would (OCI Distribution, "Pushing blobs"), and give its digest."""
    digest = f"sha256:{hashlib.sha256(content).hexdigest()}"
    registry = status["registry"]
    account = (registry["user"], password(registry))
    begun = requests.post(f"{registry['url']}/v2/kept/blobs/uploads/", auth=account, timeout=10)
    place = begun.headers["Location"]
    done = requests.put(place, params={"digest": digest}, data=content, auth=account, timeout=10)
    assert done.status_code == 201, done.text
    return digest


def test_a_registry_that_somebody_removes_is_missed_and_comes_back_with_its_images(
    user: User, standing: dict[str, Any]
) -> None:
    layer = f"kept/blobs/{push_layer(standing, b'kept')}"
    docker("rm", "--force", ids(standing)["registry"])
    seen = user.status(NAME)
    assert seen["state"] == "partial"
    assert component(seen, "registry")["state"] == "stopped"
    assert "no such container" in component(seen, "registry")["seen"]
    again = up(user)
    assert again["state"] == "up"
    assert ids(again)["registry"] != ids(standing)["registry"]
    assert ids(again)["kind-cluster"] == ids(standing)["kind-cluster"]
    registry = again["registry"]
    account = (registry["user"], password(registry))
    assert requests.head(f"{registry['url']}/v2/{layer}", auth=account, timeout=10).status_code == 200


@pytest.mark.nightly
def test_a_node_that_somebody_removes_is_missed_and_the_story_passes_on_a_new_one(
    user: User, standing: dict[str, Any]
) -> None:
    docker("rm", "--force", "--volumes", node())
    seen = user.status(NAME)
    assert seen["state"] == "partial"
    assert component(seen, "kind-cluster")["state"] == "stopped"
    assert component(seen, "argocd")["state"] == "unready"
    told = user.ok("demo", "--engine", "kind", "--name", NAME, seconds=600)
    assert told["passed"]
    assert told["skipped"] == []
    assert ids(user.status(NAME))["kind-cluster"] != ids(standing)["kind-cluster"]


@pytest.mark.nightly
def test_a_cluster_that_is_deleted_by_kind_itself_is_missed_and_made_anew(
    user: User, standing: dict[str, Any], tmp_path: Path
) -> None:
    keep(standing, "of-the-old-one")
    user.ok("snapshot", "of-the-old-one", "--name", NAME)
    delete = [tool("kind"), "delete", "cluster", "--name", f"gitops-sandbox-{NAME}"]
    run([*delete, "--kubeconfig", str(tmp_path / "none")], timeout=60)
    assert component(user.status(NAME), "kind-cluster")["state"] == "stopped"
    again = up(user)
    assert again["state"] == "up"
    assert not kept(again, "of-the-old-one")
    refused = user.run("restore", "of-the-old-one", "--name", NAME)
    assert refused.code == 2, refused
    assert "is of a cluster that is gone" in refused.stderr
    keep(again, "of-the-new-one")
    user.ok("reset", "--name", NAME)
    assert not kept(again, "of-the-new-one")


def ends_slowly(status: dict[str, Any]) -> None:
    """Run a pod that takes a second to end when it is told to, logs it, and writes into its node when it has."""
    farewell = "echo told >>/node/ended; sleep 1; echo ends; echo ended >>/node/ended; exit"
    loop = f"trap '{farewell}' TERM; while :; do sleep 0.1; done"
    container = {
        "name": "it",
        "image": image_of(status, "argocd", "argocd-server"),
        "imagePullPolicy": "Never",
        "command": ["sh", "-c", loop],
        "securityContext": {"runAsUser": 0},
        "volumeMounts": [{"name": "node", "mountPath": "/node"}],
    }
    spec = {"containers": [container], "volumes": [{"name": "node", "hostPath": {"path": "/var"}}]}
    api = KubeApi(Path(status["kubeconfig"]))
    api.create(
        {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "ends-slowly", "namespace": "default"}, "spec": spec}
    )

    def ready() -> Observation:
        pod = api.get("v1", "Pod", "ends-slowly", "default") or {}
        return met() if is_ready(pod) else pending(str(pod.get("status")))

    wait_for(ready, Deadline.after(POD_SECONDS), wanted="the pod to be ready", every=0.2)


def test_a_sandbox_that_is_stopped_is_started_again_as_it_was(user: User, standing: dict[str, Any]) -> None:
    keep(standing, "kept-over-the-stop")
    ends_slowly(standing)
    before = own_workloads(standing)
    user.ok("stop", "--name", NAME)
    seen = user.status(NAME)
    assert {component(seen, name)["state"] for name in ids(standing)} == {"stopped"}
    again = user.ok("start", "--name", NAME, seconds=240)
    assert again["state"] == "up"
    assert ids(again) == ids(standing)
    assert kept(again, "kept-over-the-stop")
    assert own_workloads(again) == before
    assert executed(node(), "crictl", "ps", "--quiet").strip()
    assert executed(node(), "cat", "/var/ended") == "told\nended\n"
    kubectl(again, "delete", "pod", "ends-slowly")
    # Its API server found etcd at its first try; it would have tried again a second later.
    log = KubeApi(Path(again["kubeconfig"])).text(f"/api/v1/namespaces/kube-system/pods/kube-apiserver-{node()}/log")
    assert "Serving securely" in log
    assert "127.0.0.1:2379: connect: connection refused" not in log


def test_redis_of_an_earlier_version_comes_to_have_the_address_that_argocd_is_told(
    user: User, standing: dict[str, Any]
) -> None:
    api = KubeApi(Path(standing["kubeconfig"]))
    place = ("v1", "Service", "argocd-redis", "argocd")
    told = api.get("v1", "ConfigMap", "argocd-cmd-params-cm", "argocd") or {}
    of_now = api.get(*place) or {}
    assert told["data"]["redis.server"] == f"{of_now['spec']['clusterIP']}:6379"
    spec = {name: value for name, value in of_now["spec"].items() if not name.startswith("clusterIP")}
    api.delete(*place)
    api.create(
        {"apiVersion": "v1", "kind": "Service", "metadata": {"name": place[2], "namespace": place[3]}, "spec": spec}
    )
    before = api.get(*place) or {}
    assert before["spec"]["clusterIP"] != of_now["spec"]["clusterIP"]
    assert up(user)["state"] == "up"
    again = api.get(*place) or {}
    assert again["spec"]["clusterIP"] == of_now["spec"]["clusterIP"]


@pytest.mark.parametrize(
    "marks",
    [["--name", node(TAKEN)], ["--name", "t1-foreign", "--label", f"io.x-k8s.kind.cluster=gitops-sandbox-{TAKEN}"]],
    ids=["the node's", "another node of a cluster of that name"],
)
def test_a_name_that_something_else_has_taken_is_refused_and_nothing_is_deleted(
    user: User, other: User, standing: dict[str, Any], marks: list[str]
) -> None:
    del user
    (registry,) = inspected(ids(standing)["registry"])
    foreign = docker("create", *marks, registry["Config"]["Image"]).strip()
    try:
        refused = other.run("up", "--engine", "kind", "--name", TAKEN, "--json", seconds=600)
        assert refused.code == 3, refused
        error = refused.data()["error"]
        assert "not of this sandbox" in f"{error['what']} {error['why']}"
        assert inspected(foreign)[0]["State"]["Status"] == "created"
    finally:
        docker("rm", foreign)
    assert held(TAKEN) == []
    assert not (other.folder / TAKEN).exists()


def test_another_user_can_neither_take_nor_harm_a_sandbox_of_the_same_name(
    user: User, other: User, standing: dict[str, Any]
) -> None:
    refused = other.run("up", "--engine", "kind", "--name", NAME, "--json", seconds=600)
    assert refused.code == 3, refused
    assert "not of this sandbox" in refused.data()["error"]["what"]
    assert other.run("down", "--all").code == 0
    seen = user.status(NAME)
    assert seen["state"] == "up"
    assert ids(seen) == ids(standing)


@pytest.mark.nightly
def test_two_sandboxes_live_side_by_side_and_down_all_takes_its_users_own(
    user: User, other: User, standing: dict[str, Any]
) -> None:
    second = up(other, "t1-b")
    assert second["state"] == "up"
    assert second["git"]["url"].rpartition(":")[0] != standing["git"]["url"].rpartition(":")[0]
    assert user.status(NAME)["state"] == "up"
    ended = other.run("down", "--all")
    assert ended.code == 0, ended
    assert held("t1-b") == []
    assert not other.processes()
    assert list(other.folder.glob("t1-b*")) == []
    seen = user.status(NAME)
    assert seen["state"] == "up"
    assert ids(seen) == ids(standing)


@pytest.mark.parametrize("address", NOWHERE.values(), ids=NOWHERE)
def test_without_docker_up_says_what_is_missing_and_leaves_nothing(other: User, address: str) -> None:
    without = User(other.state, changes={"DOCKER_HOST": address})
    refused = without.run("up", "--engine", "kind", "--name", "t1-none", "--json")
    assert refused.code == 3, refused
    error = refused.data()["error"]
    assert "Docker" in error["what"]
    assert error["why"]
    assert error["next"]
    assert "Traceback" not in refused.stderr
    assert not (other.folder / "t1-none").exists()
    assert other.ports() == {}


@pytest.mark.nightly
def test_while_docker_is_away_status_says_so_and_down_keeps_what_it_can_not_take_away(
    user: User, standing: dict[str, Any]
) -> None:
    without = User(user.state, changes={**user.changes, "DOCKER_HOST": NOWHERE["no such socket"]})
    seen = without.status(NAME)
    assert {component(seen, name)["state"] for name in ids(standing)} == {"stopped"}
    assert "Docker does not answer" in component(seen, "registry")["seen"]
    refused = without.run("down", "--name", NAME, "--json")
    assert refused.code == 3, refused
    assert ids(user.status(NAME)) == ids(standing)
    assert up(user)["state"] == "up"


def test_more_nodes_than_are_possible_are_refused_in_a_sentence_and_change_nothing(
    user: User, standing: dict[str, Any]
) -> None:
    refused = user.run("up", "--engine", "kind", "--name", NAME, "--nodes", "6", "--json")
    assert refused.code == 2, refused
    assert "6 nodes" in refused.data()["error"]["what"]
    new = user.run("up", "--engine", "kind", "--name", "t1-six", "--nodes", "6")
    assert new.code == 2, new
    assert held("t1-six") == []
    assert not (user.folder / "t1-six").exists()
    assert ids(up(user)) == ids(standing)
