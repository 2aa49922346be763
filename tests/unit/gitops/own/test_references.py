from __future__ import annotations

from typing import Any

import pytest
import yaml

from sandbox.gitops.own.references import _makers, _references, pod_specs, unpinned_images
from sandbox.gitops.own.shortcomings import shortcoming, unexplained

SPEC = """
serviceAccountName: robot
volumes:
- secret: {secretName: tls}
- secret: {secretName: maybe, optional: true}
- configMap: {name: files}
- persistentVolumeClaim: {claimName: data}
- projected: {sources: [{secret: {name: part}}, {configMap: {name: other}}, {serviceAccountToken: {path: t}}]}
- emptyDir: {}
initContainers:
- env: [{name: A, valueFrom: {secretKeyRef: {name: init, key: password}}}]
containers:
- envFrom: [{secretRef: {name: all}}, {configMapRef: {name: gone, optional: true}}]
  env:
  - {name: A, value: plain}
  - {name: B, valueFrom: {configMapKeyRef: {name: settings, key: level}}}
  - {name: C, valueFrom: {fieldRef: {fieldPath: metadata.name}}}
"""


def test_everything_that_a_pod_can_not_start_without_is_found_and_what_is_optional_is_not() -> None:
    assert {tuple(each) for each in _references(yaml.safe_load(SPEC))} == {
        ("ServiceAccount", "robot", ""),
        ("Secret", "tls", ""),
        ("ConfigMap", "files", ""),
        ("PersistentVolumeClaim", "data", ""),
        ("Secret", "part", ""),
        ("ConfigMap", "other", ""),
        ("Secret", "init", "password"),
        ("Secret", "all", ""),
        ("ConfigMap", "settings", "level"),
    }


def maker(kind: str, **spec: Any) -> dict[str, Any]:
    return {"kind": kind, "metadata": {"name": "it"}, "spec": spec}


@pytest.mark.parametrize("kind", ["Deployment", "StatefulSet", "DaemonSet", "Job", "ReplicaSet"])
def test_the_pods_of_every_workload_are_looked_into(kind: str) -> None:
    [(_, spec)] = pod_specs([maker(kind, template={"spec": {"containers": [1]}})])
    assert spec == {"containers": [1]}


def test_a_cron_jobs_pods_are_looked_into_and_what_makes_none_is_passed_over() -> None:
    job = maker("CronJob", jobTemplate={"spec": {"template": {"spec": {"containers": []}}}})
    assert len(list(pod_specs([job, maker("ConfigMap"), maker("Deployment")]))) == 1


@pytest.mark.parametrize(
    ("image", "unpinned"),
    [
        ("nginx", True),
        ("nginx:latest", True),
        ("registry.example.com:5000/team/app", True),
        ("nginx:1.29", False),
        ("registry.example.com:5000/team/app:1.0.0", False),
        ("nginx@sha256:" + "0" * 64, False),
        ("nginx:latest@sha256:" + "0" * 64, False),
    ],
)
def test_an_image_that_may_be_another_tomorrow_is_named(image: str, *, unpinned: bool) -> None:
    found = list(unpinned_images([maker("Pod", containers=[{"image": image}])]))
    assert found == ([("Pod it", image)] if unpinned else [])


def test_a_secret_that_another_object_is_to_make_is_known_by_its_name() -> None:
    sealed = {"kind": "SealedSecret", "metadata": {"name": "one"}}
    external = {"kind": "ExternalSecret", "metadata": {"name": "two"}, "spec": {"target": {"name": "three"}}}
    assert _makers([sealed, external, {"kind": "Secret", "metadata": {"name": "four"}}]) == {
        "one": "SealedSecret one",
        "three": "ExternalSecret two",
    }


def node(kind: str, status: str) -> dict[str, Any]:
    return {"kind": kind, "name": "it", "health": {"status": status}}


def test_what_waits_for_an_address_is_explained_and_what_is_degraded_is_not() -> None:
    assert shortcoming(node("Service", "Progressing"))
    assert unexplained([node("Ingress", "Progressing"), node("Ingress", "Degraded"), node("Pod", "Progressing")]) == [
        node("Ingress", "Degraded"),
        node("Pod", "Progressing"),
    ]
