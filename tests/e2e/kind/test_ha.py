"""Three nodes and Argo CD's HA variant: a push goes live while a pod is killed and while a node is down."""

from __future__ import annotations

import base64
import json
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from sandbox.containers.described import NAME_LABEL
from sandbox.core.commands import run
from sandbox.core.conditions import Deadline, Observation, met, pending, wait_for
from tests.e2e.kind.machine import COLD_SECONDS, component, docker, held, inspected, kubectl
from tests.e2e.support import Outcome, User, git_account

HA = "t3"
NODES = ("gitops-sandbox-t3-control-plane", "gitops-sandbox-t3-worker", "gitops-sandbox-t3-worker2")
DEV = "core-greeter-dev"
OVERLAY = "apps/greeter/overlays/dev"
REPLICAS = {
    "argocd-server": 2,
    "argocd-repo-server": 2,
    "argocd-redis-ha-server": 3,
    "argocd-redis-ha-haproxy": 3,
    "argocd-application-controller": 1,
}
STAY_SECONDS = 5.0
# A redis that takes over may not have what was written last, and say for three minutes that the commit before is the
# newest (Argo CD's --revision-cache-expiration); Argo CD itself looks again every two to three minutes
# (timeout.reconciliation and its jitter).
LIVE_SECONDS = 420.0

pytestmark = [pytest.mark.timeout(COLD_SECONDS), pytest.mark.nightly]


@pytest.fixture(scope="module")
def own(other: User) -> Iterator[User]:
    yield other
    other.ok("down", "--all", seconds=120)
    assert held(HA) == []


@pytest.fixture(scope="module")
def outcome(own: User) -> Outcome:
    return own.run("demo", "--engine", "kind", "--ha", "--name", HA, "--json", seconds=COLD_SECONDS)


@pytest.fixture(scope="module")
def told(outcome: Outcome) -> dict[str, Any]:
    assert outcome.code == 0, outcome
    return outcome.data()


@pytest.fixture
def access(told: dict[str, Any], own: User) -> dict[str, Any]:
    """Give the sandbox with a place for each of Argo CD's pods; a test that breaks more than a pod mends it itself."""
    assert told["passed"]
    status = own.status(HA)
    kubectl(status, "--namespace", "argocd", "wait", "--for=condition=PodScheduled", "pod", "--all", "--timeout=30s")
    return status


def pods(status: dict[str, Any], namespace: str, labels: str = "") -> list[dict[str, Any]]:
    words = ("--namespace", namespace, "get", "pods", "--selector", labels, "--output", "json")
    return list(json.loads(kubectl(status, *words))["items"])


def named(name: str) -> str:
    return f"app.kubernetes.io/name={name}"


def nodes_of(found: list[dict[str, Any]]) -> list[str]:
    return sorted(pod["spec"]["nodeName"] for pod in found)


def push(status: dict[str, Any], scratch: Path, name: str) -> None:
    """Add an object to what dev is to have, as a developer would."""
    account = git_account(status, scratch)
    clone = scratch / "clone"
    run(["git", "clone", "--quiet", f"{status['git']['url']}/core/environment.git", clone], timeout=60, env=account)
    (clone / OVERLAY / f"{name}.yaml").write_text(
        json.dumps({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name}, "data": {"pushed": "yes"}})
    )
    settings = clone / OVERLAY / "kustomization.yaml"
    settings.write_text(settings.read_text().replace("resources:\n", f"resources:\n- {name}.yaml\n"))
    git = ("git", "-C", str(clone), "-c", "user.name=Dev", "-c", "user.email=dev@example.com")
    for words in (("add", "."), ("commit", "--quiet", "--message", f"Add {name}"), ("push", "--quiet")):
        run([*git, *words], timeout=60, env=account)


def goes_live(status: dict[str, Any], scratch: Path, name: str) -> None:
    """Push, and wait until what was pushed is live and stays so."""
    push(status, scratch, name)
    since = time.monotonic()

    def stays() -> Observation:
        nonlocal since
        found = kubectl(status, "--namespace", DEV, "get", "configmap", name, "--ignore-not-found", "--output", "name")
        if not found:
            # Once redis has lost what was written last, Argo CD may take the commit before for the newest for a while.
            since = time.monotonic()
            return pending("it is not there")
        return met() if time.monotonic() - since > STAY_SECONDS else pending("it has come only just now")

    wait_for(stays, Deadline.after(LIVE_SECONDS), wanted=f"{name}, which was pushed, to be live for good", every=0.5)


def test_the_demo_passes_every_step_on_three_nodes_and_loses_no_request(told: dict[str, Any]) -> None:
    assert {each["name"]: each["status"] for each in told["steps"] if each["status"] != "passed"} == {}
    assert told["skipped"] == []
    lost = {each["name"]: each["evidence"]["lost"] for each in told["steps"] if "lost" in each["evidence"]}
    assert set(lost.values()) == {0}


