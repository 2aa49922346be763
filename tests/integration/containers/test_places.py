"""Images of a registry, pulled by digest, and the assembly in a container of one."""

from __future__ import annotations

import json
import subprocess
import sys
import tarfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from sandbox.containers.contents import TOOLS
from sandbox.containers.described import ContainerOptions, Owner
from sandbox.containers.docker import Docker
from sandbox.containers.images import Images, ensure_images
from sandbox.containers.mirror import PORT, repository
from sandbox.containers.places import InContainer
from sandbox.core.commands import CommandError, run
from sandbox.core.conditions import Deadline, Observation, met, pending, wait_for
from sandbox.core.errors import UnavailableError
from sandbox.core.ports import lease_ports
from sandbox.toolchain import ensure_tools
from sandbox.toolchain.versions import PublishedImage

# The first run on a machine assembles the images, and before that builds what goes in.
pytestmark = pytest.mark.timeout(3000)

HELPER = "docker.io/kindest/local-path-helper:"
"""The image that is the Debian and nothing else."""

HOLD = """
import sys
from sandbox.containers.described import ContainerOptions, Owner
from sandbox.containers.docker import connect

with connect() as docker:
    name, image, *owner = sys.argv[1:]
    with docker.held(ContainerOptions(name, image, command=["cat"], volumes=["/mnt"]), Owner(*owner)):
        print(flush=True)
        sys.stdin.read()
"""


@pytest.fixture(scope="module")
def images(docker: Docker) -> Images:
    return ensure_images(docker)


@pytest.fixture
def debian(docker: Docker, owner: Owner, images: Images, tmp_path: Path) -> Iterator[PublishedImage]:
    """Give a Debian that lies in a registry of this machine, under its digest."""
    port = lease_ports(tmp_path, "test", ["registry"])["registry"]
    docker.run(ContainerOptions(f"{owner.name}-registry", images.registry, ports={PORT: port}), owner)
    (reference,) = [name for name in images.contents if name.startswith(HELPER)]
    name, _, tag = repository(reference).rpartition(":")
    published = PublishedImage(f"127.0.0.1:{port}/{name}", tag, images.contents[reference])

    def serves() -> Observation:
        try:
            docker.images.check_offered(published.reference)
        except UnavailableError as error:
            return pending(error.why)
        return met()

    wait_for(serves, Deadline.after(30), wanted="the registry serves the Debian")
    yield published
    docker.images.remove(published.reference)


def nothing(_: str) -> None:
    """Follow nothing."""


def test_an_image_comes_by_its_digest_and_is_there_then(docker: Docker, debian: PublishedImage) -> None:
    assert docker.images.find(debian.reference) is None
    told: list[str] = []
    docker.images.pull(debian.repository, debian.digest, told.append)
    assert docker.images.find(debian.reference) is not None
    assert any("Pull complete" in line or "Already exists" in line for line in told)


def test_a_digest_that_the_registry_has_not_is_refused_at_the_look_and_at_the_pull(
    docker: Docker, debian: PublishedImage
) -> None:
    other = PublishedImage(debian.repository, debian.tag, f"sha256:{'0' * 64}")
    with pytest.raises(UnavailableError, match="can't have"):
        InContainer(docker, other).check()
    with pytest.raises(UnavailableError, match="can't pull"):
        docker.images.pull(other.repository, other.digest, nothing)


def test_a_registry_that_nobody_serves_is_named_with_the_image(docker: Docker, tmp_path: Path) -> None:
    port = lease_ports(tmp_path, "test", ["nobody"])["nobody"]
    with pytest.raises(UnavailableError, match=rf"127\.0\.0\.1:{port}/debian@sha256"):
        InContainer(docker, PublishedImage(f"127.0.0.1:{port}/debian", "x", f"sha256:{'0' * 64}")).check()


@pytest.mark.nightly
def test_an_assembly_in_a_container_makes_what_one_on_this_machine_makes(
    docker: Docker, owner: Owner, debian: PublishedImage, images: Images
) -> None:
    place = InContainer(docker, debian)
    place.check()
    told: list[str] = []
    # Of the folder only the name is used, which no other run of this test has.
    with place.assembled(ensure_tools(TOOLS), Path(owner.name), told.append) as made:
        name = f"gitops-sandbox-assembly-{owner.name}"
        assert docker.container(name) is not None
        with made.node() as archive, tarfile.open(fileobj=archive, mode="r|") as tar:
            node = {member.name: (member.uid, member.mode & 0o7777) for member in tar}
    assert docker.container(name) is None
    assert made.held.keys() == images.contents.keys()
    # Of programs alone, and so the same wherever they were put in.
    same = [reference for reference in images.contents if "/kube-apiserver:" in reference or "/etcd:" in reference]
    assert len(same) == 2
    assert {made.held[reference] for reference in same} == {images.contents[reference] for reference in same}
    assert node["./usr/bin/kubelet"] == (0, 0o755)
    assert node["./usr/bin/mount"] == (0, 0o4755)
    assert not any(path.startswith(("./mnt/", "./dev/", "./usr/bin/python3")) for path in node)
    assert "images into the node" in told


def test_a_held_container_is_gone_with_its_volumes_when_its_holder_is_killed(
    docker: Docker, owner: Owner, debian: PublishedImage
) -> None:
    docker.images.pull(debian.repository, debian.digest, nothing)
    name = f"{owner.name}-held"
    argv = [sys.executable, "-c", HOLD, name, debian.reference, owner.name, owner.run_id]
    with subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as holder:
        assert holder.stdout is not None
        holder.stdout.readline()
        (described,) = json.loads(run(["docker", "container", "inspect", name], timeout=20))
        holder.kill()
    (volume,) = [mount["Name"] for mount in described["Mounts"]]

    def gone() -> Observation:
        if docker.container(name) is not None:
            return pending("the container is there")
        try:
            run(["docker", "volume", "inspect", volume], timeout=20)
        except CommandError:
            return met()
        return pending("its volume is there")

    wait_for(gone, Deadline.after(30), wanted="nothing is left of the container")


def test_a_program_in_a_container_is_followed_and_its_failure_told(
    docker: Docker, owner: Owner, debian: PublishedImage
) -> None:
    docker.images.pull(debian.repository, debian.digest, nothing)
    told: list[str] = []
    with docker.held(ContainerOptions(f"{owner.name}-held", debian.reference, command=["cat"]), owner) as held:
        said = docker.execute(held.id, ["sh", "-c", "echo one; echo two"], follow=told.append)
        with pytest.raises(UnavailableError, match="exit code 3") as failed:
            docker.execute(held.id, ["sh", "-c", "echo no such thing >&2; exit 3"])
    assert said == "one\ntwo\n"
    assert told[-1] == "two"
    assert failed.value.why == "no such thing"
