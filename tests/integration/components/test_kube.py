"""The Kubernetes API as the sandbox uses it, against a real API server and etcd."""

from __future__ import annotations

import copy
import http.client
import secrets
import ssl
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from sandbox.components.base import Context
from sandbox.components.cluster_state import ClusterState
from sandbox.components.embedded.etcd import Etcd
from sandbox.components.existing.argocd_in_namespace import bring_types
from sandbox.core.conditions import Deadline, Observation, met, pending, wait_for
from sandbox.core.errors import UnavailableError
from sandbox.gitops.cluster import Cluster
from sandbox.gitops.manifests import difference
from sandbox.kube.api import KubeApi, KubeError
from sandbox.kube.custom_types import served_as_defined
from sandbox.kube.watching import Watch
from tests.integration.components.conftest import Bring

IMAGE = "registry.invalid/greeter:1"


@pytest.fixture(scope="module")
def cluster(brought_up: Bring) -> Iterator[Context]:
    with brought_up("etcd", "kube-apiserver-bootstrap", tools=("etcd", "kube-apiserver", "argocd")) as context:
        yield context


@pytest.fixture
def api(cluster: Context) -> Iterator[KubeApi]:
    api = KubeApi(cluster.folder / "kubeconfig")
    yield api
    api.close()


@pytest.fixture
def namespace(api: KubeApi) -> str:
    name = f"test-{secrets.token_hex(4)}"
    api.create({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}})
    return name


def config_map(namespace: str, name: str = "settings", **data: str) -> dict[str, Any]:
    metadata = {"name": name, "namespace": namespace}
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, "data": data}


def deployment(namespace: str, **container: Any) -> dict[str, Any]:
    labels = {"app": "greeter"}
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": "greeter", "namespace": namespace, "creationTimestamp": None, "annotations": {}},
        "spec": {
            "replicas": 2,
            "minReadySeconds": 0,
            "paused": False,
            "selector": {"matchLabels": labels},
            "template": {
                "metadata": {"labels": labels},
                "spec": {"hostNetwork": False, "containers": [{"name": "greeter", "image": IMAGE, **container}]},
            },
        },
    }


def test_what_is_applied_is_found_and_listed_with_its_kind(api: KubeApi, namespace: str) -> None:
    api.apply(config_map(namespace, a="1"))
    found = api.get("v1", "ConfigMap", "settings", namespace)
    assert found is not None
    assert found["data"] == {"a": "1"}
    listed = api.list("v1", "ConfigMap", namespace)
    assert [(item["apiVersion"], item["kind"], item["metadata"]["name"]) for item in listed] == [
        ("v1", "ConfigMap", "settings")
    ]
    assert api.list("v1", "ConfigMap", namespace, labels="app=other") == []


def test_applying_again_changes_what_is_said_and_keeps_what_others_added(api: KubeApi, namespace: str) -> None:
    api.apply(config_map(namespace, a="1", b="1"))
    api.merge("v1", "ConfigMap", "settings", namespace, {"data": {"theirs": "1"}})
    after = api.apply(config_map(namespace, a="2"))
    assert after["data"] == {"a": "2", "theirs": "1"}
    would = api.apply(config_map(namespace, a="3"), dry_run=True)
    assert would["data"]["a"] == "3"
    assert (api.get("v1", "ConfigMap", "settings", namespace) or {})["data"]["a"] == "2"


def test_an_apply_takes_over_what_was_changed_by_hand(api: KubeApi, namespace: str) -> None:
    api.apply(config_map(namespace, a="1"))
    assert api.merge("v1", "ConfigMap", "settings", namespace, {"data": {"a": "hand"}})["data"] == {"a": "hand"}
    assert api.apply(config_map(namespace, a="1"))["data"] == {"a": "1"}


def test_a_merge_with_null_removes_a_field(api: KubeApi, namespace: str) -> None:
    api.apply(config_map(namespace, a="1", b="1"))
    assert api.merge("v1", "ConfigMap", "settings", namespace, {"data": {"a": None}})["data"] == {"b": "1"}


def test_what_is_not_there_is_none_and_deleting_it_is_no_error(api: KubeApi, namespace: str) -> None:
    assert api.get("v1", "ConfigMap", "none", namespace) is None
    api.delete("v1", "ConfigMap", "none", namespace)
    api.apply(config_map(namespace))
    api.delete("v1", "ConfigMap", "settings", namespace)
    assert api.get("v1", "ConfigMap", "settings", namespace) is None


