from __future__ import annotations

from dataclasses import replace

from tests.e2e.support import User

NO_DAEMON = "unix:///nonexistent/docker.sock"


def test_the_doctor_says_what_this_host_has_and_finds_a_damaged_sandbox(user: User) -> None:
    broken = user.folder / "broken"
    broken.mkdir(parents=True, mode=0o700)
    (broken / "sandbox.json").write_text("{}")
    found = user.ok("doctor", "--engine", "embedded")
    assert found["engines"] == {"embedded": True}
    checks = {check["name"]: check for check in found["checks"]}
    assert str(user.folder) in checks["state"]["seen"]
    assert checks["sandboxes"]["status"] == "warning"
    assert "broken" in checks["sandboxes"]["next"]


def test_a_daemon_that_is_not_there_fails_the_engine_that_needs_it_with_3_and_says_so(user: User) -> None:
    without = replace(user, changes={"DOCKER_HOST": NO_DAEMON})
    outcome = without.run("doctor", "--engine", "kind", "--json")
    assert outcome.code == 3, outcome
    found = outcome.data()
    assert found["engines"] == {"kind": False}
    (docker,) = [check for check in found["checks"] if check["name"] == "Docker"]
    assert docker["status"] == "wrong"
    assert NO_DAEMON in docker["next"]
    assert without.ok("doctor", "--engine", "embedded")["engines"] == {"embedded": True}


def test_an_unknown_engine_is_wrong_use(user: User) -> None:
    assert user.run("doctor", "--engine", "cloud").code == 2
