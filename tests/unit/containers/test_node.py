from __future__ import annotations

import json
import subprocess
from pathlib import Path

import pytest

import sandbox.containers.node
from sandbox.containers.node import POD_SUBNET, SERVICE_SUBNET

FILES = Path(sandbox.containers.node.__file__).parent / "node_files"


def test_what_a_node_refuses_until_it_is_served_are_the_addresses_of_services() -> None:
    unit = (FILES / "etc/systemd/system/refuse-unserved-services.service").read_text()
    assert f" to {SERVICE_SUBNET} unreachable\n" in unit


def test_pods_keep_their_addresses_among_themselves_alone() -> None:
    unit = (FILES / "etc/systemd/system/masquerade-pods.service").read_text()
    assert f" --source {POD_SUBNET} ! --destination {POD_SUBNET} --jump MASQUERADE\n" in unit


@pytest.mark.parametrize("end", ["", "\n"], ids=["as runc writes it", "as a line"])
def test_no_container_but_the_api_servers_waits_for_etcd(end: str, tmp_path: Path) -> None:
    state = {"bundle": "/run/it", "annotations": {"io.kubernetes.cri.container-name": "kube-apiserver-proxy"}}
    said = json.dumps(state, separators=(",", ":")) + end
    # Without a PATH there is no ss to ask whether etcd listens.
    hook = subprocess.run(
        ["/bin/sh", FILES / "usr/local/bin/await-etcd"],
        input=said,
        env={"PATH": str(tmp_path)},
        capture_output=True,
        text=True,
        timeout=30,
        check=True,
    )
    assert not hook.stderr


def test_the_programs_of_a_node_are_ones_that_a_shell_can_read() -> None:
    programs = sorted((FILES / "usr/local/bin").iterdir())
    assert programs
    for program in programs:
        subprocess.run(["/bin/sh", "-n", program], check=True, timeout=30)
