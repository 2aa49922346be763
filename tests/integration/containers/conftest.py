from __future__ import annotations

import secrets
from collections.abc import Iterator

import pytest

from sandbox.containers.described import Owner
from sandbox.containers.docker import Docker, connect
from sandbox.core.errors import UnavailableError
from sandbox.toolchain import ensure_tools


@pytest.fixture(scope="session")
def docker() -> Iterator[Docker]:
    """Give the daemon of this machine."""
    try:
        door = connect()
    except UnavailableError as error:
        pytest.skip(f"no Docker: {error.why}")
    with door:
        yield door


@pytest.fixture
def owner(docker: Docker) -> Iterator[Owner]:
    """Give a sandbox of its own, of which nothing is left."""
    mine = Owner(f"test-{secrets.token_hex(4)}", secrets.token_hex(8))
    yield mine
    docker.remove_owned(mine)


@pytest.fixture(scope="session")
def image(docker: Docker) -> Iterator[str]:
    """Give the tag of a small image of one static program, a real registry."""
    program = ensure_tools(["registry"])["registry"].binary().read_bytes()
    config = b"version: 0.1\nstorage:\n  inmemory: {}\nhttp:\n  addr: :5000\n"
    dockerfile = b'FROM scratch\nCOPY registry config.yml /\nENTRYPOINT ["/registry"]\nCMD ["serve", "/config.yml"]\n'
    tag = f"gitops-sandbox/test:{secrets.token_hex(4)}"
    docker.images.build({"Dockerfile": dockerfile, "registry": program, "config.yml": config}, tag)
    yield tag
    docker.images.remove(tag)
