"""The registry, by the real CNCF Distribution, and what a story sees of it."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path

import pytest
import requests

from sandbox.components.base import Context
from sandbox.components.registry import SECRET, USER, Registry
from sandbox.core.commands import CommandError, run
from sandbox.core.conditions import Deadline, State
from sandbox.core.errors import UnavailableError
from sandbox.core.timeline import Timeline
from sandbox.engines.driver import bring_up
from sandbox.gitops.registry import RegistryView
from tests.integration.components.conftest import Bring
from tests.integration.core.support import command_line


@pytest.fixture(scope="module")
def registry(brought_up: Bring) -> Iterator[Context]:
    with brought_up("registry", tools=("registry", "crane")) as context:
        yield context


@pytest.fixture
def view(registry: Context) -> RegistryView:
    return RegistryView(registry.address("registry"), USER, registry.secrets.value(SECRET))


@pytest.fixture
def crane(registry: Context, tmp_path: Path) -> dict[str, str]:
    """Give the environment of a crane that is logged in."""
    environment = {"PATH": os.defpath, "HOME": str(tmp_path), "DOCKER_CONFIG": str(tmp_path / "docker")}
    login: list[str | Path] = [registry.tools["crane"].binary(), "auth", "login", "-u", USER, "--password-stdin"]
    address = registry.address("registry")
    run([*login, address], timeout=30, env=environment, stdin=registry.secrets.value(SECRET))
    return environment


def push(registry: Context, environment: dict[str, str], tag: str, content: str) -> str:
    """Push an image of one layer and return its digest."""
    home = Path(environment["HOME"])
    (home / "file").write_text(content)
    run(["tar", "-cf", home / "layer.tar", "-C", home, "file"], timeout=30)
    name = f"{registry.address('registry')}/core/greeter:{tag}"
    append: list[str | Path] = [
        registry.tools["crane"].binary(),
        "append",
        "--insecure",
        "-f",
        home / "layer.tar",
        "-t",
        name,
    ]
    return run(append, timeout=60, env=environment).strip().rpartition("@")[2]


def test_nobody_is_answered_without_the_password(registry: Context) -> None:
    root = f"http://{registry.address('registry')}"
    for path in ("/v2/", "/v2/_catalog", "/v2/core/greeter/tags/list", "/v2/core/greeter/manifests/1"):
        assert requests.get(root + path, timeout=5).status_code == 401
        assert requests.get(root + path, auth=(USER, "wrong"), timeout=5).status_code == 401
    answer = requests.post(f"{root}/v2/core/greeter/blobs/uploads/", timeout=5)
    assert answer.status_code == 401


def test_nobody_pushes_without_the_password(registry: Context, tmp_path: Path) -> None:
    with pytest.raises(CommandError, match="exit code"):
        push(registry, {"PATH": os.defpath, "HOME": str(tmp_path)}, "anonymous", "content")


def test_an_image_that_was_pushed_is_held_under_its_digest(
    registry: Context, crane: dict[str, str], view: RegistryView
) -> None:
    digest = push(registry, crane, "1", "one")
    assert digest.startswith("sha256:")
    assert view.digest("core/greeter", "1") == digest == view.digest("core/greeter", digest)
    assert view.holds(f"{view.address}/core/greeter:1@{digest}")().state is State.MET


def test_a_tag_that_was_moved_or_never_pushed_is_seen(
    registry: Context, crane: dict[str, str], view: RegistryView
) -> None:
    old = push(registry, crane, "moving", "old")
    new = push(registry, crane, "moving", "new")
    assert old != new
    moved = view.holds(f"{view.address}/core/greeter:moving@{old}")()
    assert moved.state is State.PENDING
    assert moved.seen == f"tag moving of core/greeter is {new}, the cluster was told {old}"
    never = view.holds(f"{view.address}/core/greeter:never@{old}")()
    assert never.state is State.PENDING
    assert "is not in the registry" in never.seen
    assert view.digest("core/nothing", "1") is None


def test_the_password_is_in_no_argument_and_only_its_hash_in_the_configuration(registry: Context) -> None:
    password = registry.secrets.value(SECRET)
    pid = registry.supervisor.components()["registry"].pid
    assert pid is not None
    assert password not in " ".join(command_line(pid))
    for path in (registry.folder / "run" / "registry").iterdir():
        if path.is_file():
            assert password not in path.read_text()
            assert path.stat().st_mode & 0o777 == 0o600


def test_an_image_survives_the_death_of_the_registry(
    registry: Context, crane: dict[str, str], view: RegistryView
) -> None:
    digest = push(registry, crane, "kept", "kept")
    registry.supervisor.stop("registry")
    with pytest.raises(UnavailableError, match="does not answer"):
        view.digest("core/greeter", "kept")
    bring_up(registry, [Registry()], Deadline.after(20), Timeline())
    assert view.digest("core/greeter", "kept") == digest
    manifest: list[str | Path] = [
        registry.tools["crane"].binary(),
        "manifest",
        "--insecure",
        f"{view.address}/core/greeter@{digest}",
    ]
    assert json.loads(run(manifest, timeout=30, env=crane))["schemaVersion"] == 2
