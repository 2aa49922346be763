"""As many manifests in one Application as a large repository has; takes minutes, and is told by name only."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.e2e.support import User
from tests.own_repositories import UserRepository, application, deployment

MAPS, DEPLOYMENTS = 1900, 100
CONFIG_MAP = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: NAME}\ndata: {a: b}\n"
# Argo CD takes some 20 ms of a core for each dry run and each apply, and the machine may be busy.
SECONDS = 1500.0

pytestmark = [pytest.mark.timeout(SECONDS + 60), pytest.mark.nightly]


def test_two_thousand_manifests_in_one_application_are_synced_and_proved(user: User, tmp_path: Path) -> None:
    repository = UserRepository(tmp_path / "large")
    maps = {f"all/map-{n}.yaml": CONFIG_MAP.replace("NAME", f"map-{n}") for n in range(MAPS)}
    deployments = {f"all/app-{n}.yaml": deployment(f"app-{n}") for n in range(DEPLOYMENTS)}
    repository.commit({"large.yaml": application("large", "all"), **maps, **deployments})

    found = user.ok("check", str(repository.folder), seconds=SECONDS)
    [verdict] = found["applications"]
    assert verdict["held"], found
    assert verdict["objects"] == MAPS + DEPLOYMENTS
