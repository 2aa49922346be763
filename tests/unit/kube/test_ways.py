"""Which way a kubeconfig leads to its cluster, as kubectl tells it."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from sandbox.kube.api import KubeApi

PROXY = "http://127.0.0.1:9"


def _endpoint(folder: Path, server: str, **cluster: str) -> str:
    config = {
        "apiVersion": "v1",
        "kind": "Config",
        "current-context": "one",
        "contexts": [{"name": "one", "context": {"cluster": "one", "user": "one"}}],
        "clusters": [{"name": "one", "cluster": {"server": server, **cluster}}],
        "users": [{"name": "one", "user": {}}],
    }
    path = folder / "kubeconfig"
    path.write_text(yaml.safe_dump(config))
    return KubeApi(path).endpoint().proxy


@pytest.fixture(autouse=True)
def behind_a_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("HTTP_PROXY", "HTTPS_PROXY"):
        monkeypatch.setenv(name, PROXY)


@pytest.mark.parametrize("server", ["https://127.0.0.1:6443", "https://localhost:6443", "https://[::1]:6443"])
def test_a_proxy_of_the_environment_is_not_asked_for_this_machine(tmp_path: Path, server: str) -> None:
    assert _endpoint(tmp_path, server) == ""


def test_it_is_asked_for_any_other(tmp_path: Path) -> None:
    assert _endpoint(tmp_path, "https://cluster.test:6443") == PROXY


def test_one_that_the_file_names_is_asked_always(tmp_path: Path) -> None:
    assert (
        _endpoint(tmp_path, "https://127.0.0.1:6443", **{"proxy-url": "http://bastion.test"}) == "http://bastion.test"
    )
