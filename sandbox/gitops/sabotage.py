"""Ways to break a system on purpose; stories name those under which they must fail.

Each is a context: entered just before a step, left when the story has ended, also when the user
interrupts it, so that the next story finds the sandbox whole. What belongs to the story's own
tenant needs no mending: it is cleared with the tenant.
"""

from __future__ import annotations

import base64
import contextlib
import threading
from collections.abc import Iterator
from pathlib import Path

from sandbox.components.argocd.home import ASK_REFRESH, awaits_refresh
from sandbox.core.conditions import Deadline, Observation, met, pending, wait_for
from sandbox.core.errors import SandboxError
from sandbox.core.files import new_password
from sandbox.gitops.world import World
from sandbox.kube.api import KubeApi
from sandbox.servers.repositories import create_repository, delete_repository

__all__ = [
    "add_big_node",
    "announce_unpushed_image",
    "announce_wrong_tag",
    "keep_killing_pods",
    "mislead_service",
    "pause_reconciliation",
    "prune_off",
    "push_to_fork",
    "self_heal_off",
    "squash_history",
    "wrong_git_password",
    "wrong_webhook_secret",
]

_BETWEEN_KILLS = 2.0
_HEARD_SECONDS = 30.0
_WORKFLOW = Path(".github/workflows/ci.yaml")


@contextlib.contextmanager
def wrong_git_password(world: World) -> Iterator[None]:
    """Have Argo CD show a wrong password for this one repository."""
    name, home = world.tenant.wrong_credential, world.access.home
    world.api.apply(
        {
            "apiVersion": "v1",
            "kind": "Secret",
            "metadata": {
                "name": name,
                "namespace": home.namespace,
                "labels": {
                    **home.labels,
                    "argocd.argoproj.io/secret-type": "repository",
                    "app.kubernetes.io/part-of": "argocd",
                },
            },
            "stringData": {
                "type": "git",
                "url": world.environment.repo_url,
                "username": "argocd",
                "password": new_password(),
            },
        }
    )
    try:
        yield
    finally:
        world.api.delete("v1", "Secret", name, home.namespace)


@contextlib.contextmanager
def wrong_webhook_secret(world: World) -> Iterator[None]:
    """Have Argo CD expect signatures made with another secret than the Git server's."""
    namespace = world.access.argocd_namespace
    secret = world.api.get("v1", "Secret", "argocd-secret", namespace) or {}
    key = "webhook.github.secret"
    right = secret["data"][key]

    def expect(value: str) -> None:
        world.api.merge("v1", "Secret", "argocd-secret", namespace, {"data": {key: value}})

    expect(base64.b64encode(new_password().encode()).decode())
    try:
        yield
    finally:
        expect(right)


def _edit_workflow(world: World, old: str, new: str) -> None:
    path = world.source.copy.folder / _WORKFLOW
    text = path.read_text()
    if old not in text:
        raise AssertionError(f"the workflow has no {old!r} to break")
    path.write_text(text.replace(old, new))


@contextlib.contextmanager
def announce_wrong_tag(world: World) -> Iterator[None]:
    """Have CI write the tag of an earlier commit into the environment repository."""
    script = "$python ci/update_environment.py"
    _edit_workflow(world, script, f"GITHUB_SHA={world.source.head} {script}")
    yield


@contextlib.contextmanager
def announce_unpushed_image(world: World) -> Iterator[None]:
    """Have CI announce an image that it never pushed."""
    digest = "sha256:" + "0" * 64
    _edit_workflow(world, "run: sh ci/image.sh", f'run: echo "digest={digest}" >> "$GITHUB_OUTPUT"')
    yield


@contextlib.contextmanager
def self_heal_off(world: World) -> Iterator[None]:
    """Switch self-heal off."""
    world.dev.change({"spec": {"syncPolicy": {"automated": {"selfHeal": False}}}})
    _wait_until_heard(world)
    yield


