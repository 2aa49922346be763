from __future__ import annotations

from pathlib import Path

import pytest

from sandbox.containers.freezer import thaw
from sandbox.core.errors import UnavailableError

ID = "b3fc787a"


class Machine:
    """The freezer of a machine, with one container of three cgroups."""

    def __init__(self, folder: Path) -> None:
        self.mounted = folder / "freezer"
        self.states = [self.mounted / "docker" / ID / name / "freezer.state" for name in ("", "pod", "pod/inner")]
        for state in self.states:
            state.parent.mkdir(parents=True, exist_ok=True)
            state.write_text("THAWED\n")

    def thaw(self, container: str = ID) -> list[str]:
        """Thaw what is frozen in the container."""
        return thaw(container, mounted=self.mounted)


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    return Machine(tmp_path)


@pytest.mark.parametrize("state", ["FROZEN", "FREEZING"])
def test_what_is_frozen_inside_of_a_container_is_thawed_and_named(machine: Machine, state: str) -> None:
    machine.states[1].write_text(f"{state}\n")
    assert machine.thaw() == [f"docker/{ID}/pod"]
    assert machine.states[1].read_text() == "THAWED"


def test_where_nothing_is_frozen_nothing_is_thawed(machine: Machine) -> None:
    assert machine.thaw() == []


def test_of_another_container_nothing_is_touched(machine: Machine) -> None:
    machine.states[1].write_text("FROZEN\n")
    assert machine.thaw("another") == []
    assert machine.states[1].read_text() == "FROZEN\n"


def test_a_container_of_a_daemon_that_has_systemd_make_its_cgroups_is_found(machine: Machine) -> None:
    scope = machine.mounted / "system.slice" / f"docker-{ID}.scope"
    scope.parent.mkdir()
    (machine.mounted / "docker" / ID).rename(scope)
    (scope / "pod" / "freezer.state").write_text("FROZEN\n")
    assert machine.thaw() == [f"system.slice/docker-{ID}.scope/pod"]


def test_on_cgroup_v2_there_is_nothing_to_thaw(tmp_path: Path) -> None:
    assert thaw(ID, mounted=tmp_path / "none") == []


def test_who_may_not_thaw_is_told_how_root_does(machine: Machine, monkeypatch: pytest.MonkeyPatch) -> None:
    machine.states[2].write_text("FROZEN\n")

    def refuse(*_: object) -> int:
        raise PermissionError

    monkeypatch.setattr(Path, "write_text", refuse)
    with pytest.raises(UnavailableError) as caught:
        machine.thaw()
    assert f"sudo tee {machine.states[2]}" in caught.value.hint
