"""A cluster made by plain kind, as somebody who has never heard of a sandbox makes one, and what lives in it."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import yaml

from sandbox.containers.cluster_config import cluster_config
from sandbox.containers.docker import connect
from sandbox.containers.host import host_needs
from sandbox.containers.images import ensure_images
from sandbox.core.commands import run
from sandbox.core.ports import lease_ports
from sandbox.toolchain import ensure_tools
from tests.e2e.support import tool

__all__ = ["PlainCluster", "plain_cluster"]

_SECONDS = 60.0
_CREATE_SECONDS = 240.0
# What a cluster does by itself, all the time.
_RESTLESS = {"events", "leases", "endpointslices", "endpoints", "ipaddresses", "componentstatuses", "nodes"}


class PlainCluster:
    """A cluster, its administrator, and people who are not."""

    def __init__(self, name: str, kubeconfig: Path) -> None:
        self.name = name
        self.kubeconfig = kubeconfig
        self.context = f"kind-{name}"

    def kubectl(self, *words: str, kubeconfig: Path | None = None, **options: Any) -> str:
        """Run kubectl, as the administrator unless another kubeconfig is given."""
        return run(
            [tool("kubectl"), "--kubeconfig", kubeconfig or self.kubeconfig, *words], timeout=_SECONDS, **options
        )

    def user(self, name: str, folder: Path) -> Path:
        """Give the kubeconfig of somebody new who may do nothing yet; its context is called ``theirs``."""
        self.kubectl("create", "serviceaccount", name)
        token = self.kubectl("create", "token", name, "--duration=2h").strip()
        config = yaml.safe_load(self.kubeconfig.read_text())
        config["users"] = [{"name": name, "user": {"token": token}}]
        config["contexts"] = [{"name": "theirs", "context": {"cluster": config["clusters"][0]["name"], "user": name}}]
        config["current-context"] = ""
        path = folder / f"{name}.kubeconfig"
        path.write_text(yaml.safe_dump(config))
        return path

    def objects(self) -> set[str]:
        """Name every object of the cluster by its kind, namespace and uid; not what a cluster changes by itself."""
        kinds = self.kubectl("api-resources", "--verbs=list", "--output=name").split()
        listed = ",".join(kind for kind in kinds if kind.partition(".")[0] not in _RESTLESS)
        found = json.loads(self.kubectl("get", listed, "--all-namespaces", "--output=json"))["items"]
        named = [(item["kind"], item["metadata"]) for item in found]
        return {f"{kind} {each.get('namespace', '')}/{each['name']} {each['uid']}" for kind, each in named}


@contextmanager
def plain_cluster(name: str, folder: Path) -> Iterator[PlainCluster]:
    """Make a cluster with the plain kind program, and delete it in the end with that.

    Its node has the images of Argo CD, as a cluster without a way out has those that somebody has loaded into it.
    """
    kind, network = tool("kind"), f"plain-{name}"
    kubeconfig = folder / "admin.kubeconfig"
    with connect() as docker:
        needs, image = host_needs(docker.info()), ensure_images(docker)
    port = lease_ports(folder, name, ["apiserver"])["apiserver"]
    config = folder / "kind.yaml"
    config.write_text(yaml.safe_dump(cluster_config(needs, api_port=port)))
    environment = {**os.environ, "KIND_EXPERIMENTAL_DOCKER_NETWORK": network, "HOME": str(folder)}
    words = ["--name", name, "--kubeconfig", str(kubeconfig)]
    run(["docker", "network", "create", network], timeout=_SECONDS)
    try:
        create = [kind, "create", "cluster", *words, "--image", image.node, "--config", str(config), "--wait", "120s"]
        run(create, timeout=_CREATE_SECONDS, env=environment)
        _load_redis(name, image.contents)
        yield PlainCluster(name, kubeconfig)
    finally:
        run([kind, "delete", "cluster", *words], timeout=_SECONDS, env=environment)
        run(["docker", "network", "rm", network], timeout=_SECONDS)


def _load_redis(name: str, contents: Any) -> None:
    """Give a server that speaks Redis' protocol the name that install.yaml has for it."""
    install = ensure_tools(("argocd",))["argocd"].file("install.yaml").read_text()
    wanted = next(iter(re.findall(r"image: (\S*/redis:\S+)", install)))
    held = next(each for each in contents if each.startswith("localhost/gitops-sandbox/redis:"))
    node = ["docker", "exec", f"{name}-control-plane", "ctr", "--namespace", "k8s.io", "images", "tag", held, wanted]
    run(node, timeout=_SECONDS)
