"""With every way out of the sandbox's containers cut, images come back and releases go through."""

from __future__ import annotations

import contextlib
import ipaddress
import json
from collections.abc import Iterator
from typing import Any

import pytest

from sandbox.core.commands import CommandError
from sandbox.core.conditions import Deadline, Observation, met, pending, wait_for
from sandbox.kube.rollout import rollout_waits_for
from tests.e2e.kind.machine import COLD_SECONDS, NAME, docker, executed, image_of, inspected, kubectl, node, told_of
from tests.e2e.support import User

NETWORK = f"gitops-sandbox-{NAME}"
CHAINS = ("OUTPUT", "FORWARD")
ELSEWHERE = "192.0.2.1"  # of a network for documentation: nobody is there (RFC 5737)
POD_SECONDS = 120.0

pytestmark = pytest.mark.timeout(COLD_SECONDS)


def iptables(container: str, *words: str) -> str:
    """Run iptables in the network namespace of a container, which need not have it."""
    (described,) = inspected(node())
    where = ("--network", f"container:{container}", "--privileged", "--entrypoint", "iptables")
    return docker("run", "--rm", *where, described["Config"]["Image"], "--wait", *words)


def rules(chain: str) -> tuple[str, ...]:
    """Give the rule that lets nothing leave the sandbox's network."""
    (network,) = json.loads(docker("network", "inspect", NETWORK))
    own = str(ipaddress.ip_network(network["IPAM"]["Config"][0]["Subnet"]))
    # Docker's own name server seems to be reached by eth0, and is in the container's namespace all the same.
    beyond = ("!", "--destination", own, "--match", "addrtype", "!", "--dst-type", "LOCAL")
    return (chain, "--out-interface", "eth0", *beyond, "--jump", "DROP")


@pytest.fixture
def cut_off(user: User, standing: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """Give a sandbox none of whose containers can send anything out of its network."""
    cut = [(each["container"], chain) for each in standing["components"] if each.get("container") for chain in CHAINS]
    with contextlib.ExitStack() as mending:
        for container, chain in cut:
            iptables(container, "--insert", *rules(chain))
            mending.callback(iptables, container, "--delete", *rules(chain))
        with pytest.raises(CommandError):
            executed(node(), "timeout", "2", "bash", "-c", f"exec 3<>/dev/tcp/{ELSEWHERE}/443")
        counted = executed(node(), "iptables", "--list", "OUTPUT", "1", "--verbose", "--numeric", "--exact")
        assert int(counted.split()[0]) > 0, "the rule has not met what was sent out"
        yield user.status(NAME)


def has(image: str) -> bool:
    """Say whether the node has an image of that name."""
    images = json.loads(executed(node(), "crictl", "images", "--output", "json"))["images"]
    return any(image in each["repoTags"] for each in images)


@pytest.mark.nightly
@pytest.mark.parametrize(("namespace", "name"), [("kube-system", "coredns"), ("argocd", "argocd-redis")])
def test_an_image_that_is_deleted_from_the_node_comes_back_from_the_mirror(
    cut_off: dict[str, Any], namespace: str, name: str
) -> None:
    image = image_of(cut_off, namespace, name)
    assert has(image)
    executed(node(), "crictl", "rmi", image)
    assert not has(image)
    kubectl(cut_off, "--namespace", namespace, "rollout", "restart", f"deployment/{name}")

    def back() -> Observation:
        return met("it is back") if has(image) else pending(f"{image} is not in the node")

    def rolled_out() -> Observation:
        described = kubectl(cut_off, "--namespace", namespace, "get", "deployment", name, "--output", "json")
        waits = rollout_waits_for(json.loads(described))
        return pending(waits) if waits else met("rolled out")

    wait_for(back, Deadline.after(POD_SECONDS), wanted=f"{image} to come back")
    wait_for(rolled_out, Deadline.after(POD_SECONDS), wanted=f"{name} to run from it", every=0.5)


@pytest.mark.usefixtures("cut_off")
def test_the_whole_story_is_told_without_any_way_out(user: User) -> None:
    told = user.ok("demo", "--name", NAME, "--engine", "kind", seconds=300)
    assert told["passed"]
    assert told["skipped"] == []
    assert told_of(told, "rollout-in-use")["lost"] == 0
