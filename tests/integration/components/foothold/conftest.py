"""Somebody's cluster, and two of its users: one who may do everything, and one who may do nothing yet."""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from sandbox.components.base import Context
from sandbox.components.existing.argocd_in_namespace import bring_types
from sandbox.components.existing.foothold import Foothold
from sandbox.containers.described import Owner
from sandbox.kube.api import KubeApi
from tests.integration.components.conftest import Bring

PARTS = ("etcd", "kube-controller-manager")
TOOLS = ("etcd", "kube-apiserver", "kube-controller-manager", "argocd")


@pytest.fixture(scope="package")
def cluster(brought_up: Bring) -> Iterator[Context]:
    with brought_up(*PARTS, tools=TOOLS) as context:
        bring_types(KubeApi(context.folder / "kubeconfig"), context.tools["argocd"], {})
        yield context


@pytest.fixture
def kubeconfig(cluster: Context) -> Path:
    return cluster.folder / "kubeconfig"


@pytest.fixture
def admin(kubeconfig: Path) -> KubeApi:
    return KubeApi(kubeconfig)


@pytest.fixture
def owner() -> Owner:
    return Owner(f"box-{secrets.token_hex(3)}", secrets.token_hex(8))


@pytest.fixture
def strong(kubeconfig: Path, owner: Owner) -> Foothold:
    context = yaml.safe_load(kubeconfig.read_text())["contexts"][0]["name"]
    return Foothold(str(kubeconfig), context, owner)


@pytest.fixture
def weak(admin: KubeApi, kubeconfig: Path, owner: Owner, tmp_path: Path) -> Foothold:
    """Give somebody who has no rights at all, by a token."""
    name = f"somebody-{secrets.token_hex(3)}"
    admin.create({"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": name, "namespace": "default"}})
    path = f"/api/v1/namespaces/default/serviceaccounts/{name}/token"
    answer = admin.request("POST", path, body={"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest"})
    config = yaml.safe_load(kubeconfig.read_text())
    config["users"] = [{"name": "somebody", "user": {"token": answer["status"]["token"]}}]
    config["contexts"][0]["name"] = "theirs"
    config["contexts"][0]["context"]["user"] = "somebody"
    (tmp_path / "config").write_text(yaml.safe_dump(config))
    return Foothold(str(tmp_path / "config"), "theirs", owner)