def test_of_a_kind_that_is_not_served_there_is_no_object_and_none_can_be_made(api: KubeApi) -> None:
    assert api.get("v1", "Nonsense", "a", "default") is None
    assert api.get("nonsense.example/v1", "Nonsense", "a", "default") is None
    with pytest.raises(KubeError, match="404") as caught:
        api.apply({"apiVersion": "v1", "kind": "Nonsense", "metadata": {"name": "a"}})
    assert "no kind Nonsense in v1" in caught.value.why
    with pytest.raises(KubeError, match="404"):
        api.list("nonsense.example/v1", "Nonsense")


def test_a_refusal_carries_the_servers_own_reason(api: KubeApi, namespace: str) -> None:
    api.create(config_map(namespace))
    with pytest.raises(KubeError, match="the API server answered 409 to POST /api/v1/namespaces/") as clash:
        api.create(config_map(namespace))
    assert (clash.value.status, clash.value.reason) == (409, "AlreadyExists")
    wrong = deployment(namespace)
    wrong["spec"]["template"]["metadata"]["labels"] = {"app": "other"}
    with pytest.raises(KubeError) as invalid:
        api.apply(wrong)
    assert (invalid.value.status, invalid.value.reason) == (422, "Invalid")
    assert "`selector` does not match template `labels`" in invalid.value.why
    assert invalid.value.exit_code == 3


def test_a_name_can_not_reach_into_another_path(api: KubeApi, namespace: str) -> None:
    assert api.get("v1", "ConfigMap", "../../namespaces/default", namespace) is None
    with pytest.raises(KubeError):
        api.apply(config_map(namespace, name="a/b?dryRun=All"))


def test_a_change_wakes_whoever_waits_for_it(api: KubeApi, namespace: str) -> None:
    with Watch(api) as watch:
        watch.add([("v1", "ConfigMap", namespace, ""), ("apps/v1", "Deployment", namespace, "")])
        changed = watch.changed
        changed.clear()

        def look() -> Observation:
            found = api.get("v1", "ConfigMap", "late", namespace)
            return pending("not there") if found is None else met("there")

        later = threading.Timer(0.3, api.apply, [config_map(namespace, "late")])
        later.start()
        wait_for(look, Deadline.after(10), wanted="a wake", wake=changed, every=9)
        later.join()
        # Its thread ends with the next event.
    api.apply(config_map(namespace, "last"))


def test_what_the_server_made_of_a_commit_is_no_difference_and_drift_is_one(api: KubeApi, namespace: str) -> None:
    said = deployment(
        namespace,
        resources={
            "requests": {"cpu": "1000m", "memory": "0.5Gi", "example.com/gpu": 1},
            "limits": {"example.com/gpu": 1},
        },
        ports=[{"containerPort": 8080}],
        env=[{"name": "EMPTY", "value": ""}],
    )
    api.apply(said)
    live = api.get("apps/v1", "Deployment", "greeter", namespace) or {}
    assert difference(said, live) is None
    change = Cluster(api).scale(namespace, "greeter", 5)
    drifted = api.get("apps/v1", "Deployment", "greeter", namespace) or {}
    assert difference(said, drifted) == "spec.replicas is 5, the commit says 2"
    assert change.resource_version > int(live["metadata"]["resourceVersion"])
    assert change.uid == live["metadata"]["uid"]
    Cluster(api).set_image(namespace, "greeter", "registry.invalid/other:1")
    api.merge("apps/v1", "Deployment", "greeter", namespace, {"spec": {"replicas": 2}})
    drifted = api.get("apps/v1", "Deployment", "greeter", namespace) or {}
    assert "registry.invalid/other:1" in (difference(said, drifted) or "")


def test_a_secret_given_as_text_is_no_difference(api: KubeApi, namespace: str) -> None:
    said = {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {"name": "a", "namespace": namespace},
        "stringData": {"key": "pässword"},
    }
    api.apply(said)
    assert difference(said, api.get("v1", "Secret", "a", namespace) or {}) is None


