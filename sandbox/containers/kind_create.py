"""Creates one kind cluster; run as a program of its own: ``python -m sandbox.containers.kind_create SPEC.json``.

A process of its own, since pytest-kind works in the current folder, prints as it goes and takes its
settings from the environment; and since it can then be ended with all that it has started.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from pytest_kind import KindCluster  # type: ignore[import-untyped]

from sandbox.core.errors import UsageError
from sandbox.core.files import read_json

__all__ = ["main"]


def main(argv: list[str]) -> int:
    """Create the cluster that the file describes.

    Returns:
        The exit code: that of ``kind`` where it failed; it has said why on stderr.
    """
    if len(argv) != 1:
        raise UsageError("one argument is needed: the file that describes the cluster")
    # kind reports its progress on stderr, which would be lost where all goes well.
    os.dup2(sys.stdout.fileno(), sys.stderr.fileno())
    spec = read_json(Path(argv[0]))
    cluster = KindCluster(
        str(spec["name"]),
        kubeconfig=Path(str(spec["kubeconfig"])),
        image=str(spec["image"]),
        kind_path=Path(str(spec["kind"])),
        kubectl_path=Path(str(spec["kubectl"])),
    )
    listed = subprocess.run([cluster.kind_path, "get", "clusters"], stdout=subprocess.PIPE, text=True, check=True)
    if cluster.name in listed.stdout.splitlines():
        # pytest-kind would take it for the one that is to be made.
        sys.stderr.write(f"there is a kind cluster {cluster.name} already, which is not of this sandbox\n")
        return 1
    try:
        cluster.create(str(spec["config"]))
    except subprocess.CalledProcessError as error:
        return error.returncode or 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
