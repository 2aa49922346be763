"""Writing container images as OCI layouts, without a daemon: the same input gives the same digests.

A layer holds only what is added, never a whiteout, so that it can be unpacked where none can be made. Times are zero
and owners are numbers: nothing of this machine gets into an image.
"""

from __future__ import annotations

import gzip
import hashlib
import io
import json
import os
import tarfile
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Self

from sandbox.core.files import digest, writing_errors

__all__ = ["ImageConfig", "Layer", "LayerWriter", "Layout", "write_layout"]

_CONFIG = "application/vnd.oci.image.config.v1+json"
_LAYER = "application/vnd.oci.image.layer.v1.tar+gzip"
_MANIFEST = "application/vnd.oci.image.manifest.v1+json"
_INDEX = "application/vnd.oci.image.index.v1+json"
_PROGRAM = 0o755
# Most of the size at a third of the time: what is packed here is unpacked on the same machine.
_COMPRESSION = 1


@dataclass(frozen=True, slots=True)
class Layer:
    """A layer that lies in a folder of blobs.

    Attributes:
        digest: The SHA-256 of the compressed archive.
        diff_id: The SHA-256 of the archive itself.
        size: Bytes, compressed.
    """

    digest: str
    diff_id: str
    size: int


@dataclass(frozen=True, slots=True)
class ImageConfig:
    """What a container of an image runs, unless told otherwise.

    Attributes:
        entrypoint: The program and its first arguments.
        environment: Variables.
        user: "uid:gid"; empty for root.
        workdir: Where it starts.
    """

    entrypoint: Sequence[str] = ()
    environment: Mapping[str, str] = field(default_factory=dict)
    user: str = ""
    workdir: str = ""


@dataclass(frozen=True, slots=True)
class Layout:
    """An image in a folder of its own, which ``crane push`` and an OCI archive's reader understand.

    Attributes:
        reference: The name that the image is to be known by.
        digest: Its manifest's, "sha256:...".
        folder: Where it lies.
    """

    reference: str
    digest: str
    folder: Path


class LayerWriter:
    """Writes one layer; used as a context manager, it leaves no half-written file.

    Args:
        blobs: The folder of blobs that the layer goes into.
    """

    def __init__(self, blobs: Path) -> None:
        self._blobs = blobs
        self._draft = blobs / f".layer-{os.getpid()}-{id(self)}"
        self._sums = _Summing(self._draft)
        self._tar = tarfile.open(fileobj=self._sums, mode="w|", format=tarfile.PAX_FORMAT)  # noqa: SIM115 - closed below

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        try:
            self._tar.close()
        finally:
            self._sums.close()
            self._draft.unlink(missing_ok=True)

    def file(self, target: str, source: Path, *, mode: int = _PROGRAM) -> None:
        """Add a file of this machine, as root's."""
        with source.open("rb") as content:
            self._add(target, size=source.stat().st_size, mode=mode, content=content)

    def text(self, target: str, content: str, *, mode: int = 0o644) -> None:
        """Add a file of a text."""
        data = content.encode()
        self._add(target, size=len(data), mode=mode, content=io.BytesIO(data))

    def link(self, target: str, to: str) -> None:
        """Add a symbolic link."""
        self._add(target, kind=tarfile.SYMTYPE, mode=0o777, to=to)

    def folder(self, target: str, *, mode: int = 0o755, owner: int = 0) -> None:
        """Add a folder that belongs to a user and its group of the same number."""
        self._add(target, kind=tarfile.DIRTYPE, mode=mode, owner=owner)

    def tree(self, root: Path) -> None:
        """Add all that is in a folder, with owners and modes."""
        self.part(root, sorted(root.iterdir()))

    def part(self, root: Path, paths: Iterable[Path]) -> None:
        """Add some of what is in a folder, with owners and modes; of folders all that is in them."""

        def timeless(member: tarfile.TarInfo) -> tarfile.TarInfo:
            member.mtime, member.uname, member.gname = 0, "", ""
            return member

        for path in paths:
            self._tar.add(path, arcname=str(path.relative_to(root)), filter=timeless)

    def _add(
        self,
        target: str,
        *,
        mode: int,
        kind: bytes = tarfile.REGTYPE,
        size: int = 0,
        to: str = "",
        owner: int = 0,
        content: io.BufferedIOBase | None = None,
    ) -> None:
        member = tarfile.TarInfo(target.lstrip("/"))
        member.type, member.mode, member.size, member.linkname = kind, mode, size, to
        member.uid = member.gid = owner
        self._tar.addfile(member, content)

    def finish(self) -> Layer:
        """Close the layer and put it among the blobs."""
        self._tar.close()
        layer = self._sums.finish()
        with writing_errors(self._blobs):
            self._draft.replace(self._blobs / _hex(layer.digest))
        return layer


