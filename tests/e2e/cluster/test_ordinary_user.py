"""A sandbox in a cluster by somebody who is no administrator, and has just what was printed for one to grant."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.cluster.plain import PlainCluster
from tests.e2e.kind.machine import COLD_SECONDS, executed, told_of
from tests.e2e.support import User

NAME = "r1"
PLACE = ("--context", "theirs", "--name", NAME)

pytestmark = pytest.mark.timeout(COLD_SECONDS)


@dataclass(frozen=True)
class Granted:
    """Somebody who was granted what was printed, and what the cluster held then."""

    user: User
    objects: set[str]


def person(plain: PlainCluster, name: str, folder: Path) -> User:
    return User(folder, changes={"KUBECONFIG": str(plain.user(name, folder))})


@pytest.fixture(scope="module")
def granted(plain: PlainCluster, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Granted]:
    user = person(plain, "dana", tmp_path_factory.mktemp("d"))
    printed = user.run("role", *PLACE, "--tenants", "core")
    assert printed.code == 0, printed
    plain.kubectl("apply", "--server-side", "--filename=-", stdin=printed.stdout)
    with user.leaving_nothing():
        yield Granted(user, plain.objects())
    plain.kubectl("delete", "--ignore-not-found", "--filename=-", stdin=printed.stdout)


@pytest.fixture(scope="module")
def told(granted: Granted) -> dict[str, Any]:
    return granted.user.ok("demo", "--engine", "cluster", *PLACE, seconds=COLD_SECONDS)


def test_the_demo_passes_every_step_and_skips_none(told: dict[str, Any]) -> None:
    assert told["engine"] == "cluster"
    assert {each["name"]: each["status"] for each in told["steps"] if each["status"] != "passed"} == {}
    assert told["skipped"] == []
    assert told_of(told, "rollout-in-use")["lost"] == 0


def test_the_node_has_pulled_what_ci_pushed_under_the_same_name(told: dict[str, Any], plain: PlainCluster) -> None:
    image, _, digest = told_of(told, "rollback-by-revert")["image"].partition("@")
    listed = executed(f"{plain.name}-control-plane", "crictl", "images", "--digests", "--no-trunc")
    assert image.rpartition(":")[0] in listed
    assert digest in listed


def test_down_takes_what_the_sandbox_made_and_leaves_what_was_granted(
    told: dict[str, Any], granted: Granted, plain: PlainCluster
) -> None:
    assert told["passed"]
    granted.user.ok("down", "--name", NAME, seconds=COLD_SECONDS)
    plain.wait_for_objects(granted.objects)


def test_who_was_granted_nothing_is_refused_with_what_is_lacking(plain: PlainCluster, tmp_path: Path) -> None:
    user, before = person(plain, "eve", tmp_path), plain.objects()
    outcome = user.run("up", "--engine", "cluster", "--context", "theirs", "--name", "e1")
    assert outcome.code == 3, outcome
    assert "namespaces (get, create, patch, delete)" in " ".join(outcome.stderr.split())
    assert "./inv role --name e1 --context theirs" in " ".join(outcome.stderr.split())
    assert plain.objects() == before
    doctor = user.run("doctor", "--engine", "cluster", "--context", "theirs", "--name", "e1", "--json")
    assert doctor.code == 3
    assert doctor.data()["engines"] == {"cluster": False}
