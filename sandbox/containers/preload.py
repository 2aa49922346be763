"""Putting images into a node's containerd before there is a node: imported and unpacked, so that they start at once.

Our own containerd runs here for that, with its root inside the node's file system. The compressed layers are dropped
after unpacking, as kind's nodes do with what they pull. What was unpacked is moved out of /var, since kind makes that a
volume, which Docker fills with a copy of the image's: of all images, 5 s for each new cluster.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from sandbox.containers.oci import Layout
from sandbox.core.commands import CommandError, run
from sandbox.core.conditions import Condition, Deadline, Observation, met, pending, wait_for
from sandbox.core.files import writing_errors
from sandbox.toolchain import Tool
from sandbox.toolchain.leash import leashed

__all__ = ["preload"]

_NAMESPACE = "k8s.io"
_SNAPSHOTS = "var/lib/containerd/io.containerd.snapshotter.v1.overlayfs/snapshots"
_UNPACKED = "kind/images"
_START_SECONDS = 30.0
_IMPORT_SECONDS = 600.0
# They run pods, which needs more of the machine than unpacking does.
_NOT_WANTED = (
    "io.containerd.cri.v1.images",
    "io.containerd.cri.v1.runtime",
    "io.containerd.grpc.v1.cri",
    "io.containerd.internal.v1.opt",
    "io.containerd.nri.v1.nri",
)


def preload(node: Path, layouts: Sequence[Layout], tools: Mapping[str, Tool]) -> None:
    """Import images into the containerd of a node's file system.

    Args:
        node: The file system.
        layouts: The images.
        tools: containerd and ctr.

    Raises:
        UnavailableError: An image can't be imported or unpacked; carries ctr's or containerd's words.
        DeadlineError: It hangs.
    """
    with tempfile.TemporaryDirectory(prefix="gitops-sandbox-") as scratch:
        folder = Path(scratch)
        with _containerd(node / "var" / "lib" / "containerd", folder, tools["containerd"]) as socket:
            ctr = [str(tools["ctr"].binary()), "--address", str(socket), "--namespace", _NAMESPACE]
            answers = _answers(ctr, folder / "containerd.log")
            wait_for(answers, Deadline.after(_START_SECONDS), wanted="the containerd that unpacks images answers")
            for layout in layouts:
                archive = folder / "image.tar"
                run(["tar", "--create", "--file", archive, "--directory", layout.folder, "."], timeout=_IMPORT_SECONDS)
                run([*ctr, "images", "import", str(archive)], timeout=_IMPORT_SECONDS)
            run([*ctr, "content", "prune", "references"], timeout=_IMPORT_SECONDS)
    _move_out_of_volume(node)


def _move_out_of_volume(node: Path) -> None:
    """Leave links where containerd's overlayfs snapshotter has the layers; it only ever reads the unpacked ones."""
    target = node / _UNPACKED
    with writing_errors(target):
        target.mkdir(parents=True)
        for snapshot in (node / _SNAPSHOTS).iterdir():
            (snapshot / "fs").rename(target / snapshot.name)
            (snapshot / "fs").symlink_to(Path("/", _UNPACKED, snapshot.name))


@contextlib.contextmanager
def _containerd(root: Path, folder: Path, containerd: Tool) -> Iterator[Path]:
    """Run a containerd that manages images only, in a mount namespace of its own."""
    socket = folder / "containerd.sock"
    config = folder / "config.toml"
    config.write_text(
        f'version = 3\nroot = "{root}"\nstate = "{folder / "state"}"\n'
        f"disabled_plugins = {json.dumps(_NOT_WANTED)}\n"
        f'[grpc]\naddress = "{socket}"\n[ttrpc]\naddress = "{socket}.ttrpc"\n'
    )
    argv = ["unshare", "--mount", "--propagation", "private", str(containerd.binary()), "--config", str(config)]
    with (folder / "containerd.log").open("w") as log:
        process = subprocess.Popen(
            leashed(argv), stdin=subprocess.PIPE, stdout=log, stderr=subprocess.STDOUT, start_new_session=True
        )
    try:
        yield socket
    finally:
        # Its databases take every change whole, and nothing is under way any more: there is nothing to wait for.
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        if process.stdin:
            process.stdin.close()


def _answers(ctr: Sequence[str], log: Path) -> Condition:
    def observe() -> Observation:
        try:
            run([*ctr, "version"], timeout=10)
        except CommandError as error:
            said = log.read_text(errors="replace").strip().splitlines()
            return pending(said[-1] if said else error.why)
        return met()

    return observe