def test_argo_cd_is_as_its_official_ha_manifest_says_and_no_node_has_two_of_a_kind(access: dict[str, Any]) -> None:
    for name, replicas in REPLICAS.items():
        label = "argocd-redis-ha" if name == "argocd-redis-ha-server" else name
        found = nodes_of(pods(access, "argocd", named(label)))
        assert len(found) == replicas, name
        assert len(set(found)) == replicas, name


def test_every_node_runs_pods_and_pods_of_all_nodes_reach_each_other(access: dict[str, Any]) -> None:
    assert {pod["spec"]["nodeName"] for pod in pods(access, "argocd")} >= set(NODES)
    proxies = pods(access, "argocd", named("argocd-redis-ha-haproxy"))
    for pod in proxies:
        for other in proxies:
            connect = f"exec 3<>/dev/tcp/{other['status']['podIP']}/8888"
            name = pod["metadata"]["name"]
            kubectl(
                access, "--namespace", "argocd", "exec", name, "--container", "haproxy", "--", "bash", "-c", connect
            )


def test_no_process_shows_the_password_of_redis(access: dict[str, Any]) -> None:
    secret = kubectl(
        access, "--namespace", "argocd", "get", "secret", "argocd-redis", "--output", "jsonpath={.data.auth}"
    )
    shown = [path.read_bytes() for path in Path("/proc").glob("[0-9]*/cmdline")]
    password = base64.b64decode(secret)
    assert not [line for line in shown if password in line]


def master(status: dict[str, Any]) -> str:
    """Name the pod that redis' sentinels take for the master, by what each server says of itself."""
    ask = 'REDISCLI_AUTH="$AUTH" redis-cli role | head -n 1'
    roles = {
        pod["metadata"]["name"]: kubectl(
            status,
            "--namespace",
            "argocd",
            "exec",
            pod["metadata"]["name"],
            "--container",
            "redis",
            "--",
            "sh",
            "-c",
            ask,
        ).strip()
        for pod in pods(status, "argocd", named("argocd-redis-ha"))
    }
    (name,) = [str(name) for name, role in roles.items() if role == "master"]
    return name


def a_server(status: dict[str, Any]) -> str:
    return str(pods(status, "argocd", named("argocd-server"))[0]["metadata"]["name"])


@pytest.mark.parametrize(("name", "choose"), [("server", a_server), ("redis-master", master)], ids=["server", "master"])
def test_a_push_goes_live_while_a_pod_is_killed(
    access: dict[str, Any], tmp_path: Path, name: str, choose: Callable[[dict[str, Any]], str]
) -> None:
    kubectl(access, "--namespace", "argocd", "delete", "pod", choose(access), "--grace-period=0", "--force")
    goes_live(access, tmp_path, f"without-{name}")


def test_a_push_goes_live_while_a_whole_node_is_down_and_when_it_is_gone_for_good_another_one_joins(
    own: User, access: dict[str, Any], tmp_path: Path
) -> None:
    # There is one application controller: where it dies with its node, Kubernetes itself waits for that node.
    (controller,) = pods(access, "argocd", named("argocd-application-controller"))
    victim = next(name for name in NODES[1:] if name != controller["spec"]["nodeName"])
    docker("stop", victim)
    goes_live(access, tmp_path, "without-a-node")
    seen = own.status(HA)
    assert seen["state"] == "partial"
    assert f"{victim}: exited" in component(seen, "kind-cluster")["seen"]
    docker("rm", "--volumes", victim)
    again = own.ok("up", "--name", HA, seconds=300)
    assert again["state"] == "up"
    before, after = (component(each, "kind-cluster")["nodes"] for each in (access, again))
    assert {name for name in after if after[name] != before[name]} == {victim}
    assert NAME_LABEL in inspected(victim)[0]["Config"]["Labels"]
    live = kubectl(again, "--namespace", DEV, "get", "configmap", "without-a-node", "--output", "jsonpath={.data}")
    assert json.loads(live) == {"pushed": "yes"}, "the cluster did not keep what it held"


def test_nodes_that_were_all_stopped_are_started_again_with_what_they_hold(
    own: User, access: dict[str, Any], tmp_path: Path
) -> None:
    goes_live(access, tmp_path, "before-the-stop")
    nodes = component(access, "kind-cluster")["nodes"]
    own.ok("stop", "--name", HA)
    assert component(own.status(HA), "kind-cluster")["state"] == "stopped"
    again = own.ok("start", "--name", HA, seconds=300)
    assert again["state"] == "up"
    assert component(again, "kind-cluster")["nodes"] == nodes
    live = kubectl(again, "--namespace", DEV, "get", "configmap", "before-the-stop", "--output", "jsonpath={.data}")
    assert json.loads(live) == {"pushed": "yes"}
