from __future__ import annotations

import io
import socket
import subprocess
import tarfile
import urllib.request
from functools import partial
from pathlib import Path

import pytest

from sandbox.containers.described import ContainerOptions, Owner
from sandbox.containers.docker import Docker, connect
from sandbox.containers.images import import_tree
from sandbox.containers.places import archived
from sandbox.core.conditions import Deadline, Observation, met, pending, wait_for
from sandbox.core.errors import UnavailableError
from sandbox.core.ports import lease_ports


@pytest.fixture
def port(tmp_path: Path) -> int:
    return lease_ports(tmp_path, "test", ["registry"])["registry"]


def answers(port: int) -> None:
    def look() -> Observation:
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{port}/v2/", timeout=2) as answer:
                return met(str(answer.status))
        except OSError as error:
            return pending(str(error))

    wait_for(look, Deadline.after(20), wanted="the container answers")


def test_a_container_serves_on_loopback_and_carries_its_owner(
    docker: Docker, owner: Owner, image: str, port: int
) -> None:
    made = docker.run(ContainerOptions(f"{owner.name}-a", image, ports={5000: port}), owner)
    answers(port)
    assert made.state == "running"
    assert made.labels == {"dev.gitops-sandbox.name": owner.name, "dev.gitops-sandbox.run-id": owner.run_id}
    assert [each.id for each in docker.containers(Owner(owner.name))] == [made.id]
    with socket.socket() as probe:
        # Any address of this machine but the one of loopback.
        assert probe.connect_ex((made.addresses["bridge"].rpartition(".")[0] + ".1", port)) != 0


def test_a_stopped_container_is_found_and_starts_again(docker: Docker, owner: Owner, image: str, port: int) -> None:
    name = docker.run(ContainerOptions(f"{owner.name}-a", image, ports={5000: port}), owner).name
    docker.stop(name)
    assert [each.state for each in docker.containers(owner)] == ["exited"]
    docker.start(name)
    answers(port)


def test_a_container_like_another_one_has_its_network_and_labels_and_none_of_its_ports(
    docker: Docker, owner: Owner, image: str, port: int
) -> None:
    docker.ensure_network(f"{owner.name}-network", owner)
    options = ContainerOptions(f"{owner.name}-a", image, ports={5000: port}, network=f"{owner.name}-network")
    model = docker.run(options, owner)
    made = docker.run_like(model.name, f"{owner.name}-b", {"role": "second"})
    assert made.state == "running"
    assert made.labels == {**model.labels, "role": "second"}
    assert set(made.addresses) == set(model.addresses)
    assert made.addresses != model.addresses
    answers(port)


def test_programs_run_in_a_container_and_their_failure_tells_what_they_said(
    docker: Docker, owner: Owner, image: str
) -> None:
    name = docker.run(ContainerOptions(f"{owner.name}-a", image), owner).name
    assert "distribution" in docker.execute(name, ["/registry", "--version"])
    with pytest.raises(UnavailableError, match=r"none\.yml"):
        docker.execute(name, ["/registry", "serve", "/none.yml"])


def test_files_are_put_where_their_folders_were_missing(docker: Docker, owner: Owner, image: str) -> None:
    config = b"version: 0.1\nstorage:\n  nonsense: {}\nhttp:\n  addr: :5000\n"
    name = docker.run(ContainerOptions(f"{owner.name}-a", image), owner).name
    docker.put(name, {"/etc/deep/down/config.yml": config})
    with pytest.raises(UnavailableError, match="nonsense"):
        docker.execute(name, ["/registry", "serve", "/etc/deep/down/config.yml"])


def test_a_file_of_a_container_is_taken_as_it_is_and_one_that_is_not_there_is_named(
    docker: Docker, owner: Owner, image: str
) -> None:
    name = docker.run(ContainerOptions(f"{owner.name}-a", image), owner).name
    content = bytes(range(256))
    docker.put(name, {"/etc/deep/down/content": content})
    assert docker.take(name, "/etc/deep/down/content") == content
    with pytest.raises(UnavailableError, match="/etc/none"):
        docker.take(name, "/etc/none")


def test_nothing_that_carries_no_label_of_the_owner_is_removed(docker: Docker, owner: Owner, image: str) -> None:
    other = Owner(f"{owner.name}-other", "run")
    docker.run(ContainerOptions(f"{owner.name}-a", image), owner)
    docker.run(ContainerOptions(f"{owner.name}-b", image), other)
    docker.ensure_network(f"{owner.name}-network", owner)
    docker.ensure_network(f"{owner.name}-network", owner)
    try:
        assert docker.remove_owned(owner) == [f"{owner.name}-a", f"{owner.name}-network"]
        assert [each.name for each in docker.containers(other)] == [f"{owner.name}-b"]
    finally:
        docker.remove_owned(other)


