"""The pytest plugin of the installed wheel, on the kind engine."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.e2e.kind.machine import COLD_SECONDS, held
from tests.e2e.plugin import Project, installed, properties, verdicts
from tests.e2e.support import User

TESTS = """
    import pytest
    from sandbox.gitops.story import eventually

    @pytest.mark.gitops_needs("containers")
    def test_a_release_answers(story):
        story.environment.begin()
        story.source.begin()
        story.source.push()
        eventually(story.pipeline.passes(story.source.head))
        story.environment.pull()
        story.register("dev")
        eventually(story.service.says(story.source.version, story.source.head))

    def test_what_is_not_released_does_not_answer(story):
        \"\"\"Nobody released anything, and so the test fails.\"\"\"
        story.source.begin()
        eventually(story.service.says(story.source.version, story.source.head), within=2)
"""

pytestmark = pytest.mark.timeout(COLD_SECONDS)


@pytest.mark.nightly
def test_a_run_has_a_cluster_of_containers_and_leaves_none(other: User, tmp_path: Path) -> None:
    (tmp_path / "project").mkdir()
    project = Project(tmp_path / "project", installed(tmp_path), other)
    project.write("test_releases.py", TESTS)
    outcome = project.run("--gitops-engine", "kind", "--gitops-strict", "--junitxml=junit.xml")
    assert verdicts(project.folder / "junit.xml") == {
        "test_a_release_answers": "passed",
        "test_what_is_not_released_does_not_answer": "failure",
    }, outcome
    told = properties(project.folder / "junit.xml", "test_a_release_answers")
    assert told["gitops.engine"] == "kind"
    assert held(told["gitops.sandbox"]) == []
