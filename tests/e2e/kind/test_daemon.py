"""A daemon whose disk is full, and one that is restarted under a running sandbox."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest

from sandbox.containers.docker import connect
from sandbox.containers.images import image_tags, import_tree
from sandbox.containers.places import archived
from sandbox.core.commands import run
from sandbox.core.errors import UnavailableError
from tests.e2e.kind.daemon import Daemon, own_daemon
from tests.e2e.kind.machine import COLD_SECONDS, docker, kubectl
from tests.e2e.support import User

NAME = "t2"
SMALL = 64 << 20

pytestmark = pytest.mark.timeout(COLD_SECONDS)


@pytest.fixture
def folder() -> Iterator[Path]:
    """Give a folder whose path is short enough for a socket."""
    with tempfile.TemporaryDirectory(prefix="gs-") as name:
        yield Path(name)


@pytest.fixture
def starved(reachable: None, folder: Path) -> Iterator[Daemon]:
    """Give a daemon with next to no room for images."""
    del reachable
    data = folder / "data"
    data.mkdir()
    run(["mount", "-t", "tmpfs", "-o", f"size={SMALL}", "gitops-sandbox-test", data], timeout=30)
    try:
        with own_daemon(folder, data, "gs-starved") as daemon:
            yield daemon
    finally:
        run(["umount", "--recursive", data], timeout=30)


def test_a_full_disk_is_named_while_an_image_is_loaded_and_leaves_no_image(
    starved: Daemon, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "large").write_bytes(os.urandom(SMALL))
    monkeypatch.setenv("DOCKER_HOST", starved.host)
    with connect() as known, pytest.raises(UnavailableError) as refused:
        import_tree(known, partial(archived, tmp_path), "gitops-sandbox/test:full", ["CMD true"])
    assert "no space left on device" in refused.value.why
    assert "docker system df" in refused.value.hint
    assert starved.docker("images", "--all", "--quiet") == ""


@pytest.fixture
def own(reachable: None, user: User, folder: Path) -> Iterator[tuple[Daemon, User]]:
    """Give a daemon that has the images, and somebody whose Docker it is."""
    del reachable
    # The images are made by whoever of the machine's own daemon comes first.
    user.ok("up", "--engine", "kind", "--name", "t1", seconds=COLD_SECONDS)
    data = folder / "data"
    data.mkdir()
    with own_daemon(folder, data, "gs-own") as daemon:
        archive = folder / "images.tar"
        docker("save", "--output", str(archive), *image_tags(), seconds=300)
        daemon.docker("load", "--input", str(archive), seconds=300)
        archive.unlink()
        one = User(folder / "state", changes={**user.changes, "DOCKER_HOST": daemon.host}, inside=daemon.inside)
        with one.leaving_nothing():
            yield daemon, one


@pytest.mark.nightly
def test_a_sandbox_lives_through_a_restart_of_the_daemon_with_all_that_it_holds(own: tuple[Daemon, User]) -> None:
    daemon, user = own
    inside = {"within": daemon.inside}
    status = user.ok("up", "--engine", "kind", "--name", NAME, seconds=600)
    kubectl(status, "create", "configmap", "kept", "--from-literal=kept=yes", **inside)
    daemon.stop()
    gone = user.run("status", "--name", NAME)
    assert gone.code == 0, gone
    assert user.status(NAME)["state"] != "up"
    refused = user.run("up", "--name", NAME)
    assert refused.code == 3, refused
    assert "docker" in refused.stderr.lower()
    assert "Traceback" not in refused.stderr
    daemon.start()
    again = user.ok("up", "--name", NAME, seconds=600)
    assert again["kubeconfig"] == status["kubeconfig"]
    assert user.wait_until_up(NAME)["state"] == "up"
    assert kubectl(again, "get", "configmap", "kept", "--output", "name", **inside).strip() == "configmap/kept"
    told = user.ok("scenario", "core", "--name", NAME, seconds=300)
    assert told["passed"]
    assert told["skipped"] == []
