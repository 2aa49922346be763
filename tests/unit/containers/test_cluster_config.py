from __future__ import annotations

import pytest
import yaml

from sandbox.containers.cluster_config import PortMapping, cluster_config, plain_config
from sandbox.containers.host import HostNeeds

ORDINARY = HostNeeds({}, ())


def test_everything_of_the_node_listens_on_loopback() -> None:
    config = cluster_config(ORDINARY, api_port=20001, ports=[PortMapping(30080, 20002)])
    assert config["networking"]["apiServerAddress"] == "127.0.0.1"
    assert config["networking"]["apiServerPort"] == 20001
    mapped = {"containerPort": 30080, "hostPort": 20002, "listenAddress": "127.0.0.1", "protocol": "TCP"}
    assert config["nodes"][0]["extraPortMappings"] == [mapped]


def test_what_there_is_one_of_elects_no_leader() -> None:
    (patch,) = cluster_config(ORDINARY, api_port=1)["kubeadmConfigPatches"]
    settings = yaml.safe_load(patch)
    assert settings["kind"] == "ClusterConfiguration"
    for program in ("controllerManager", "scheduler"):
        assert {"name": "leader-elect", "value": "false"} in settings[program]["extraArgs"]


def test_what_the_host_needs_reaches_the_kubelet() -> None:
    _, patch = cluster_config(HostNeeds({"failCgroupV1": False}, ("why",)), api_port=1)["kubeadmConfigPatches"]
    assert yaml.safe_load(patch) == {
        "kind": "KubeletConfiguration",
        "apiVersion": "kubelet.config.k8s.io/v1beta1",
        "failCgroupV1": False,
    }


def test_a_plain_cluster_is_as_kind_makes_one_but_for_what_the_host_needs() -> None:
    assert plain_config(ORDINARY, api_port=1)["kubeadmConfigPatches"] == []
    (patch,) = plain_config(HostNeeds({"failCgroupV1": False}, ("why",)), api_port=1)["kubeadmConfigPatches"]
    assert yaml.safe_load(patch)["kind"] == "KubeletConfiguration"


def test_nothing_of_the_control_plane_makes_a_key_of_its_own_to_be_asked_with() -> None:
    (patch,) = cluster_config(ORDINARY, api_port=1)["kubeadmConfigPatches"]
    settings = yaml.safe_load(patch)
    for program in ("controllerManager", "scheduler"):
        given = {each["name"]: each["value"] for each in settings[program]["extraArgs"]}
        assert {"tls-cert-file", "tls-private-key-file"} <= set(given)
    seen = {volume["mountPath"] for volume in settings["scheduler"]["extraVolumes"] if volume["readOnly"]}
    assert seen == {given["tls-cert-file"], given["tls-private-key-file"]}


@pytest.mark.parametrize("workers", [0, 1, 4])
def test_there_is_one_control_plane_and_as_many_workers_as_asked_for(workers: int) -> None:
    nodes = cluster_config(ORDINARY, api_port=1, workers=workers)["nodes"]
    assert [node["role"] for node in nodes] == ["control-plane", *["worker"] * workers]


def test_ports_of_this_machine_lead_to_the_control_plane_alone() -> None:
    control_plane, worker = cluster_config(ORDINARY, api_port=1, ports=[PortMapping(1, 2)], workers=1)["nodes"]
    assert "extraPortMappings" in control_plane
    assert "extraPortMappings" not in worker


def test_a_control_plane_beside_workers_takes_pods_too() -> None:
    (patch,) = cluster_config(ORDINARY, api_port=1, workers=2)["nodes"][0]["kubeadmConfigPatches"]
    assert yaml.safe_load(patch)["nodeRegistration"] == {"taints": []}
