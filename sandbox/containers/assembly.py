"""The assembly of both images' file systems, out of the verified programs and a Debian; it takes root on a Debian.

That is this machine, or a container of one that a public registry gave: there this module is run as a program, by the
container's own Python. So it needs the standard library alone, with all that it imports.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict
from pathlib import Path

from sandbox.containers import mirror, node
from sandbox.containers.contents import (
    BASE_PACKAGES,
    EXTRA_PACKAGES,
    Content,
    Extra,
    contents,
    kubeadm_images,
    storage_class,
)
from sandbox.containers.debian import Note, install, install_beside, strip
from sandbox.containers.oci import Layer, LayerWriter, Layout, write_layout
from sandbox.containers.preload import preload
from sandbox.core.commands import run
from sandbox.core.errors import SandboxError
from sandbox.toolchain.tool import Tool
from sandbox.toolchain.versions import architecture

__all__ = ["DEBIAN", "HELD", "NODE", "REGISTRY", "TOOLS_FILE", "assemble", "main", "tools_file"]

DEBIAN, NODE, REGISTRY = "debian", "node", "registry"
"""The folders of an assembly: the Debian that it begins with, and the two file systems that it makes."""

TOOLS_FILE, HELD = "tools.json", "held.json"
"""What the program reads and writes there: the tools that go in, and the images in both, name to digest."""

_COPY_SECONDS = 600.0


def assemble(folder: Path, tools: Mapping[str, Tool], note: Note) -> Mapping[str, str]:
    """Make both file systems, in a folder that has a Debian with BASE_PACKAGES.

    Args:
        folder: Where; the Debian is stripped, and more is left there than the two.
        tools: All of ``contents.TOOLS``.
        note: Told what happens.

    Returns:
        The images that lie in both, name to digest.

    Raises:
        UnavailableError: A step failed; carries its last words.
        DeadlineError: A step took too long.
        UsageError: A tool is not what it was in the version that this was written for.
    """
    base, root, beside = folder / DEBIAN, folder / NODE, folder / "extra"
    run(["cp", "--archive", base, root], timeout=_COPY_SECONDS)
    install(root, node.NODE_PACKAGES, note)
    extra = Extra(beside, install_beside(base, EXTRA_PACKAGES, beside, note))
    strip(base)
    strip(root)
    storage = storage_class(tools["kind"].file("const_storage.go").read_text())
    wanted = kubeadm_images(tools["kubeadm"])
    layouts = _layouts(folder, contents(tools, wanted, storage, base, extra), note)
    note("the node's file system")
    node.make_node(root, tools, storage, wanted["pause"])
    note("images into the node")
    preload(root, layouts, tools)
    note("images into the registry")
    mirror.make_mirror(folder / REGISTRY, layouts, tools)
    return {layout.reference: layout.digest for layout in layouts}


def _layouts(folder: Path, described: Sequence[Content], note: Note) -> list[Layout]:
    blobs = folder / "blobs"
    blobs.mkdir()

    def layer(content: Content) -> Layer:
        note(f"image {content.reference}")
        with LayerWriter(blobs) as writer:
            content.fill(writer)
            return writer.finish()

    def debian() -> Layer:
        with LayerWriter(blobs) as writer:
            writer.tree(folder / DEBIAN)
            return writer.finish()

    # Compression leaves Python's lock alone, and there is much to compress.
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        lowest = pool.submit(debian)
        own = list(pool.map(layer, described))
    arch = architecture()
    layouts = []
    for number, (content, top) in enumerate(zip(described, own, strict=True)):
        layers = [lowest.result(), top] if content.on_debian else [top]
        layouts.append(write_layout(folder / f"image-{number}", blobs, content.reference, layers, content.config, arch))
    return layouts


def tools_file(tools: Mapping[str, Tool]) -> bytes:
    """Describe tools to the program, where it finds them."""
    return json.dumps({name: asdict(tool) for name, tool in tools.items()}, default=str).encode()


def main(folder: Path) -> None:
    """Assemble in a folder that has a bare Debian and TOOLS_FILE; notes go to stdout, and HELD says what was made.

    Raises:
        SandboxError: As ``assemble``.
    """

    def note(text: str) -> None:
        print(text, flush=True)  # noqa: T201 - whoever runs this program reads them there

    described = json.loads((folder / TOOLS_FILE).read_text())
    tools = {name: Tool(**tool | {"root": Path(tool["root"])}) for name, tool in described.items()}
    install(folder / DEBIAN, BASE_PACKAGES, note)
    (folder / HELD).write_text(json.dumps(assemble(folder, tools, note)))


if __name__ == "__main__":
    try:
        main(Path(sys.argv[1]))
    except SandboxError as failure:
        # Whoever runs this program tells its user what stands on stderr.
        sys.exit(str(failure))
