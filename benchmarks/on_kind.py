"""What is measured on the kind engine: the same changes, and the application's own answers over HTTP."""

from __future__ import annotations

import contextlib
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import yaml

from benchmarks.measures import until
from sandbox.containers.cluster_config import plain_config
from sandbox.containers.docker import connect
from sandbox.containers.host import host_needs
from sandbox.containers.images import ensure_images
from sandbox.core.commands import run
from sandbox.core.conditions import Observation, met, pending
from sandbox.core.timeline import Timeline
from sandbox.engines import sandboxes
from sandbox.engines.kind import Kind
from sandbox.gitops.moment import Moment
from sandbox.gitops.tenant import APPLICATION, Tenant
from sandbox.gitops.world import World
from sandbox.toolchain import ensure_tools

__all__ = [
    "answering_world",
    "bare_cluster",
    "first_answer",
    "push_to_answer",
    "rest",
    "source_to_answer",
    "stop_and_start",
]

TENANT = Tenant("bench")
_BARE = "gitops-sandbox-bench-bare"
_SECONDS = 300.0


def bare_cluster() -> float:
    """Give the seconds that ``kind create cluster --wait`` takes alone: the same node image, kind's own settings."""
    kind = ensure_tools(("kind",))["kind"].binary()
    with connect() as docker, tempfile.TemporaryDirectory() as folder:
        config = Path(folder) / "config.yaml"
        config.write_text(yaml.safe_dump(plain_config(host_needs(docker.info()), api_port=0)))
        kubeconfig = Path(folder) / "kubeconfig"
        named: list[str | Path] = ["--name", _BARE, "--kubeconfig", kubeconfig]
        made = ensure_images(docker)
        began = time.monotonic()
        try:
            image: list[str | Path] = ["--image", made.node, "--config", config]
            run([kind, "create", "cluster", *named, *image, "--wait", "120s"], timeout=_SECONDS)
            return time.monotonic() - began
        finally:
            run([kind, "delete", "cluster", *named], timeout=_SECONDS)


def _release(made: World) -> str:
    """Have CI release the newest source commit; give the environment commit that it made."""
    commit = made.source.head
    until(made, f"CI to release {commit[:8]}", made.pipeline.passes(commit))
    return made.environment.pull()


def _until_it_answers(made: World) -> None:
    until(made, f"{made.source.version} to answer", made.service.says(made.source.version, made.source.head))


def first_answer(name: str) -> None:
    """Bring a sandbox up, release the sample application by CI and wait for its answer, as a process of its own."""
    access = sandboxes.up(name, sandboxes.UpOptions(engine=Kind.name), Timeline())
    with World(access, TENANT) as made:
        made.environment.begin()
        made.source.begin()
        made.source.push()
        _release(made)
        made.register("dev")
        _until_it_answers(made)


@contextlib.contextmanager
def answering_world(name: str) -> Iterator[World]:
    """Give a world in a running sandbox whose application answers in the dev environment."""
    with World(sandboxes.access(name), TENANT) as made:
        made.environment.begin()
        made.source.begin()
        made.source.push()
        revision, since = _release(made), Moment.now()
        made.register()
        until(made, "the dev Application to live", made.dev.lives(revision, since))
        _until_it_answers(made)
        yield made


def source_to_answer(made: World, number: int) -> tuple[float, str]:
    """Push a new version of the source; give the seconds until it answers, and the image that CI made of it."""
    began = time.monotonic()
    made.source.release(f"2.0.{number}")
    _until_it_answers(made)
    seconds = time.monotonic() - began
    return seconds, made.environment.image("dev", made.environment.pull())


def push_to_answer(made: World, image: str, version: str, commit: str) -> float:
    """Push an environment commit that names an image CI has built; give the seconds until that version answers.

    Args:
        made: The world.
        image: The image.
        version: What it says it is.
        commit: The source commit that it says it was built from.
    """
    made.environment.set_image("dev", image)
    made.environment.copy.commit(f"Bring {version}")
    revision = made.environment.head
    made.dev.desired(revision)
    began, since = time.monotonic(), Moment.now()
    made.environment.copy.push()
    until(made, f"{version} to answer", made.service.says(version, commit))
    seconds = time.monotonic() - began
    # The rollout's end takes no part, but the next run must not meet it.
    until(made, f"{revision[:8]} to live", made.dev.lives(revision, since))
    return seconds


def rest(made: World) -> None:
    """Wait until the dev Application's pods are those that it asks for: those of a drift before start and end on."""

    def look() -> Observation:
        wanted = made.cluster.deployment(made.dev.namespace, APPLICATION)["spec"]["replicas"]
        pods = made.api.list("v1", "Pod", made.dev.namespace)
        return met("at rest") if len(pods) == wanted else pending(f"{len(pods)} pods, {wanted} are asked for")

    until(made, "its pods to be at rest", look)


def stop_and_start(made: World, name: str, version: str, commit: str) -> float:
    """Stop a sandbox and start it again; give the seconds until what lived there answers again."""
    began = time.monotonic()
    sandboxes.stop(name)
    sandboxes.start(name, Timeline())
    until(made, f"{version} to answer", made.service.says(version, commit))
    return time.monotonic() - began
