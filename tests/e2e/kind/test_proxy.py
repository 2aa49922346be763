"""Behind a proxy: Argo CD's pods go through it to the internet, and past it to the sandbox's own servers."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from sandbox.core.conditions import Deadline, Observation, met, pending, wait_for
from sandbox.kube.api import KubeApi
from tests.e2e.internet import HOST, Proxy, leading_to, publish_chart
from tests.e2e.kind.machine import COLD_SECONDS, NAME
from tests.e2e.support import BEHIND_A_PROXY, User

ARGOCD = "argoproj.io/v1alpha1"
SECONDS = 120.0

pytestmark = pytest.mark.timeout(COLD_SECONDS)


@pytest.fixture
def proxy(standing: dict[str, Any], tmp_path: Path) -> Iterator[Proxy]:
    """Give a proxy where both the sandbox's pods and this machine reach it, as they do the Git server."""
    internet = tmp_path / "internet"
    internet.mkdir()
    publish_chart(internet, tmp_path)
    with leading_to(internet, str(urlsplit(standing["git"]["url"]).hostname)) as running:
        yield running


@pytest.fixture
def api(standing: dict[str, Any]) -> Iterator[KubeApi]:
    api = KubeApi(Path(standing["kubeconfig"]))
    yield api
    api.delete(ARGOCD, "Application", "far", "argocd")
    api.delete("v1", "ConfigMap", "it", "default")
    api.close()


def test_a_chart_comes_through_a_proxy_that_its_user_has_come_to_have(user: User, proxy: Proxy, api: KubeApi) -> None:
    behind = {name: proxy.url if value else "" for name, value in BEHIND_A_PROXY.items()}
    assert replace(user, changes={**user.changes, **behind}).ok("up", "--name", NAME)["state"] == "up"
    source = {"repoURL": f"http://{HOST}", "chart": "far", "targetRevision": "1.0.0"}
    destination = {"server": "https://kubernetes.default.svc", "namespace": "default"}
    metadata = {"name": "far", "namespace": "argocd"}
    spec = {"project": "default", "source": source, "destination": destination, "syncPolicy": {"automated": {}}}
    api.create({"apiVersion": ARGOCD, "kind": "Application", "metadata": metadata, "spec": spec})

    def deployed() -> Observation:
        status = (api.get(ARGOCD, "Application", "far", "argocd") or {}).get("status", {})
        there = api.get("v1", "ConfigMap", "it", "default") is not None
        return met("there") if there else pending(str(status.get("conditions", status)))

    wait_for(deployed, Deadline.after(SECONDS), wanted="what the chart says to live", every=0.2)
    # Nothing of the sandbox's own, in particular: not Git, which answers at the proxy's own address.
    assert proxy.asked == {HOST}
