"""Behind a proxy: what lies in the internet comes through it, and what goes to the sandbox's own servers never does."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from tests.e2e.internet import HOST, leading_to, publish_chart
from tests.e2e.support import BEHIND_A_PROXY, User
from tests.own_repositories import UserRepository

pytestmark = [pytest.mark.timeout(300), pytest.mark.nightly]


def test_a_chart_comes_through_the_users_proxy_which_is_asked_for_nothing_of_the_sandboxs(
    user: User, tmp_path: Path
) -> None:
    internet = tmp_path / "internet"
    internet.mkdir()
    publish_chart(internet, tmp_path)
    needs = f'dependencies: [{{name: far, version: 1.0.0, repository: "http://{HOST}"}}]\n'
    own = UserRepository(tmp_path / "own")
    own.write({"app/Chart.yaml": f"apiVersion: v2\nname: near\nversion: 1.0.0\n{needs}"}).commit()
    with leading_to(internet) as proxy:
        behind = {name: proxy.url if value else "" for name, value in BEHIND_A_PROXY.items()}
        outcome = replace(user, changes=behind).run("check", str(own.folder), "--json")
    assert outcome.code == 0, outcome
    assert proxy.asked == {HOST}
