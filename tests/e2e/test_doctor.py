"""`doctor` on the machine of the tests."""

from __future__ import annotations

from tests.e2e.support import User


def test_the_doctor_says_that_the_embedded_engine_works_here_and_what_it_looked_at(user: User) -> None:
    said = user.ok("doctor", "--engine", "embedded")
    assert said["engines"] == {"embedded": True}
    assert {each["name"] for each in said["checks"]} >= {"Python", "Git", "cache", "state", "memory"}
    assert all(each["seen"] for each in said["checks"])


def test_without_docker_the_doctor_says_what_is_missing_for_kind_and_ends_with_3(user: User) -> None:
    without = User(user.state, changes={"DOCKER_HOST": "unix:///nowhere/docker.sock"})
    outcome = without.run("doctor", "--json")
    assert outcome.code == 3, outcome
    said = outcome.data()
    assert said["engines"]["kind"] is False
    docker = next(each for each in said["checks"] if each["name"] == "Docker")
    assert (docker["status"], bool(docker["seen"]), bool(docker["next"])) == ("wrong", True, True)
    assert "Traceback" not in outcome.stderr
