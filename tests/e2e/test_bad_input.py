"""Bad input and trouble: a clear error, a next step, the right exit code, and nothing lost."""

from __future__ import annotations

import json
import signal
import socket
import stat
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from sandbox.core.ports import LOOPBACK
from sandbox.core.supervision import SupervisorClient
from tests.e2e.support import ROOT, Outcome, User, by_night

NAME = "trouble"
WRONG_USE, MISSING = 2, 3

pytestmark = pytest.mark.timeout(300)


@pytest.fixture(autouse=True)
def nothing_stands(user: User) -> Iterator[None]:
    yield
    user.ok("down", "--all")


def kill_supervisor(user: User) -> None:
    supervisor = SupervisorClient(user.folder / NAME).process()
    assert supervisor is not None
    supervisor.send(signal.SIGKILL)
    user.wait_until_alone()


def refused(outcome: Outcome, code: int, *words: str) -> None:
    assert outcome.code == code, outcome
    assert "Traceback" not in outcome.stderr, outcome
    assert "error:" in outcome.stderr, outcome
    assert "next:" in outcome.stderr or "did you mean" in outcome.stderr, outcome
    for word in words:
        assert word in " ".join(outcome.stderr.split()), outcome


@pytest.mark.parametrize(
    ("words", "suggestion"),
    [
        (["upp"], "did you mean 'up'"),
        (["up", "--name", NAME, "--engine", "embeded"], "did you mean 'embedded'"),
        (["up", "--name", NAME, "--provider", "realease"], "did you mean 'release'"),
        (["up", "--name", NAME, "--nodes", "100000"], "--nodes 3"),
        (["up", "--nmae", NAME], "there is no option"),
        (["status", "--name", NAME], f"up --name {NAME}"),
        (["scenario", "cor"], "did you mean 'core'"),
        (["scenario"], "scenario --all"),
        (["sabotage", "paussed"], "did you mean 'paused'"),
        (["sabotage", "paused", "--scenario", "coer"], "did you mean 'core'"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_a_word_that_is_mistyped_is_refused_with_the_closest_that_there_is(
    user: User, words: list[str], suggestion: str
) -> None:
    refused(user.run(*words), WRONG_USE, suggestion)
    assert not user.processes()


def test_a_selection_that_no_test_matches_is_refused_and_counts_as_no_success(user: User) -> None:
    refused(user.run("test", "unit", "--select", "no_test_is_called_so"), WRONG_USE, "unit has no test that matches")


def test_an_unknown_component_is_refused_with_the_closest_that_there_is(user: User) -> None:
    user.ok("up", "--name", NAME)
    refused(user.run("logs", "argocd-serve", "--name", NAME), WRONG_USE, "did you mean 'argocd-server'")
    shown = user.run("logs", "etcd", "--name", NAME)
    assert shown.code == 0, shown


NAMES = ["..", "a/b", "a b", "-x", "x-", "A", "", "a" * 40, "../../etc", ".hidden", "a\nb"]


@pytest.mark.parametrize(
    ("verb", "name"),
    by_night(
        [*(("up", name) for name in NAMES), ("status", ".."), ("down", "..")],
        # Every name is shown to be refused by tests/unit/core/test_names.py; here, that each verb asks.
        but=lambda case: case[1] in ("..", "-x"),
    ),
)
def test_a_name_that_could_be_a_path_or_an_option_is_refused(user: User, verb: str, name: str) -> None:
    before = sorted(user.state.rglob("*"))
    refused(user.run(verb, f"--name={name}"), WRONG_USE, "can't be the name of a sandbox")
    assert sorted(user.state.rglob("*")) == before


def test_with_json_an_error_is_the_one_object_on_stdout(user: User) -> None:
    outcome = user.run("status", "--name", "nobody", "--json")
    assert outcome.code == WRONG_USE
    assert set(outcome.data()["error"]) == {"what", "why", "next"}


@pytest.mark.nightly
def test_a_damaged_record_is_named_and_down_still_ends_everything(user: User) -> None:
    user.ok("up", "--name", NAME)
    record = user.folder / NAME / "sandbox.json"
    lacking = {name: value for name, value in json.loads(record.read_text()).items() if name != "run_id"}
    for content in (b"", b"{", b"[]", b"{}", json.dumps(lacking).encode(), b"\x00\xff"):
        record.write_bytes(content)
        for verb in ("status", "up"):
            refused(user.run(verb, "--name", NAME), WRONG_USE, "sandbox.json", "damaged")
    assert user.processes(), "a refusal ended what ran"
    assert user.ok("down", "--name", NAME) == {"ended": [NAME]}
    assert not user.processes()


@pytest.mark.nightly
def test_down_ends_everything_where_every_record_is_damaged(user: User) -> None:
    user.ok("up", "--name", NAME)
    for record in ("sandbox.json", "supervisor.json"):
        (user.folder / NAME / record).write_bytes(b"{")
    assert user.processes()
    assert user.ok("down", "--name", NAME) == {"ended": [NAME]}
    assert not user.processes()
    assert not (user.folder / NAME).exists()


@pytest.mark.nightly
def test_a_port_that_another_program_took_is_named(user: User) -> None:
    user.ok("up", "--name", NAME)
    kill_supervisor(user)
    port = user.ports()[NAME]["argocd-server"]
    with socket.socket() as other:
        other.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        other.bind((LOOPBACK, port))
        other.listen()
        refused(user.run("up", "--name", NAME), MISSING, str(port), "in use", f"down --name {NAME}")
        assert not user.processes()
    assert user.ok("up", "--name", NAME)["state"] == "up"


@pytest.mark.parametrize("verb", ["status", "up", "down"])
def test_a_state_folder_that_can_not_be_written_is_named(user: User, verb: str) -> None:
    # Not even root can make a folder there.
    outcome = User(Path("/proc/none")).run(verb, "--name", NAME)
    refused(outcome, MISSING, "/proc/none", "XDG_STATE_HOME")
    assert not user.processes()


@pytest.mark.nightly
def test_a_shell_without_a_home_can_bring_a_sandbox_up(user: User) -> None:
    homeless = User(user.state, changes={"HOME": None})
    assert homeless.ok("up", "--name", NAME)["state"] == "up"


def test_secrets_are_for_their_owner_alone_whatever_the_umask(user: User) -> None:
    status = user.ok("up", "--name", NAME, umask=0)
    folder = Path(status["state_dir"])
    # Everything that must be kept, found by what it holds: passwords, private keys, identities.
    secrets = [path.read_bytes().strip() for path in (folder / "secrets").iterdir()]
    assert len(secrets) > 5
    needles = [*secrets, b"PRIVATE KEY-----", b"client-key"]
    holding = [
        path
        for path in folder.rglob("*")
        if path.is_file() and not path.is_symlink() and any(needle in path.read_bytes() for needle in needles)
    ]
    assert {folder / "kubeconfig", folder / "pki" / "admin.key", folder / "run" / "git-server" / "config.json"} <= set(
        holding
    )
    open_files = [f"{path} {stat.filemode(path.stat().st_mode)}" for path in holding if path.stat().st_mode & 0o077]
    assert not open_files
    for private in (user.folder, folder, folder / "secrets", folder / "pki", folder / "etcd", folder / "git"):
        assert stat.S_IMODE(private.stat().st_mode) == 0o700, private


def test_inv_is_called_from_any_folder_whatever_the_modules_there_are_called(user: User, tmp_path: Path) -> None:
    for name in ("git", "docker", "sandbox", "tasks"):
        (tmp_path / f"{name}.py").write_text("raise SystemExit('a module of the folder was read')")
    command = [str(ROOT / "inv"), "status", "--all", "--json"]
    said = subprocess.run(
        command, cwd=tmp_path, env=user.environment(), capture_output=True, text=True, timeout=200, check=False
    )
    assert (said.returncode, json.loads(said.stdout)["sandboxes"]) == (0, []), said