def full_of_nothing(namespace: str) -> dict[str, Any]:
    said = deployment(namespace, resources={"limits": {}, "requests": {}}, securityContext={}, lifecycle={})
    said["spec"] |= {"strategy": {}}
    said["spec"]["template"]["metadata"] |= {"annotations": {}}
    said["spec"]["template"]["spec"] |= {
        "volumes": [{"name": "scratch", "emptyDir": {}}],
        "nodeSelector": {},
        "securityContext": {"seLinuxOptions": {}},
        "affinity": {"podAntiAffinity": {}},
        "overhead": {},
    }
    return said


def of_kind(api_version: str, kind: str, **fields: Any) -> Callable[[str], dict[str, Any]]:
    return lambda namespace: {
        "apiVersion": api_version,
        "kind": kind,
        "metadata": {"name": "a", "namespace": namespace, "labels": {}},
        **fields,
    }


def empty_mappings(said: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Give the path of each mapping that holds nothing."""
    if said == {}:
        yield path
    for step, inner in said.items() if isinstance(said, dict) else enumerate(said) if isinstance(said, list) else ():
        yield from empty_mappings(inner, (*path, step))


def without(live: dict[str, Any], path: tuple[Any, ...]) -> dict[str, Any]:
    """Give a live object without the mapping at ``path``, which it may not have at all."""
    changed = copy.deepcopy(live)
    parent: Any = changed
    for step in path[:-1]:
        parent = parent[step] if isinstance(parent, list) else parent.get(step, {})
    parent.pop(path[-1], None)
    return changed


CLAIM = {"accessModes": ["ReadWriteOnce"], "selector": {}, "resources": {"requests": {"storage": "1Gi"}}}
POLICY: dict[str, Any] = {"podSelector": {}, "ingress": [{"from": [{"namespaceSelector": {}}]}]}


@pytest.mark.parametrize(
    ("manifest", "missed"),
    [
        (full_of_nothing, {"lifecycle", "emptyDir", "seLinuxOptions", "podAntiAffinity"}),
        (of_kind("v1", "ConfigMap", data={}, binaryData={}), set()),
        (of_kind("v1", "Secret", data={}, stringData={}), set()),
        (of_kind("v1", "Service", spec={"ports": [{"port": 80}], "selector": {}}, status={"loadBalancer": {}}), set()),
        (of_kind("v1", "ResourceQuota", spec={"hard": {}}), set()),
        (of_kind("v1", "LimitRange", spec={"limits": [{"type": "Pod", "max": {}, "min": {}}]}), set()),
        (of_kind("networking.k8s.io/v1", "NetworkPolicy", spec=POLICY), {"podSelector", "namespaceSelector"}),
        (of_kind("policy/v1", "PodDisruptionBudget", spec={"maxUnavailable": 1, "selector": {}}), {"selector"}),
        (of_kind("v1", "PersistentVolumeClaim", spec=CLAIM), {"selector"}),
    ],
)
def test_of_empty_mappings_those_that_the_server_keeps_are_missed_when_they_are_gone(
    api: KubeApi, namespace: str, manifest: Callable[[str], dict[str, Any]], missed: set[str]
) -> None:
    said = manifest(namespace)
    api.apply(said)
    live = api.get(said["apiVersion"], said["kind"], said["metadata"]["name"], namespace) or {}
    assert difference(said, live) is None
    assert {path[-1] for path in empty_mappings(said) if difference(said, without(live, path))} == missed


def test_deleting_by_hand_what_is_not_there_is_told(api: KubeApi, namespace: str) -> None:
    with pytest.raises(UnavailableError, match="there is no Deployment greeter"):
        Cluster(api).deployment(namespace, "greeter")
    with pytest.raises(UnavailableError, match="there is no ConfigMap none"):
        Cluster(api).delete("v1", "ConfigMap", namespace, "none")


def answer(context: Context, server: str, authority: str, user: str | None, path: str) -> int | None:
    """Ask a server under a certificate; None when it breaks the connection off for it."""
    tls = ssl.create_default_context(cafile=str(context.pki(f"{authority}.crt")))
    if user is not None:
        tls.load_cert_chain(context.pki(f"{user}.crt"), context.pki(f"{user}.key"))
    connection = http.client.HTTPSConnection(context.address(server), timeout=5, context=tls)
    try:
        connection.request("GET", path)
        return connection.getresponse().status
    except (ssl.SSLError, ConnectionError):
        return None
    finally:
        connection.close()


@pytest.mark.parametrize("path", ["/readyz", "/version", "/api", "/api/v1/secrets", "/openapi/v2", "/metrics"])
def test_nobody_is_answered_by_the_api_server_without_a_certificate(cluster: Context, path: str) -> None:
    assert answer(cluster, "apiserver", "ca", None, path) == 401


@pytest.mark.parametrize("user", ["argocd-client", "argocd-tls", "etcd", "apiserver-etcd-client"])
def test_a_certificate_of_another_authority_is_nobody_to_the_api_server(cluster: Context, user: str) -> None:
    assert answer(cluster, "apiserver", "ca", user, "/api/v1/secrets") == 401


def test_an_identity_may_do_what_its_role_says_and_no_more(cluster: Context) -> None:
    assert answer(cluster, "apiserver", "ca", "admin", "/api/v1/secrets") == 200
    assert answer(cluster, "apiserver", "ca", "probe", "/readyz") == 200
    assert answer(cluster, "apiserver", "ca", "probe", "/api/v1/secrets") == 403
    assert answer(cluster, "apiserver", "ca", "kwok", "/api/v1/secrets") == 403
    assert answer(cluster, "apiserver", "ca", "kube-scheduler", "/api/v1/secrets") == 403


@pytest.mark.parametrize("user", [None, "argocd-client", "admin", "apiserver", "probe"])
def test_etcd_refuses_whoever_has_no_certificate_of_its_own_authority(cluster: Context, user: str | None) -> None:
    assert answer(cluster, "etcd", "etcd-ca", user, "/version") is None
    assert answer(cluster, "etcd-peer", "etcd-ca", user, "/version") is None


def test_etcd_answers_the_api_servers_certificate(cluster: Context) -> None:
    assert answer(cluster, "etcd", "etcd-ca", "apiserver-etcd-client", "/version") == 200


def test_no_server_passes_for_another(cluster: Context) -> None:
    assert answer(cluster, "apiserver", "argocd-ca", "admin", "/readyz") is None
    assert answer(cluster, "etcd", "ca", "apiserver-etcd-client", "/version") is None


def test_a_server_that_is_gone_is_told(cluster: Context, tmp_path_factory: pytest.TempPathFactory) -> None:
    config = yaml.safe_load((cluster.folder / "kubeconfig").read_text())
    config["clusters"][0]["cluster"]["server"] = "https://127.0.0.1:1"
    path = tmp_path_factory.mktemp("gone") / "kubeconfig"
    path.write_text(yaml.safe_dump(config))
    with pytest.raises(UnavailableError, match="the API server does not answer"):
        KubeApi(path).get("v1", "Namespace", "default")


def test_a_cluster_that_was_put_back_rests_when_its_types_are_served_as_they_were(
    cluster: Context, api: KubeApi, tmp_path: Path
) -> None:
    # A machine that has no seed yet begins without them.
    bring_types(api, cluster.tools["argocd"], {})
    part: ClusterState = Etcd()
    part.save(cluster, tmp_path)
    toys = {"plural": "toys", "singular": "toy", "kind": "Toy", "listKind": "ToyList"}
    version = {"name": "v1", "served": True, "storage": True, "schema": {"openAPIV3Schema": {"type": "object"}}}
    definition = {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": "toys.example.com"},
        "spec": {"group": "example.com", "scope": "Cluster", "names": toys, "versions": [version]},
    }

    def rests() -> None:
        wait_for(lambda: part.resting(cluster), Deadline.after(60), wanted="the types to be served", every=0.01)

    def gone() -> Observation:
        left = api.get(*sets)
        return pending("it is there") if left else met("gone")

    sets = ("apiextensions.k8s.io/v1", "CustomResourceDefinition", "applicationsets.argoproj.io")
    api.delete(*sets)
    # The API server first removes what there is of it.
    wait_for(gone, Deadline.after(60), wanted="the definition to be gone")
    api.apply(definition)
    rests()
    kinds = {kind.plural for kind in api.kinds()}
    assert "toys" in kinds
    assert "applicationsets" not in kinds
    part.load(cluster, tmp_path)
    rests()
    # As a program that begins anew would find them.
    for kind in api.kinds():
        assert kind.plural != "toys"
        if "list" in kind.verbs:
            api.metadata(kind)
    assert api.list("argoproj.io/v1alpha1", "ApplicationSet") == []
    assert served_as_defined(api).seen == "3 custom types are served"
