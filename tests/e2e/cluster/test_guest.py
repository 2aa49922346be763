"""A sandbox that uses the Argo CD of somebody else, by a user who has just what was printed for its owner to grant."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.e2e.cluster.host import NAMESPACE, THEIRS, objects, somebodys_argocd
from tests.e2e.cluster.plain import PlainCluster
from tests.e2e.kind.machine import COLD_SECONDS, told_of
from tests.e2e.support import User

NAME = "g1"
PLACE = ("--context", "theirs", "--name", NAME, "--argocd", NAMESPACE)

pytestmark = [pytest.mark.timeout(COLD_SECONDS), pytest.mark.nightly]


@dataclass(frozen=True)
class Guest:
    """Somebody who was granted what was printed, and what the host held then."""

    user: User
    objects: dict[str, str]


def person(plain: PlainCluster, name: str, folder: Path) -> User:
    return User(folder, changes={"KUBECONFIG": str(plain.user(name, folder))})


@pytest.fixture(scope="module")
def host(plain: PlainCluster) -> Iterator[PlainCluster]:
    with somebodys_argocd(plain):
        yield plain


@pytest.fixture(scope="module")
def guest(host: PlainCluster, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Guest]:
    user = person(host, "dana", tmp_path_factory.mktemp("g"))
    printed = user.run("role", *PLACE, "--tenants", "core,sabotage")
    assert printed.code == 0, printed
    host.kubectl("apply", "--server-side", "--filename=-", stdin=printed.stdout)
    with user.leaving_nothing():
        yield Guest(user, objects(host))
    host.kubectl("delete", "--ignore-not-found", "--filename=-", stdin=printed.stdout)


@pytest.fixture(scope="module")
def told(guest: Guest) -> dict[str, Any]:
    return guest.user.ok("demo", "--engine", "cluster", *PLACE, seconds=COLD_SECONDS)


def test_the_demo_passes_every_step_and_skips_none(told: dict[str, Any]) -> None:
    assert {each["name"]: each["status"] for each in told["steps"] if each["status"] != "passed"} == {}
    assert told["skipped"] == []
    assert told_of(told, "rollout-in-use")["lost"] == 0


def test_the_sandbox_can_see_nothing_of_its_hosts_and_down_leaves_the_host_as_it_was(
    told: dict[str, Any], guest: Guest, host: PlainCluster
) -> None:
    assert told["passed"]
    status = guest.user.status(NAME)
    assert status["argocd"] == dict.fromkeys(("url", "username", "password_file", "ca_file")) | {"namespace": NAMESPACE}
    account, where = Path(status["kubeconfig"]), ("--namespace", NAMESPACE)
    for words in (
        ("get", "secret", "argocd-secret"),
        ("list", "secrets"),
        ("get", f"application/{THEIRS}"),
        ("list", "applications"),
        ("patch", f"application/{THEIRS}"),
        ("patch", "configmap/argocd-cm"),
        ("create", "pods"),
    ):
        assert not host.succeeds("auth", "can-i", "--quiet", *words, *where, kubeconfig=account), words
    assert host.succeeds(
        "auth", "can-i", "--quiet", "patch", f"application/{NAME}-core-greeter-dev", *where, kubeconfig=account
    )
    project = yaml.safe_load(host.kubectl("get", "appproject", f"{NAME}-core-greeter", *where, "--output=yaml"))
    assert {each["namespace"] for each in project["spec"]["destinations"]} == {
        f"{NAME}-core-greeter-{each}" for each in ("dev", "staging", "production")
    }
    assert project["spec"]["sourceRepos"] == [f"http://git-server.gitops-sandbox-{NAME}.svc:3000/core/environment.git"]
    assert "clusterResourceWhitelist" not in project["spec"]

    during = objects(host)
    assert {name: during[name] for name in guest.objects} == guest.objects
    guest.user.ok("down", "--name", NAME, seconds=COLD_SECONDS)
    assert objects(host) == guest.objects


def test_an_administrators_sandbox_comes_rests_and_goes_and_its_host_is_as_it_was(
    host: PlainCluster, tmp_path: Path
) -> None:
    user, before = User(tmp_path, changes={"KUBECONFIG": str(host.kubeconfig)}), objects(host)
    place = ("--engine", "cluster", "--context", host.context, "--argocd", NAMESPACE)
    with user.leaving_nothing():
        user.ok("up", *place, "--name", "g2", seconds=COLD_SECONDS)
        made = {each.rpartition(" ")[0] for each in objects(host).keys() - before.keys()}
        assert made == {"Secret gitops-sandbox-g2-git", "Role gitops-sandbox-g2", "RoleBinding gitops-sandbox-g2"}
        user.ok("stop", "--name", "g2")
        assert user.ok("start", "--name", "g2", seconds=COLD_SECONDS)["state"] == "up"
        user.ok("down", "--name", "g2", seconds=COLD_SECONDS)
    assert objects(host) == before


def test_who_was_granted_nothing_there_is_refused_with_what_is_lacking(host: PlainCluster, tmp_path: Path) -> None:
    user, before = person(host, "eve", tmp_path), objects(host)
    outcome = user.run("up", "--engine", "cluster", "--context", "theirs", "--name", "e2", "--argocd", NAMESPACE)
    said = " ".join(outcome.stderr.split())
    assert outcome.code == 3, outcome
    assert f"not allowed in namespace {NAMESPACE}:" in said
    assert "secrets (get, create, patch, delete)" in said
    assert f"./inv role --name e2 --context theirs --argocd {NAMESPACE}" in said
    assert objects(host) == before
