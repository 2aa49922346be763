from __future__ import annotations

from typing import Any

import pytest

from sandbox.components.existing.refresh_program import follows

URL = "http://git.box.svc:3000/core/environment.git"
OTHER = "http://git.box.svc:3000/core/environment-2.git"


@pytest.mark.parametrize(
    ("spec", "told"),
    [
        ({"source": {"repoURL": URL}}, True),
        ({"source": {"repoURL": URL.removesuffix(".git")}}, True),
        ({"sources": [{"repoURL": OTHER}, {"repoURL": URL}]}, True),
        ({"source": {"repoURL": OTHER}}, False),
        ({"sources": [{"chart": "x"}]}, False),
    ],
)
def test_an_application_is_told_of_a_push_to_any_of_its_repositories(spec: dict[str, Any], *, told: bool) -> None:
    assert follows({"spec": spec}, URL) is told