class _Summing(io.RawIOBase):
    """A file that compresses what is written into it, and sums both what came in and what went out."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self._plain = hashlib.sha256()
        self._path = path
        self._file = path.open("wb")
        self._packed = gzip.GzipFile("", "wb", _COMPRESSION, self._file, mtime=0)

    def writable(self) -> bool:
        return True

    def write(self, data: bytes) -> int:  # type: ignore[override]  # the archive writes bytes only
        self._plain.update(data)
        with writing_errors(self._path):
            return self._packed.write(data)

    def finish(self) -> Layer:
        self.close()
        return Layer(f"sha256:{digest(self._path)}", f"sha256:{self._plain.hexdigest()}", self._path.stat().st_size)

    def close(self) -> None:
        if not self.closed:
            self._packed.close()
            self._file.close()
        super().close()


def write_layout(
    folder: Path, blobs: Path, reference: str, layers: Sequence[Layer], config: ImageConfig, arch: str
) -> Layout:
    """Write an image as a layout of its own, whose layers are hard links to shared blobs.

    Args:
        folder: The folder to make.
        blobs: The folder that holds the layers; on the same file system.
        reference: The name by which the image will be asked for.
        layers: From the lowest to the highest.
        config: What it runs.
        arch: "amd64" or "arm64".

    Raises:
        UnavailableError: There is no space.
    """
    own = folder / "blobs" / "sha256"
    with writing_errors(folder):
        own.mkdir(parents=True)
        for layer in {layer.digest: layer for layer in layers}.values():
            os.link(blobs / _hex(layer.digest), own / _hex(layer.digest))
        described = {
            "architecture": arch,
            "os": "linux",
            "config": _container_config(config),
            "rootfs": {"type": "layers", "diff_ids": [layer.diff_id for layer in layers]},
        }
        manifest = {
            "schemaVersion": 2,
            "mediaType": _MANIFEST,
            "config": _blob(own, described, _CONFIG),
            "layers": [{"mediaType": _LAYER, "digest": layer.digest, "size": layer.size} for layer in layers],
        }
        top = _blob(own, manifest, _MANIFEST)
        # The first is how containerd, the second how everybody else finds the name.
        names = {"io.containerd.image.name": reference, "org.opencontainers.image.ref.name": reference}
        index = {"schemaVersion": 2, "mediaType": _INDEX, "manifests": [top | {"annotations": names}]}
        (folder / "index.json").write_text(json.dumps(index))
        (folder / "oci-layout").write_text('{"imageLayoutVersion": "1.0.0"}')
    return Layout(reference, str(top["digest"]), folder)


def _container_config(config: ImageConfig) -> dict[str, object]:
    said: dict[str, object] = {"Entrypoint": list(config.entrypoint), "User": config.user, "WorkingDir": config.workdir}
    said["Env"] = [f"{name}={value}" for name, value in config.environment.items()]
    return {name: value for name, value in said.items() if value}


def _blob(folder: Path, content: object, media_type: str) -> dict[str, object]:
    data = json.dumps(content, sort_keys=True).encode()
    name = hashlib.sha256(data).hexdigest()
    (folder / name).write_bytes(data)
    return {"mediaType": media_type, "digest": f"sha256:{name}", "size": len(data)}


def _hex(named: str) -> str:
    return named.removeprefix("sha256:")
