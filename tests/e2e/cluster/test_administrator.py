"""A sandbox in a cluster by somebody who may do everything there: it limits itself, and leaves no trace."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.e2e.cluster.plain import PlainCluster
from tests.e2e.kind.machine import COLD_SECONDS, record
from tests.e2e.support import User

NAME = "a1"
OWN = f"gitops-sandbox-{NAME}"

pytestmark = pytest.mark.timeout(COLD_SECONDS)


@pytest.fixture(scope="module")
def user(plain: PlainCluster, tmp_path_factory: pytest.TempPathFactory) -> Iterator[User]:
    one = User(tmp_path_factory.mktemp("a"), changes={"KUBECONFIG": str(plain.kubeconfig)})
    with one.leaving_nothing():
        yield one


def may(plain: PlainCluster, status: dict[str, str], *words: str) -> bool:
    asked = ("auth", "can-i", "--quiet", *words)
    return plain.succeeds(*asked, kubeconfig=Path(status["kubeconfig"]))


@pytest.mark.nightly
def test_a_sandbox_comes_rests_and_goes_and_the_cluster_is_as_it_was(user: User, plain: PlainCluster) -> None:
    before, kubeconfig = plain.objects(), plain.kubeconfig.read_bytes()

    up = user.ok("up", "--engine", "cluster", "--context", plain.context, "--name", NAME, seconds=COLD_SECONDS)
    assert (up["state"], up["engine"], up["argocd"]["namespace"]) == ("up", "cluster", OWN)
    made = {each.rpartition(" ")[0] for each in plain.objects() - before}
    kinds = {each.partition(" ")[0] for each in made if f" {OWN}/" not in each}
    # The cluster itself makes the two last, for a type and for a claim.
    assert kinds <= {"Namespace", "CustomResourceDefinition", "APIService", "PersistentVolume"}
    assert {each for each in made if each.startswith("Namespace ")} == {f"Namespace /{OWN}"}
    assert may(plain, up, "create", "deployments", "--namespace", OWN)
    beyond = (("list", "namespaces"), ("get", "secrets", "--namespace", "kube-system"), ("create", "clusterroles"))
    assert [words for words in beyond if may(plain, up, *words)] == []

    user.ok("stop", "--name", NAME)
    assert user.status(NAME)["state"] == "down"
    plain.wait_for_no_pods(OWN)

    again = user.ok("start", "--name", NAME, seconds=COLD_SECONDS)
    assert again["state"] == "up"
    assert again["registry"]["url"] == up["registry"]["url"], "images would have other names"

    assert user.ok("down", "--name", NAME, seconds=COLD_SECONDS) == {"ended": [NAME]}
    plain.wait_for_objects(before)
    assert plain.kubeconfig.read_bytes() == kubeconfig


def test_a_namespace_that_is_there_already_is_refused_and_left_alone(user: User, plain: PlainCluster) -> None:
    plain.kubectl("create", "namespace", "gitops-sandbox-taken")
    before = plain.objects()
    try:
        outcome = user.run("up", "--engine", "cluster", "--context", plain.context, "--name", "taken")
        assert outcome.code == 3, outcome
        assert "there is a namespace gitops-sandbox-taken already" in outcome.stderr
        assert plain.objects() == before
        assert not (user.folder / "taken").exists()
    finally:
        plain.kubectl("delete", "namespace", "gitops-sandbox-taken")


def test_an_interrupted_up_leaves_nothing_in_the_cluster(user: User, plain: PlainCluster) -> None:
    before = plain.objects()
    command = user.start("up", "--engine", "cluster", "--context", plain.context, "--name", "broken-off")
    plain.wait_for_namespace("gitops-sandbox-broken-off")
    assert record(user, "broken-off")["context"] == plain.context
    command.terminate()
    assert user.finish(command, seconds=COLD_SECONDS).code == 143
    plain.wait_for_objects(before)
    assert not (user.folder / "broken-off").exists()
