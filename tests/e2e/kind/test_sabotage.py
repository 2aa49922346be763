"""Breaks that only running containers can show: a story that passes under its own is a broken check."""

from __future__ import annotations

from typing import Any

import pytest

from sandbox.engines.embedded import Embedded
from sandbox.gitops.story import Sabotage, Story
from scenarios import catalogue
from tests.e2e.kind.machine import COLD_SECONDS
from tests.e2e.support import User

BREAKS = [
    (story, sabotage)
    for story in catalogue().values()
    for sabotage in story.sabotages
    if "containers" in sabotage.needs and sabotage.missing(Embedded.capabilities)
]

pytestmark = [pytest.mark.timeout(COLD_SECONDS), pytest.mark.nightly]


@pytest.mark.parametrize(
    ("story", "sabotage"),
    BREAKS,
    ids=[sabotage.name for _, sabotage in BREAKS],
)
def test_a_story_fails_at_the_step_that_is_sabotaged(
    user: User, standing: dict[str, Any], story: Story, sabotage: Sabotage
) -> None:
    words = ("sabotage", sabotage.name, "--scenario", story.name, "--name", str(standing["name"]))
    told = user.ok(*words, seconds=600)
    assert told["sabotages"] == [
        {**told["sabotages"][0], "name": sabotage.name, "step": sabotage.step, "noticed": True, "reason": ""}
    ]
    assert told["skipped"] == []
