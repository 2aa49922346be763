"""Telling somebody's Argo CD of a push, by the program itself and a real API server."""

from __future__ import annotations

import json
import secrets
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import requests

from sandbox.components.base import Context
from sandbox.components.existing.argocd_in_namespace import bring_types
from sandbox.kube.api import KubeApi
from sandbox.servers.signatures import SIGNATURE_HEADER, sign
from tests.integration.components.conftest import Bring
from tests.integration.servers.support import free_port, running

API = "argoproj.io/v1alpha1"
REFRESH = "argocd.argoproj.io/refresh"
URL = "http://git.box.svc:3000/core/environment.git"
SECRET = "a-webhook-secret"
EVENT = json.dumps({"repository": {"clone_url": URL}}).encode()


@pytest.fixture(scope="module")
def cluster(brought_up: Bring) -> Iterator[Context]:
    with brought_up("etcd", "kube-apiserver", tools=("etcd", "kube-apiserver", "argocd")) as context:
        bring_types(KubeApi(context.folder / "kubeconfig"), context.tools["argocd"], {})
        yield context


@pytest.fixture
def api(cluster: Context) -> KubeApi:
    return KubeApi(cluster.folder / "kubeconfig")


@pytest.fixture
def host(api: KubeApi, tmp_path: Path) -> str:
    """Give the namespace of an Argo CD: two Applications there are the sandbox's, and one of them is not there yet."""
    name = f"argocd-{secrets.token_hex(3)}"
    api.create({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}})
    for application, url in (("ours", URL), ("other", URL.replace("core", "another")), ("theirs", URL)):
        spec = {"project": "x", "source": {"repoURL": url}, "destination": {"namespace": "x"}}
        metadata = {"name": application, "namespace": name}
        api.create({"apiVersion": API, "kind": "Application", "metadata": metadata, "spec": spec})
    noted = {"namespace": name, "applications": ["late", "ours", "other"], "projects": [], "secrets": []}
    (tmp_path / "argocd.json").write_text(json.dumps(noted))
    return name


@pytest.fixture
def url(cluster: Context, tmp_path: Path) -> Iterator[str]:
    port = free_port()
    with running(
        "refresh_program",
        settings(port, cluster.folder / "kubeconfig", tmp_path),
        tmp_path,
        package="sandbox.components.existing",
    ):
        yield f"http://127.0.0.1:{port}/api/webhook"


def settings(port: int, kubeconfig: Path, folder: Path) -> dict[str, Any]:
    return {"port": port, "webhook_secret": SECRET, "kubeconfig": str(kubeconfig), "folder": str(folder)}


def told(api: KubeApi, host: str) -> set[str]:
    items = api.list(API, "Application", host)
    return {item["metadata"]["name"] for item in items if REFRESH in (item["metadata"].get("annotations") or {})}


def send(url: str, body: bytes, signed_with: str = SECRET) -> int:
    headers = {SIGNATURE_HEADER: sign(signed_with, body), "X-GitHub-Event": "push"}
    return requests.post(url, data=body, headers=headers, timeout=20).status_code


def test_the_sandboxs_applications_that_follow_the_repository_are_refreshed_and_no_others(
    url: str, api: KubeApi, host: str
) -> None:
    assert send(url, EVENT) == 200
    assert told(api, host) == {"ours"}


def test_a_push_is_told_while_an_earlier_refresh_goes_on(url: str, api: KubeApi, host: str) -> None:
    assert [send(url, EVENT) for _ in range(2)] == [200, 200]
    assert told(api, host) == {"ours"}


def test_what_is_not_signed_by_the_git_server_is_refused(url: str, api: KubeApi, host: str) -> None:
    assert send(url, EVENT, signed_with="another") == 401
    assert told(api, host) == set()


def test_what_is_no_push_is_refused(url: str, api: KubeApi, host: str) -> None:
    assert send(url, b'{"zen": "..."}') == 400
    assert told(api, host) == set()


@pytest.mark.usefixtures("host")
def test_the_git_server_is_asked_to_send_again_what_could_not_be_told(cluster: Context, tmp_path: Path) -> None:
    address = cluster.address("apiserver")
    away = tmp_path / "away"
    away.write_text((cluster.folder / "kubeconfig").read_text().replace(address, "127.0.0.1:9"))
    port = free_port()
    with running("refresh_program", settings(port, away, tmp_path), tmp_path, package="sandbox.components.existing"):
        assert send(f"http://127.0.0.1:{port}/api/webhook", EVENT) == 502
