from __future__ import annotations

import gzip
import hashlib
import io
import json
import tarfile
from pathlib import Path
from typing import Any

import pytest

from sandbox.containers.oci import ImageConfig, Layer, LayerWriter, write_layout


@pytest.fixture
def blobs(tmp_path: Path) -> Path:
    folder = tmp_path / "shared"
    folder.mkdir()
    return folder


def one_layer(blobs: Path, program: Path) -> Layer:
    with LayerWriter(blobs) as writer:
        writer.file("usr/local/bin/program", program)
        writer.link("usr/local/bin/other", "program")
        writer.folder("home/argocd", owner=999, mode=0o775)
        writer.text("etc/passwd", "root:x:0:0::/root:/bin/sh\n")
        return writer.finish()


def members(blobs: Path, layer: Layer) -> dict[str, tarfile.TarInfo]:
    data = gzip.decompress((blobs / layer.digest.removeprefix("sha256:")).read_bytes())
    assert hashlib.sha256(data).hexdigest() == layer.diff_id.removeprefix("sha256:")
    with tarfile.open(fileobj=io.BytesIO(data)) as tar:
        return {member.name: member for member in tar}


@pytest.fixture
def program(tmp_path: Path) -> Path:
    path = tmp_path / "program"
    path.write_bytes(b"\x7fELF" * 1000)
    return path


def test_a_layer_has_the_modes_and_owners_that_were_asked_for(blobs: Path, program: Path) -> None:
    found = members(blobs, one_layer(blobs, program))
    assert found["usr/local/bin/program"].mode == 0o755
    assert found["usr/local/bin/program"].size == 4000
    assert found["usr/local/bin/other"].linkname == "program"
    assert (found["home/argocd"].uid, found["home/argocd"].mode) == (999, 0o775)
    assert all(member.mtime == 0 for member in found.values())


def test_the_same_input_gives_the_same_digest_whenever_it_was_written(blobs: Path, program: Path) -> None:
    first = one_layer(blobs, program)
    program.touch()
    assert one_layer(blobs, program) == first


def test_a_tree_keeps_links_and_modes_and_forgets_times_and_names(blobs: Path, tmp_path: Path) -> None:
    tree = tmp_path / "tree"
    (tree / "bin").mkdir(parents=True)
    (tree / "bin" / "sh").write_text("x")
    (tree / "bin" / "sh").chmod(0o4755)
    (tree / "lib").symlink_to("usr/lib")
    with LayerWriter(blobs) as writer:
        writer.tree(tree)
        found = members(blobs, writer.finish())
    assert found["bin/sh"].mode == 0o4755
    assert found["lib"].linkname == "usr/lib"
    assert {member.uname for member in found.values()} == {""}


def test_a_layer_that_is_given_up_leaves_nothing(blobs: Path, program: Path) -> None:
    with LayerWriter(blobs) as writer:
        writer.file("a", program)
        with pytest.raises(FileNotFoundError):
            writer.file("b", program.with_name("none"))
    assert list(blobs.iterdir()) == []


def test_a_layout_holds_all_that_its_manifest_names(blobs: Path, program: Path, tmp_path: Path) -> None:
    layer = one_layer(blobs, program)
    config = ImageConfig(("/pause",), {"PATH": "/bin"}, user="999")
    layout = write_layout(tmp_path / "image", blobs, "example/pause:1", [layer, layer], config, "amd64")
    (entry,) = json.loads((layout.folder / "index.json").read_text())["manifests"]
    assert entry["annotations"]["io.containerd.image.name"] == "example/pause:1"
    assert entry["digest"] == layout.digest

    def blob(descriptor: dict[str, Any]) -> bytes:
        data: bytes = (layout.folder / "blobs" / descriptor["digest"].replace(":", "/")).read_bytes()
        assert f"sha256:{hashlib.sha256(data).hexdigest()}" == descriptor["digest"]
        assert len(data) == descriptor["size"]
        return data

    manifest = json.loads(blob(entry))
    described = json.loads(blob(manifest["config"]))
    assert [len(blob(each)) for each in manifest["layers"]] == [layer.size, layer.size]
    assert described["rootfs"]["diff_ids"] == [layer.diff_id, layer.diff_id]
    assert described["config"] == {"Entrypoint": ["/pause"], "Env": ["PATH=/bin"], "User": "999"}
