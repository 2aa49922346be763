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
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from sandbox.containers import mirror, node
from sandbox.containers.contents import BASE_PACKAGES, EXTRA_PACKAGES, TOOLS
from sandbox.containers.debian import Note
from sandbox.containers.docker import Docker
from sandbox.containers.places import Assembled, usable_place
from sandbox.core.conditions import Deadline
from sandbox.core.errors import UnavailableError
from sandbox.core.files import make_private_dir
from sandbox.core.folders import cache_root
from sandbox.core.locks import Mode, locked
from sandbox.toolchain import Progress, ensure_tools, load_versions
from sandbox.toolchain.tool import SilentProgress
from sandbox.toolchain.versions import architecture

__all__ = ["CONTENTS_LABEL", "Images", "ensure_images", "image_tags", "import_tree", "kitchen"]

CONTENTS_LABEL = "dev.gitops-sandbox.contents"
"""On both images: a JSON object of the images in them, each name with its digest."""

# To be raised when the way in which images are made changes what is in them.
_RECIPE = 10

_NAME = "images"
_SECONDS = 180.0
_LOCK_SECONDS = 3600.0


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
    # A registry that does not answer is given up after half a minute.
    with _telling(told, "debian", "its registry or debootstrap", None):
        place = usable_place(docker)
    tools = ensure_tools(TOOLS, progress=progress)
    with kitchen(told) as folder:
        found = _present(docker)
        if found is not None:
            return found
        with _telling(told, _NAME, "assembly", _SECONDS) as note, place.assembled(tools, folder, note) as made:
            _take(docker, made, note)
    found = _present(docker)
    if found is None:
        raise UnavailableError("the images that were just made are gone", hint="does something prune Docker's images?")
    return found


@contextlib.contextmanager
def _telling(told: Progress, name: str, provider: str, seconds: float | None) -> Iterator[Note]:
    """Tell of something that takes long, from its beginning to its end; gives what its steps are told by."""
    begun = time.monotonic()

    def note(text: str) -> None:
        told.update(name, min(0.99, (time.monotonic() - begun) / seconds) if seconds else None, text)

    told.begin(name, provider, seconds)
    try:
        yield note
    finally:
        told.end(name, time.monotonic() - begun)


def _take(docker: Docker, made: Assembled, note: Note) -> None:
    """Take both into Docker, the node last: its tag says that all is there."""
    node_tag, registry_tag = image_tags()
    label = f"LABEL {CONTENTS_LABEL}={json.dumps(json.dumps(made.held))}"
    for tag, opened, changes in (
        (registry_tag, made.registry, mirror.CHANGES),
        (node_tag, made.node, node.CHANGES),
    ):
        note(f"into Docker: {tag}")
        import_tree(docker, opened, tag, [*changes, label])


def _present(docker: Docker) -> Images | None:
    tags = image_tags()
    images = [docker.images.find(tag) for tag in tags]
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
        folder = Path(tempfile.mkdtemp(dir=top, prefix="making-"))
        try:
            yield folder
        finally:
            shutil.rmtree(folder, ignore_errors=True)


def import_tree(
    docker: Docker, opened: Callable[[], AbstractContextManager[IO[bytes]]], tag: str, changes: Sequence[str]
) -> None:
    """Make an image of a file system; its tag is given when it is known that all of it has come through.

    Args:
        docker: The daemon.
        opened: Opens the file system as a tar archive.
        tag: The image's repository and tag.
        changes: What a container of it runs, as lines of a Dockerfile.

    Raises:
        UnavailableError: It can't be read, or Docker refuses it. There is no such tag then.
    """
    draft = f"{tag}-{os.getpid()}"
    try:
        with opened() as archive:
            docker.images.import_layer(archive, draft)
        # Built and not set by the import, which knows no stop signal.
        docker.images.build({"Dockerfile": "\n".join([f"FROM {draft}", *changes]).encode()}, tag)
    finally:
        docker.images.remove(draft)
