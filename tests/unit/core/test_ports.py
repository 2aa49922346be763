from __future__ import annotations

import json
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from sandbox.core import ports
from sandbox.core.conditions import Deadline
from sandbox.core.errors import DeadlineError, UnavailableError, UsageError
from sandbox.core.ports import LOOPBACK, claimed, is_free, lease_ports, release_ports

NAMES = ("git", "registry", "api")


@contextmanager
def listener(port: int = 0, address: str = LOOPBACK) -> Iterator[int]:
    with socket.create_server((address, port)) as server:
        yield int(server.getsockname()[1])


def test_a_lease_gives_each_name_a_free_port_below_the_ephemeral_ones(tmp_path: Path) -> None:
    leased = lease_ports(tmp_path, "a", NAMES)
    assert list(leased) == list(NAMES)
    assert len(set(leased.values())) == 3
    assert all(20000 <= port < 32000 for port in leased.values())


def test_the_same_owner_gets_the_same_ports_again(tmp_path: Path) -> None:
    first = lease_ports(tmp_path, "a", NAMES)
    with listener(first["git"]):
        # Its own server may be running on it.
        assert lease_ports(tmp_path, "a", NAMES) == first


def test_a_new_name_gets_a_port_and_the_others_stay(tmp_path: Path) -> None:
    first = lease_ports(tmp_path, "a", NAMES)
    more = lease_ports(tmp_path, "a", (*NAMES, "metrics"))
    assert {name: more[name] for name in NAMES} == first
    assert more["metrics"] not in first.values()


def test_a_port_that_something_else_has_chosen_is_leased_as_it_is(tmp_path: Path) -> None:
    lease_ports(tmp_path, "a", NAMES)
    leased = lease_ports(tmp_path, "a", NAMES, {"registry": 31234})
    assert leased["registry"] == 31234
    assert lease_ports(tmp_path, "a", NAMES) == leased


def test_a_port_that_something_else_has_chosen_is_refused_where_another_sandbox_has_it(tmp_path: Path) -> None:
    lease_ports(tmp_path, "a", NAMES, {"registry": 31234})
    with pytest.raises(UnavailableError, match="is one of sandbox a"):
        lease_ports(tmp_path, "b", NAMES, {"registry": 31234})


def test_sandboxes_that_lease_at_the_same_moment_share_no_port(tmp_path: Path) -> None:
    start, leased = threading.Barrier(8), {}

    def lease(owner: str) -> None:
        start.wait()
        leased[owner] = lease_ports(tmp_path, owner, NAMES)

    threads = [threading.Thread(target=lease, args=(f"sandbox-{number}",)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len({port for given in leased.values() for port in given.values()}) == 8 * 3


def test_a_port_in_use_is_not_given(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with listener() as used:
        monkeypatch.setattr(ports, "_FIRST", used)
        monkeypatch.setattr(ports, "_LAST", used + 1)
        assert not is_free(used)
        with pytest.raises(UnavailableError, match=r"no free ports on 127\.0\.0\.1") as caught:
            lease_ports(tmp_path, "a", ["git"])
    assert caught.value.hint.startswith("see who listens")
    assert is_free(used)
    assert lease_ports(tmp_path, "a", ["git"]) == {"git": used}


def test_no_port_is_chosen_beside_one_in_use(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with listener() as used:
        monkeypatch.setattr(ports, "_FIRST", used - 1)
        monkeypatch.setattr(ports, "_LAST", used + 1)
        # It may be a sandbox of another user, whose other ports are not yet listened at.
        with pytest.raises(UnavailableError):
            lease_ports(tmp_path, "a", ["git"])


def test_sandboxes_of_two_state_folders_that_come_up_together_share_no_port(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for folder in ("one", "two", "three"):
        (tmp_path / folder).mkdir()
    first = lease_ports(tmp_path / "one", "a", NAMES)
    monkeypatch.setattr(ports, "_FIRST", min(first.values()))
    monkeypatch.setattr(ports, "_LAST", min(first.values()) + 2 * ports._BLOCK)
    with claimed(first.values(), Deadline.after(5)):
        second = lease_ports(tmp_path / "two", "b", NAMES)
    assert set(first.values()).isdisjoint(second.values())
    monkeypatch.setattr(ports, "_LAST", ports._FIRST + ports._BLOCK)
    with claimed(first.values(), Deadline.after(5)), pytest.raises(UnavailableError):
        lease_ports(tmp_path / "three", "c", NAMES)
    assert lease_ports(tmp_path / "three", "c", NAMES) == first


def test_ports_at_which_another_sandbox_comes_up_are_told(tmp_path: Path) -> None:
    mine = lease_ports(tmp_path, "a", NAMES).values()
    with (
        claimed(mine, Deadline.after(5)),
        pytest.raises(DeadlineError, match="another state folder or user"),
        claimed(mine, Deadline.after(0.1)),
    ):
        pytest.fail("two had the same ports")
    with claimed(mine, Deadline.after(5)):
        pass  # it is given back


def test_a_port_that_is_used_on_all_addresses_is_not_free() -> None:
    with listener(address="0.0.0.0") as used:  # noqa: S104  # what must be noticed
        assert not is_free(used)


def test_ports_that_were_given_back_are_given_to_others(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with listener() as only:
        monkeypatch.setattr(ports, "_FIRST", only)
    monkeypatch.setattr(ports, "_LAST", only + 1)
    assert lease_ports(tmp_path, "a", ["git"]) == {"git": only}
    with pytest.raises(UnavailableError):
        lease_ports(tmp_path, "b", ["git"])
    release_ports(tmp_path, "a")
    release_ports(tmp_path, "a")
    assert lease_ports(tmp_path, "b", ["git"]) == {"git": only}


def test_what_could_not_be_leased_changes_no_lease(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    mine = lease_ports(tmp_path, "a", NAMES)
    monkeypatch.setattr(ports, "_LAST", ports._FIRST + 1)
    monkeypatch.setattr(ports, "is_free", lambda _: False)
    with pytest.raises(UnavailableError):
        lease_ports(tmp_path, "a", (*NAMES, "metrics"))
    assert lease_ports(tmp_path, "a", NAMES) == mine


@pytest.mark.parametrize("content", ["{", "[]", '{"b": 5}', '{"b": {"git": "high"}}', '{"b": {"git": null}}'])
def test_damaged_leases_are_told(tmp_path: Path, content: str) -> None:
    (tmp_path / "ports.json").write_text(content)
    with pytest.raises(UsageError, match=r"ports\.json is damaged"):
        lease_ports(tmp_path, "a", NAMES)
    assert (tmp_path / "ports.json").read_text() == content


def test_leases_are_for_this_user_alone(tmp_path: Path) -> None:
    lease_ports(tmp_path, "a", NAMES)
    assert (tmp_path / "ports.json").stat().st_mode & 0o777 == 0o600
    assert json.loads((tmp_path / "ports.json").read_text()).keys() == {"a"}
