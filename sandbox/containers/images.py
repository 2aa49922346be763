"""The images of the kind engine: taken from the local Docker when they are there, else assembled here, once.

Their tags hold a hash of all that goes in, so a tag that is there is right. They are a cache, as tools are: kept
until the user removes them.

    gitops-sandbox/node:<hash>       a node for kind, with every image that the sandbox starts unpacked in it
    gitops-sandbox/registry:<hash>   an OCI registry that has the same images to serve
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import IO, cast

from sandbox.containers import mirror, node
from sandbox.containers.contents import (
    BASE_PACKAGES,
    EXTRA_PACKAGES,
    TOOLS,
    Content,
    Extra,
    contents,
    kubeadm_images,
    storage_class,
)
from sandbox.containers.debian import (
    bootstrap,
    check_can_bootstrap,
    install,
    install_beside,
    package_source,
    strip,
)
from sandbox.containers.docker import Docker
from sandbox.containers.oci import Layer, LayerWriter, Layout, write_layout
from sandbox.containers.preload import preload
from sandbox.core.commands import run
from sandbox.core.conditions import Deadline
from sandbox.core.errors import UnavailableError
from sandbox.core.files import make_private_dir
from sandbox.core.folders import cache_root
from sandbox.core.locks import Mode, locked
from sandbox.toolchain import Progress, Tool, ensure_tools, load_versions
from sandbox.toolchain.tool import SilentProgress
from sandbox.toolchain.versions import architecture

__all__ = ["CONTENTS_LABEL", "Images", "ensure_images", "image_tags", "import_tree", "kitchen"]

CONTENTS_LABEL = "dev.gitops-sandbox.contents"
"""On both images: a JSON object of the images in them, each name with its digest."""

# To be raised when the way in which images are made changes what is in them.
_RECIPE = 5

_SECONDS = 180.0
_COPY_SECONDS = 600.0
_LOCK_SECONDS = 3600.0
_NEEDED_BYTES = 6 << 30


@dataclass(frozen=True, slots=True)
class Images:
    """Images that are in the local Docker.

    Attributes:
        node: The tag of the node image.
        registry: The tag of the registry's image.
        contents: The images in both, name to digest: they need no pull in the node, and the registry serves them
            under their names without the part up to the first slash.
    """

    node: str
    registry: str
    contents: Mapping[str, str]


def image_tags() -> tuple[str, str]:
    """Give the tags of the node's and the registry's image that this version set needs, there or not."""
    versions = load_versions()
    goes_in = [
        _RECIPE,
        architecture(),
        BASE_PACKAGES,
        EXTRA_PACKAGES,
        node.NODE_PACKAGES,
        [(name, versions[name].version) for name in TOOLS],
    ]
    key = hashlib.sha256(json.dumps(goes_in).encode()).hexdigest()[:16]
    return f"gitops-sandbox/node:{key}", f"gitops-sandbox/registry:{key}"


def ensure_images(docker: Docker, *, progress: Progress | None = None) -> Images:
    """Give the images; assemble those that the local Docker does not have.

    Args:
        docker: The daemon.
        progress: Told about what has to be made, tools included.

    Raises:
        UnavailableError: They are not there and can't be assembled here; says what that takes.
        DeadlineError: A step, or another process that assembles them, took too long.
    """
    told = progress or SilentProgress()
    found = _present(docker)
    if found is not None:
        return found
    check_can_bootstrap()
    tools = ensure_tools(TOOLS, progress=progress)
    with kitchen(told) as folder:
        found = _present(docker)
        if found is not None:
            return found
        begun = time.monotonic()
        told.begin(_NAME, "assembly", _SECONDS)
        try:
            _Assembly(docker, tools, told, folder).make(*image_tags())
        finally:
            told.end(_NAME, time.monotonic() - begun)
    found = _present(docker)
    if found is None:
        raise UnavailableError("the images that were just made are gone", hint="does something prune Docker's images?")
    return found


_NAME = "images"


def _present(docker: Docker) -> Images | None:
    tags = image_tags()
    images = [docker.image(tag) for tag in tags]
    if any(image is None for image in images):
        return None
    labels = images[0].labels if images[0] else {}
    return Images(*tags, json.loads(labels.get(CONTENTS_LABEL, "{}")))


@contextlib.contextmanager
def kitchen(progress: Progress) -> Iterator[Path]:
    """Give a folder to assemble in, one process at a time; what a killed one left there is removed first."""
    top = make_private_dir(cache_root() / "images")
    held = "another process is making them"
    with locked(
        top / ".lock",
        Mode.ALONE,
        Deadline.after(_LOCK_SECONDS),
        wanted="the images",
        held=held,
        on_wait=lambda: progress.update(_NAME, None, f"{held}; waiting for that"),
    ):
        for left in top.glob("making-*"):
            shutil.rmtree(left)
        space = shutil.disk_usage(top).free
        if space < _NEEDED_BYTES:
            raise UnavailableError(
                "there is no space to assemble the images in",
                why=f"{space >> 20:,} MiB are free in {top}, and {_NEEDED_BYTES >> 20:,} MiB are needed for a while",
                hint="free some space, or give another folder by XDG_CACHE_HOME",
            )
        folder = Path(tempfile.mkdtemp(dir=top, prefix="making-"))
        try:
            yield folder
        finally:
            shutil.rmtree(folder, ignore_errors=True)


class _Assembly:
    """One making of both images."""

    def __init__(self, docker: Docker, tools: Mapping[str, Tool], progress: Progress, folder: Path) -> None:
        self._docker = docker
        self._tools = tools
        self._progress = progress
        self._folder = folder
        self._begun = time.monotonic()

    def _note(self, text: str) -> None:
        self._progress.update(_NAME, min(0.99, (time.monotonic() - self._begun) / _SECONDS), text)

    def make(self, node_tag: str, registry_tag: str) -> None:
        """Make both, the node last: its tag says that all is there."""
        base, root, filled, beside = (self._folder / name for name in ("debian", "node", "registry", "extra"))
        bootstrap(package_source(), BASE_PACKAGES, base, self._note)
        run(["cp", "--archive", base, root], timeout=_COPY_SECONDS)
        install(root, node.NODE_PACKAGES, self._note)
        extra = Extra(beside, install_beside(base, EXTRA_PACKAGES, beside, self._note))
        strip(base)
        strip(root)
        storage = storage_class(self._tools["kind"].file("const_storage.go").read_text())
        wanted = kubeadm_images(self._tools["kubeadm"])
        layouts = self._layouts(contents(self._tools, wanted, storage, base, extra), base)
        self._note("the node's file system")
        node.make_node(root, self._tools, storage, wanted["pause"])
        self._note("images into the node")
        preload(root, layouts, self._tools)
        self._note("images into the registry")
        mirror.make_mirror(filled, layouts, self._tools)
        held = json.dumps({layout.reference: layout.digest for layout in layouts})
        label = f"LABEL {CONTENTS_LABEL}={json.dumps(held)}"
        self._note(f"into Docker: {registry_tag}")
        import_tree(self._docker, filled, registry_tag, [*mirror.CHANGES, label])
        self._note(f"into Docker: {node_tag}")
        import_tree(self._docker, root, node_tag, [*node.CHANGES, label])

    def _layouts(self, described: Sequence[Content], base: Path) -> list[Layout]:
        blobs = self._folder / "blobs"
        blobs.mkdir()

        def layer(content: Content) -> Layer:
            self._note(f"image {content.reference}")
            with LayerWriter(blobs) as writer:
                content.fill(writer)
                return writer.finish()

        def debian() -> Layer:
            with LayerWriter(blobs) as writer:
                writer.tree(base)
                return writer.finish()

        # Compression leaves Python's lock alone, and there is much to compress.
        with ThreadPoolExecutor(os.cpu_count()) as pool:
            lowest = pool.submit(debian)
            own = list(pool.map(layer, described))
        arch = architecture()
        layouts = []
        for number, (content, top) in enumerate(zip(described, own, strict=True)):
            layers = [lowest.result(), top] if content.on_debian else [top]
            folder = self._folder / f"image-{number}"
            layouts.append(write_layout(folder, blobs, content.reference, layers, content.config, arch))
        return layouts


def import_tree(docker: Docker, root: Path, tag: str, changes: Sequence[str]) -> None:
    """Make an image of a file system; its tag is given when it is known that all of it has come through.

    Args:
        docker: The daemon.
        root: The file system.
        tag: The image's repository and tag.
        changes: What a container of it runs, as lines of a Dockerfile.

    Raises:
        UnavailableError: It can't be read, or Docker refuses it. There is no such tag then.
    """
    draft = f"{tag}-{os.getpid()}"
    try:
        with subprocess.Popen(
            ["tar", "--create", "--numeric-owner", "--directory", str(root), "."], stdout=subprocess.PIPE
        ) as tar:
            try:
                docker.import_image(cast("IO[bytes]", tar.stdout), draft)
            except BaseException:
                tar.kill()
                raise
        if tar.returncode != 0:
            raise UnavailableError(f"can't read all of {root}", why=f"tar ended with {tar.returncode}")
        # Built and not set by the import, which knows no stop signal.
        docker.build_image({"Dockerfile": "\n".join([f"FROM {draft}", *changes]).encode()}, tag)
    finally:
        docker.remove_image(draft)
