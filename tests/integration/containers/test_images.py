from __future__ import annotations

import functools
import os
import subprocess
from pathlib import Path

import pytest
import yaml

from sandbox.containers.contents import storage_class
from sandbox.containers.debian import package_source, run_apart
from sandbox.containers.described import ContainerOptions, Owner
from sandbox.containers.docker import Docker
from sandbox.containers.images import Images, ensure_images
from sandbox.containers.mirror import PORT, make_mirror, repository
from sandbox.containers.oci import ImageConfig, LayerWriter, write_layout
from sandbox.containers.preload import preload
from sandbox.core.commands import CommandError, run
from sandbox.core.conditions import Deadline, Observation, met, pending, wait_for
from sandbox.core.errors import DeadlineError
from sandbox.core.ports import lease_ports
from sandbox.toolchain import Tool, ensure_tools
from sandbox.toolchain.versions import architecture

# The first run on a machine assembles the images, and before that builds what goes in.
pytestmark = pytest.mark.timeout(3000)


@pytest.fixture(scope="session")
def images(docker: Docker) -> Images:
    return ensure_images(docker)


@pytest.fixture(scope="session")
def tools() -> dict[str, Tool]:
    return ensure_tools(["kind", "registry", "crane", "containerd", "ctr"])


def test_kinds_storage_class_is_found_in_this_version_of_kind(tools: dict[str, Tool]) -> None:
    found = storage_class(tools["kind"].file("const_storage.go").read_text())
    kinds = [document["kind"] for document in yaml.safe_load_all(found.manifest) if document]
    assert "StorageClass" in kinds
    assert "Deployment" in kinds
    assert found.provisioner in found.manifest


def test_images_that_are_there_are_given_at_once(docker: Docker, images: Images) -> None:
    assert ensure_images(docker) == images
    assert any(name.startswith("quay.io/argoproj/argocd:") for name in images.contents)


def test_the_registry_serves_every_image_of_the_node_from_its_first_moment(
    docker: Docker, owner: Owner, images: Images, tools: dict[str, Tool], tmp_path: Path
) -> None:
    port = lease_ports(tmp_path, "test", ["registry"])["registry"]
    docker.run(ContainerOptions(f"{owner.name}-registry", images.registry, ports={PORT: port}), owner)

    def digest(reference: str) -> Observation:
        argv = [str(tools["crane"].binary()), "digest", f"127.0.0.1:{port}/{repository(reference)}"]
        try:
            return met(run(argv, timeout=20, env=os.environ | {"DOCKER_CONFIG": str(tmp_path)}).strip())
        except CommandError as error:
            return pending(error.why)

    for reference, expected in images.contents.items():
        wanted = f"the registry has {reference}"
        assert wait_for(functools.partial(digest, reference), Deadline.after(20), wanted=wanted).seen == expected


def test_an_image_is_unpacked_where_the_node_finds_it_and_outside_of_its_volume(
    tools: dict[str, Tool], tmp_path: Path
) -> None:
    if os.geteuid() != 0:
        pytest.skip("unpacking takes root, as assembling does; CI has it")
    blobs = tmp_path / "blobs"
    blobs.mkdir()
    with LayerWriter(blobs) as writer:
        writer.text("hello", "world")
        layer = writer.finish()
    layout = write_layout(tmp_path / "image", blobs, "example.com/hello:1", [layer], ImageConfig(), architecture())
    node = tmp_path / "node"
    node.mkdir()
    preload(node, [layout], tools)
    (unpacked,) = (node / "kind" / "images").iterdir()
    assert (unpacked / "hello").read_text() == "world"
    (snapshot,) = (node / "var" / "lib" / "containerd").glob("*overlayfs/snapshots/*")
    assert (snapshot / "fs").readlink() == Path("/kind/images") / unpacked.name
    kept = [path.name for path in (node / "var/lib/containerd").glob("*content/blobs/sha256/*")]
    assert layer.digest.removeprefix("sha256:") not in kept
    assert layout.digest.removeprefix("sha256:") in kept


def test_a_mirror_is_filled_and_can_be_read(tools: dict[str, Tool], tmp_path: Path) -> None:
    blobs = tmp_path / "blobs"
    blobs.mkdir()
    with LayerWriter(blobs) as writer:
        writer.text("hello", "world")
        layer = writer.finish()
    layout = write_layout(tmp_path / "image", blobs, "example.com/a/hello:1", [layer], ImageConfig(), architecture())
    root = tmp_path / "registry"
    make_mirror(root, [layout], tools)
    link = root / "var/lib/registry/docker/registry/v2/repositories/a/hello/_manifests/tags/1/current/link"
    assert link.read_text() == layout.digest


def test_apt_names_where_this_machine_gets_its_packages() -> None:
    source = package_source()
    assert source.mirror.startswith("http")
    assert "main" in source.components


def test_a_program_that_fails_apart_tells_its_last_lines() -> None:
    if os.geteuid() != 0:
        pytest.skip("namespaces of one's own take root, as assembling does; CI has it")
    with pytest.raises(CommandError, match="no such thing"):
        run_apart(["sh", "-c", "echo no such thing; exit 3"], lambda _: None, seconds=20)


def test_a_program_that_takes_too_long_is_ended_with_all_that_it_started() -> None:
    if os.geteuid() != 0:
        pytest.skip("namespaces of one's own take root, as assembling does; CI has it")
    mark = f"{os.getpid()}.25"
    with pytest.raises(DeadlineError):
        run_apart(["sh", "-c", f"sleep {mark} & sleep {mark}"], lambda _: None, seconds=1)

    def gone() -> Observation:
        left = subprocess.run(["pgrep", "-f", f"sleep {mark}"], capture_output=True, text=True, check=False).stdout
        return pending(left) if left else met()

    wait_for(gone, Deadline.after(10), wanted="nothing is left of it")
