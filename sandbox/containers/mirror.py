"""The registry's image, with every image of the node in it: filled by the real registry and the real client.

A container of it serves them from its first moment, so a sandbox needs no other registry, and nothing is pushed at
start.
"""

from __future__ import annotations

import contextlib
import os
import re
import signal
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from sandbox.containers.oci import Layout
from sandbox.core.commands import run
from sandbox.core.conditions import Deadline, Observation, failed, met, pending, wait_for
from sandbox.core.errors import UnavailableError
from sandbox.toolchain import Tool
from sandbox.toolchain.leash import leashed

__all__ = ["CHANGES", "PORT", "STORAGE", "make_mirror", "repository"]

PORT = 5000
"""Where the registry listens in its container, unless it is given another configuration."""

STORAGE = "/var/lib/registry"
"""The folder in its container that it keeps images in."""

_CONFIG = "/etc/distribution/config.yml"
CHANGES = (
    "ENV OTEL_TRACES_EXPORTER=none",
    'ENTRYPOINT ["/registry"]',
    f'CMD ["serve", "{_CONFIG}"]',
    f"EXPOSE {PORT}",
)
"""What its container runs, as lines of a Dockerfile."""

_START_SECONDS = 30.0
_PUSH_SECONDS = 600.0
_LISTENS = re.compile(r"listening on (127\.0\.0\.1:\d+)")


def repository(reference: str) -> str:
    """Give the repository and tag under which a mirror has an image: without the registry's name, as containerd asks.

    >>> repository("registry.k8s.io/coredns/coredns:v1")
    'coredns/coredns:v1'
    """
    return reference.partition("/")[2]


def make_mirror(root: Path, layouts: Sequence[Layout], tools: Mapping[str, Tool]) -> None:
    """Make the file system of the registry's image.

    Args:
        root: The folder to make.
        layouts: The images to put in.
        tools: registry and crane.

    Raises:
        UnavailableError: The registry does not start, or takes an image badly.
        DeadlineError: It hangs.
    """
    storage = root / STORAGE.lstrip("/")
    storage.mkdir(parents=True)
    config = root / _CONFIG.lstrip("/")
    config.parent.mkdir(parents=True)
    program = root / "registry"
    program.write_bytes(tools["registry"].binary().read_bytes())
    program.chmod(0o755)
    with _serving(root.with_name("filling"), storage, program) as address:
        nobody = root.with_name("nobody")
        nobody.mkdir()
        # Of whoever runs this, neither credentials nor helpers are used.
        environment = os.environ | {"DOCKER_CONFIG": str(nobody)}
        for layout in layouts:
            target = f"{address}/{repository(layout.reference)}"
            argv: list[str | Path] = [tools["crane"].binary(), "push", "--insecure", layout.folder, target]
            run(argv, timeout=_PUSH_SECONDS, env=environment)
    for layout in layouts:
        _check(storage, layout)
    config.write_text(_configuration(f":{PORT}", STORAGE))


def _configuration(address: str, storage: str) -> str:
    # JSON would do as well, but for people who look into the image.
    return f"version: 0.1\nstorage:\n  filesystem:\n    rootdirectory: {storage}\nhttp:\n  addr: {address}\n"


@contextlib.contextmanager
def _serving(scratch: Path, storage: Path, program: Path) -> Iterator[str]:
    scratch.mkdir()
    config, log = scratch / "config.yml", scratch / "log"
    config.write_text(_configuration("127.0.0.1:0", str(storage)))
    with log.open("w") as output:
        process = subprocess.Popen(
            leashed([str(program), "serve", str(config)]),
            stdin=subprocess.PIPE,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
            env=os.environ | {"OTEL_TRACES_EXPORTER": "none"},
        )

    def listens() -> Observation:
        said = log.read_text(errors="replace")
        if found := _LISTENS.search(said):
            return met(found[1])
        return pending(said[-300:]) if process.poll() is None else failed(said[-300:])

    try:
        yield wait_for(listens, Deadline.after(_START_SECONDS), wanted="the registry that is filled listens").seen
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
        if process.stdin:
            process.stdin.close()


def _check(storage: Path, layout: Layout) -> None:
    """Check that a tag leads to what was pushed: while the registry was filled, anyone here could push."""
    name, _, tag = repository(layout.reference).rpartition(":")
    link = storage / "docker/registry/v2/repositories" / name / "_manifests/tags" / tag / "current/link"
    if link.read_text().strip() != layout.digest:
        raise UnavailableError(f"the registry holds another {layout.reference} than was pushed", hint="try again")