@contextlib.contextmanager
def prune_off(world: World) -> Iterator[None]:
    """Switch prune off."""
    world.dev.change({"spec": {"syncPolicy": {"automated": {"prune": False}}}})
    _wait_until_heard(world)
    yield


@contextlib.contextmanager
def pause_reconciliation(world: World) -> Iterator[None]:
    """Have the application controller pass this Application over."""
    world.dev.change({"metadata": {"annotations": {"argocd.argoproj.io/skip-reconcile": "true"}}})
    _wait_until_heard(world)
    yield


def _wait_until_heard(world: World) -> None:
    """Wait until the application controller knows of a change of the dev Application, and is done with what was before.

    It hears of all Applications in one stream, in the order of their changes, and works on them in one queue: when it
    has refreshed another one that was asked for later, it knows. A busy one may otherwise heal once more.
    """
    others = (each for each in world.applications.values() if each is not world.dev and each.read() is not None)
    if (other := next(others, None)) is None:
        return
    other.change(ASK_REFRESH)

    def refreshed() -> Observation:
        found = other.read()
        waits = found is not None and awaits_refresh(found)
        return pending(f"{other.name} still waits for its refresh") if waits else met("refreshed")

    wait_for(
        refreshed,
        Deadline.after(_HEARD_SECONDS),
        wanted="the application controller to have heard of the sabotage",
        wake=world.changed,
        every=0.2,
    )


@contextlib.contextmanager
def push_to_fork(world: World) -> Iterator[None]:
    """Have the operator push to a fork that nobody follows."""
    fork = f"{world.tenant.name}/fork"
    create_repository(world.access.repositories, fork)
    copy, upstream = world.environment.copy, world.environment.url
    copy.set_remote(upstream.replace(world.tenant.environment, fork))
    try:
        copy.push()
        yield
    finally:
        copy.set_remote(upstream)
        delete_repository(world.access.repositories, fork)


@contextlib.contextmanager
def add_big_node(world: World) -> Iterator[None]:
    """Have a node join that has room for what no other node could take."""
    capacity = {"cpu": "1000000", "memory": "64Ti", "pods": "1000"}
    name = f"{world.tenant.name}-big"
    world.api.apply(
        {
            "apiVersion": "v1",
            "kind": "Node",
            "metadata": {"name": name, "annotations": {"kwok.x-k8s.io/node": "fake"}},
            "status": {"capacity": capacity, "allocatable": capacity},
        }
    )
    try:
        yield
    finally:
        world.api.delete("v1", "Node", name)
        # Pods of a node that is gone are nobody's: the garbage collector would let them be for a minute.
        world.api.delete_all("v1", "Pod", world.dev.namespace)


@contextlib.contextmanager
def mislead_service(world: World) -> Iterator[None]:
    """Have the Service lead to pods that there are not, and nobody set it right again."""
    world.dev.change({"spec": {"syncPolicy": {"automated": {"selfHeal": False}}}})
    selector = {"spec": {"selector": {"app.kubernetes.io/name": "nobody"}}}
    world.api.merge("v1", "Service", world.service.name, world.dev.namespace, selector)
    yield


@contextlib.contextmanager
def keep_killing_pods(world: World) -> Iterator[None]:
    """Have somebody kill every pod again and again, without any grace."""
    ended = threading.Event()
    api, namespace = KubeApi(world.access.kubeconfig), world.dev.namespace

    def kill() -> None:
        while not ended.wait(_BETWEEN_KILLS):
            # A kill that fails is one of many.
            with contextlib.suppress(SandboxError):
                api.delete_all("v1", "Pod", namespace)

    thread = threading.Thread(target=kill, name="killer", daemon=True)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()


@contextlib.contextmanager
def squash_history(world: World) -> Iterator[None]:
    """Have somebody replace the history by one commit with the same files."""
    world.environment.pull()
    world.environment.copy.squash("Tidy up")
    yield
