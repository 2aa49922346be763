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

from sandbox.containers.cluster_config import plain_config
from sandbox.containers.docker import connect
from sandbox.containers.host import host_needs
from sandbox.containers.images import ensure_images
from sandbox.core.commands import CommandError, run
from sandbox.core.conditions import Deadline, Observation, met, pending, wait_for
from sandbox.core.ports import lease_ports
from sandbox.toolchain import ensure_tools
from tests.e2e.support import tool

__all__ = ["PEOPLE", "PlainCluster", "plain_cluster"]

PEOPLE = ("dana", "eve")
"""Who uses the cluster and is no administrator."""

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

    def succeeds(self, *words: str, kubeconfig: Path) -> bool:
        """Say whether kubectl ends well."""
        try:
            self.kubectl(*words, kubeconfig=kubeconfig)
        except CommandError:
            return False
        return True

    def wait_for_objects(self, wanted: set[str]) -> None:
        """Wait until the cluster holds just these: what it cleans up itself, as volumes, goes a moment later."""

        def same() -> Observation:
            try:
                now = self.objects()
            except CommandError as error:
                # A type that is just going is listed, and not served.
                return pending(error.why)
            difference = [f"+ {each}" for each in now - wanted] + [f"- {each}" for each in wanted - now]
            return pending("; ".join(sorted(difference))) if difference else met("as it was")

        wait_for(same, Deadline.after(_SECONDS), wanted="the cluster to be as it was", every=1.0)

    def wait_for_no_pods(self, namespace: str) -> None:
        """Wait until no pod of a namespace is left, not even one that is ending."""

        def gone() -> Observation:
            left = self.kubectl("get", "pods", "--namespace", namespace, "--output=name").split()
            return pending(", ".join(left)) if left else met("none")

        wait_for(gone, Deadline.after(_SECONDS), wanted=f"no pod in {namespace}", every=0.5)

    def wait_for_namespace(self, name: str) -> None:
        """Wait until a namespace is there."""

        def there() -> Observation:
            found = self.kubectl("get", "namespace", name, "--ignore-not-found", "--output=name")
            return met(found) if found else pending("not there")

        wait_for(there, Deadline.after(_SECONDS), wanted=f"namespace {name}", every=0.1)

    def user(self, name: str, folder: Path) -> Path:
        """Give the kubeconfig of one of ``PEOPLE``, who may do nothing yet; its context is called ``theirs``."""
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
    config.write_text(yaml.safe_dump(plain_config(needs, api_port=port)))
    environment = {**os.environ, "KIND_EXPERIMENTAL_DOCKER_NETWORK": network, "HOME": str(folder)}
    words = ["--name", name, "--kubeconfig", str(kubeconfig)]
    run(["docker", "network", "create", network], timeout=_SECONDS)
    try:
        create = [kind, "create", "cluster", *words, "--image", image.node, "--config", str(config), "--wait", "120s"]
        run(create, timeout=_CREATE_SECONDS, env=environment)
        _load_redis(name, image.contents)
        made = PlainCluster(name, kubeconfig)
        # kind waits for the node alone: what runs in every cluster comes into this one a moment later.
        made.kubectl("wait", "deployments", "--all", "--all-namespaces", "--for=condition=Available", "--timeout=50s")
        for each in PEOPLE:
            made.kubectl("create", "serviceaccount", each)
        yield made
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
