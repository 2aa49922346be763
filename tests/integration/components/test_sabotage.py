"""Sabotages of the cluster against a real API server: whatever ends the story, the next one finds the sandbox whole."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any, cast

import pytest

from sandbox.components.argocd.home import OwnHome
from sandbox.components.base import Context
from sandbox.engines.embedded import Embedded
from sandbox.gitops.sabotage import add_big_node, wrong_git_password, wrong_webhook_secret
from sandbox.gitops.tenant import Tenant
from sandbox.gitops.world import World
from sandbox.kube.api import KubeApi
from tests.integration.components.conftest import Bring


@dataclass
class SmallWorld:
    """What these sabotages ask of a world."""

    api: KubeApi
    tenant: Tenant
    environment: Any
    dev: Any
    access: Any


@pytest.fixture(scope="module")
def cluster(brought_up: Bring) -> Iterator[Context]:
    with brought_up("etcd", "kube-apiserver-bootstrap", tools=Embedded.tools) as context:
        yield context


@pytest.fixture
def world(cluster: Context) -> Iterator[World]:
    api = KubeApi(cluster.folder / "kubeconfig")
    api.apply({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "argocd"}})
    metadata = {"name": "argocd-secret", "namespace": "argocd"}
    api.apply(
        {"apiVersion": "v1", "kind": "Secret", "metadata": metadata, "data": {"webhook.github.secret": "cmlnaHQ="}}
    )
    environment = SimpleNamespace(repo_url="http://127.0.0.1:1/core/environment.git")
    dev, access = SimpleNamespace(namespace="default"), SimpleNamespace(argocd_namespace="argocd", home=OwnHome())
    yield cast(World, SmallWorld(api, Tenant("core"), environment, dev, access))
    api.close()


def state(world: World) -> list[tuple[str, Any]]:
    secrets = [(item["metadata"]["name"], item.get("data")) for item in world.api.list("v1", "Secret", "argocd")]
    return secrets + [(item["metadata"]["name"], None) for item in world.api.list("v1", "Node")]


@pytest.mark.parametrize("wreck", [wrong_git_password, wrong_webhook_secret, add_big_node])
@pytest.mark.parametrize("error", [None, KeyboardInterrupt, ZeroDivisionError])
def test_what_was_wrecked_is_mended_however_the_story_ends(
    world: World, wreck: Any, error: type[BaseException] | None
) -> None:
    before = state(world)
    wrecked = []
    expecting = pytest.raises(error) if error else contextlib.nullcontext()
    with expecting, wreck(world):
        wrecked += state(world)
        if error:
            raise error
    assert wrecked != before
    assert state(world) == before