def test_a_container_that_could_not_start_leaves_nothing(docker: Docker, owner: Owner, image: str, port: int) -> None:
    docker.run(ContainerOptions(f"{owner.name}-a", image, ports={5000: port}), owner)
    with pytest.raises(UnavailableError, match=f"can't start container {owner.name}-b"):
        docker.run(ContainerOptions(f"{owner.name}-b", image, ports={5000: port}), owner)
    assert [each.name for each in docker.containers(owner)] == [f"{owner.name}-a"]


def test_an_image_that_is_not_there_is_not_pulled(docker: Docker, owner: Owner) -> None:
    with pytest.raises(UnavailableError, match="No such image"):
        docker.run(ContainerOptions(f"{owner.name}-a", "gitops-sandbox/none:1"), owner)


def test_removing_what_is_not_there_is_no_error(docker: Docker) -> None:
    docker.remove("gitops-sandbox-none")
    docker.images.remove("gitops-sandbox/none:1")
    assert docker.container("gitops-sandbox-none") is None
    assert docker.images.find("gitops-sandbox/none:1") is None
    assert docker.logs("gitops-sandbox-none") == ""


def test_a_network_whose_name_has_the_name_of_another_in_it_is_another(docker: Docker, owner: Owner) -> None:
    docker.ensure_network(f"{owner.name}-network-too", owner)
    assert docker.gateway(f"{owner.name}-network") == ""
    docker.ensure_network(f"{owner.name}-network", owner)
    assert docker.gateway(f"{owner.name}-network") != docker.gateway(f"{owner.name}-network-too")


def test_a_network_of_something_else_is_not_taken_for_ours(docker: Docker, owner: Owner) -> None:
    docker.ensure_network(f"{owner.name}-network", owner)
    with pytest.raises(UnavailableError, match="not of this sandbox"):
        docker.ensure_network(f"{owner.name}-network", Owner(owner.name, "another run"))


def test_containers_of_one_network_find_each_other_by_alias(docker: Docker, owner: Owner, image: str) -> None:
    network = f"{owner.name}-network"
    docker.ensure_network(network, owner)
    first = docker.run(ContainerOptions(f"{owner.name}-a", image, network=network, aliases=["registry"]), owner)
    second = docker.run(ContainerOptions(f"{owner.name}-b", image), owner)
    docker.join(network, second.name)
    docker.join(network, second.name)
    found = docker.container(second.name)
    assert found is not None
    assert set(found.addresses) == {"bridge", network}
    assert set(first.addresses) == {network}


def test_a_file_system_that_can_not_be_read_gets_no_tag(docker: Docker, tmp_path: Path) -> None:
    with pytest.raises(UnavailableError):
        import_tree(docker, partial(archived, tmp_path / "none"), "gitops-sandbox/test:broken", [])
    assert docker.images.tags("gitops-sandbox/test") == [
        tag for tag in docker.images.tags("gitops-sandbox/test") if "broken" not in tag
    ]


def test_a_file_system_becomes_an_image_with_its_labels(docker: Docker, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x" * 1000)
    tag = "gitops-sandbox/test:whole"
    import_tree(docker, partial(archived, tmp_path), tag, ["LABEL a=b", "STOPSIGNAL SIGRTMIN+3"])
    try:
        found = docker.images.find(tag)
        assert found is not None
        assert found.labels == {"a": "b"}
        assert found.size >= 1000
    finally:
        docker.images.remove(tag)


def test_a_broken_archive_is_refused(docker: Docker, tmp_path: Path) -> None:
    archive = tmp_path / "whole.tar"
    with tarfile.open(archive, mode="w") as tar:
        member = tarfile.TarInfo("x")
        member.size = 3000
        tar.addfile(member, io.BytesIO(b"x" * 3000))
    with subprocess.Popen(["head", "--bytes=2000", archive], stdout=subprocess.PIPE) as part:
        assert part.stdout is not None
        with pytest.raises(UnavailableError, match="can't import"):
            docker.images.import_layer(part.stdout, "gitops-sandbox/test:half")
    assert docker.images.find("gitops-sandbox/test:half") is None


def test_an_absent_daemon_is_named_with_what_to_do(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("DOCKER_HOST", f"unix://{tmp_path}/none.sock")
    with pytest.raises(UnavailableError) as told:
        connect()
    assert "No such file" in told.value.why
    assert "DOCKER_HOST" in told.value.hint


def test_a_stopped_daemon_that_left_its_socket_is_named_too(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    path = tmp_path / "docker.sock"
    with socket.socket(socket.AF_UNIX) as left:
        left.bind(str(path))
    monkeypatch.setenv("DOCKER_HOST", f"unix://{path}")
    with pytest.raises(UnavailableError, match="refused"):
        connect()
