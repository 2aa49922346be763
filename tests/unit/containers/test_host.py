from __future__ import annotations

from pathlib import Path

import pytest

from sandbox.containers.described import DaemonInfo
from sandbox.containers.host import host_needs, lacks_sys_resource

ALL = "CapBnd:\t000001ffffffffff"
WITHOUT_SYS_RESOURCE = "CapBnd:\t000001fffeffffff"


def daemon(*, cgroup_version: int = 2, rootless: bool = False) -> DaemonInfo:
    return DaemonInfo(
        version="1", cgroup_version=cgroup_version, rootless=rootless, root="/var/lib/docker", limits=True
    )


@pytest.fixture
def status(tmp_path: Path) -> Path:
    path = tmp_path / "status"
    path.write_text(f"Name:\tx\n{ALL}\n")
    return path


def test_an_ordinary_host_needs_nothing(status: Path) -> None:
    needs = host_needs(daemon(), status=status)
    assert needs.kubelet == {}
    assert needs.reasons == ()


def test_the_kubelet_is_told_to_take_cgroup_v1(status: Path) -> None:
    assert host_needs(daemon(cgroup_version=1), status=status).kubelet == {"failCgroupV1": False}


def test_a_rootless_daemon_needs_the_kubelet_to_bear_a_user_namespace(status: Path) -> None:
    assert host_needs(daemon(rootless=True), status=status).kubelet == {
        "featureGates": {"KubeletInUserNamespace": True}
    }


def test_a_host_without_cap_sys_resource_needs_the_same_and_a_reason_is_given(status: Path) -> None:
    status.write_text(f"{WITHOUT_SYS_RESOURCE}\n")
    needs = host_needs(daemon(), status=status)
    assert needs.kubelet == {"featureGates": {"KubeletInUserNamespace": True}}
    assert "CAP_SYS_RESOURCE" in needs.reasons[0]


def test_where_there_is_no_proc_nothing_is_taken_for_missing(tmp_path: Path) -> None:
    assert not lacks_sys_resource(tmp_path / "none")
