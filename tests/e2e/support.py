"""A user of the product: a state folder of their own, its command line, and what the kernel says of its processes."""

from __future__ import annotations

import base64
import contextlib
import json
import os
import shlex
import signal
import subprocess
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from sandbox.core.conditions import Deadline, Observation, met, pending, wait_for
from sandbox.core.ports import is_free
from sandbox.core.processes import RUN_ID_VARIABLE, Process

__all__ = [
    "BEHIND_A_PROXY",
    "ROOT",
    "Outcome",
    "User",
    "by_night",
    "crane_account",
    "git_account",
    "leaks",
    "processes_below",
    "tool",
]

ROOT = Path(__file__).resolve().parents[2]
"""The checkout."""

_PROXIES = ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "http_proxy", "https_proxy", "all_proxy")
BEHIND_A_PROXY = dict.fromkeys(_PROXIES, "http://127.0.0.1:9") | dict.fromkeys(("NO_PROXY", "no_proxy"), "")
"""The environment of whoever reaches the internet through a proxy, which here answers nobody."""

_COMMAND_SECONDS = 240.0
_ENDING_SECONDS = 30.0


def by_night(cases: Iterable[Any], but: Callable[[Any], bool]) -> list[Any]:
    """Give the cases of a test of which some are always shown, and the others every night.

    Args:
        cases: The values of its parameters; a tuple where it has several.
        but: Says which are always shown; of each test, some are.
    """
    shown = [(case, but(case)) for case in cases]
    assert any(always for _, always in shown), "each of them would wait for the night"
    return [
        pytest.param(*(case if isinstance(case, tuple) else (case,)), marks=() if always else pytest.mark.nightly)
        for case, always in shown
    ]


@dataclass(frozen=True, slots=True)
class Outcome:
    """How a command ended."""

    command: str
    code: int
    stdout: str
    stderr: str

    def __str__(self) -> str:
        """Give all of it, for the message of a failed test."""
        return f"`{self.command}` ended with {self.code}\n--- stdout\n{self.stdout}\n--- stderr\n{self.stderr}"

    def data(self) -> dict[str, Any]:
        """Give the one JSON object that stdout holds, and nothing else beside it."""
        value = json.loads(self.stdout)
        assert isinstance(value, dict), self
        return value


def processes_below(folder: Path) -> list[Process]:
    """Find the processes of all sandboxes below a state folder, as the kernel knows them.

    A sandbox's process carries a run id, and its home, arguments or working folder lie in the state folder.
    """
    needle, mark = str(folder).encode(), f"{RUN_ID_VARIABLE}=".encode()
    found = []
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit():
            continue
        with contextlib.suppress(FileNotFoundError, ProcessLookupError, PermissionError):
            environment = (entry / "environ").read_bytes()
            if not any(word.startswith(mark) for word in environment.split(b"\0")):
                continue
            place = str((entry / "cwd").readlink()).encode()
            if needle in environment or needle in place or needle in (entry / "cmdline").read_bytes():
                process = Process.of(int(entry.name))
                found += [process] if process else []
    return found


@dataclass(frozen=True)
class User:
    """Somebody with a checkout and a state folder, who types commands.

    Attributes:
        state: XDG_STATE_HOME.
        checkout: Where the commands are run from.
        python: What ``inv`` would have made.
        changes: Environment variables that differ from the tests' own; None takes one out.
        inside: Words before each command, which lead into a namespace.
    """

    state: Path
    checkout: Path = ROOT
    python: str = sys.executable
    changes: Mapping[str, str | None] = field(default_factory=dict)
    inside: tuple[str, ...] = ()

    @property
    def folder(self) -> Path:
        """The product's folder in the state folder."""
        return self.state / "gitops-sandbox"

    def environment(self) -> dict[str, str]:
        """Give the environment of this user's shell."""
        merged = {**os.environ, "XDG_STATE_HOME": str(self.state), **self.changes}
        return {name: value for name, value in merged.items() if value is not None}

    def command(self, *words: str) -> list[str]:
        """Give a command as `inv` execs it once its .venv is there."""
        return [*self.inside, self.python, "-P", "-m", "sandbox.cli", "--search-root", str(self.checkout), *words]

    def start(self, *words: str, **options: Any) -> subprocess.Popen[str]:
        """Start a command as a shell does: in a process group of its own, which Ctrl-C reaches as a whole."""
        return subprocess.Popen(
            self.command(*words),
            cwd=self.checkout,
            env=self.environment(),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            process_group=0,
            **options,
        )

    def finish(self, command: subprocess.Popen[str], *, seconds: float = _COMMAND_SECONDS) -> Outcome:
        """Wait for a command that ``start`` started."""
        try:
            stdout, stderr = command.communicate(timeout=seconds)
        except subprocess.TimeoutExpired:
            os.killpg(command.pid, signal.SIGKILL)
            command.communicate()
            raise
        assert isinstance(command.args, list)
        return Outcome(
            shlex.join(str(word) for word in command.args[5 + len(self.inside) :]), command.returncode, stdout, stderr
        )

    def run(self, *words: str, seconds: float = _COMMAND_SECONDS, **options: Any) -> Outcome:
        """Run a command to its end, however it ends."""
        return self.finish(self.start(*words, **options), seconds=seconds)

    def ok(self, *words: str, **options: Any) -> dict[str, Any]:
        """Run a command that must succeed with ``--json``, and give its object."""
        outcome = self.run(*words, "--json", **options)
        assert outcome.code == 0, outcome
        return outcome.data()

    def status(self, name: str) -> dict[str, Any]:
        """Ask how a sandbox is."""
        return self.ok("status", "--name", name)

    def processes(self) -> list[Process]:
        """Find what runs for this user's sandboxes."""
        return processes_below(self.folder)

    def wait_until_up(self, name: str, *, seconds: float = 60.0) -> dict[str, Any]:
        """Wait until a sandbox says that it is up, and give what it says."""
        seen: dict[str, Any] = {}

        def look() -> Observation:
            seen.update(self.status(name))
            troubles = [f"{each['name']} {each['state']}" for each in seen["components"] if each["state"] != "running"]
            return met("up") if seen["state"] == "up" else pending(f"{seen['state']}: {', '.join(troubles)}")

        wait_for(look, Deadline.after(seconds), wanted=f"sandbox {name} to be up", every=0.2)
        return seen

    def wait_until_alone(self, *, seconds: float = _ENDING_SECONDS) -> None:
        """Wait until no process of any sandbox of this user is left."""

        def look() -> Observation:
            left = self.processes()
            return pending(f"still running: {'; '.join(map(_described, left))}") if left else met("nothing runs")

        wait_for(look, Deadline.after(seconds), wanted="every process of the sandbox to end")

    def ports(self) -> dict[str, dict[str, int]]:
        """Give the ports that are leased, by sandbox and purpose."""
        path = self.folder / "ports.json"
        return dict(json.loads(path.read_text())) if path.exists() else {}

    @contextlib.contextmanager
    def leaving_nothing(self) -> Iterator[User]:
        """Take everything down in the end, and demand that no process, port or mount is left."""
        ports: dict[str, dict[str, int]] = {}
        try:
            yield self
            ports = self.ports()
        finally:
            ended = self.run("down", "--all")
        assert ended.code == 0, ended
        assert not self.processes(), "processes were left behind"
        assert str(self.folder) not in Path("/proc/self/mountinfo").read_text()
        taken = [port for leased in ports.values() for port in leased.values() if not is_free(port)]
        assert not taken, f"ports {taken} are still in use"


def _described(process: Process) -> str:
    try:
        words = Path(f"/proc/{process.pid}/cmdline").read_bytes().split(b"\0")
        state = Path(f"/proc/{process.pid}/stat").read_text().rpartition(")")[2].split()[0]
    except (FileNotFoundError, ProcessLookupError):
        return f"{process.pid}, just gone"
    return f"{process.pid} {state} {b' '.join(words).decode(errors='replace')[:200]}"


def _disguises(secret: bytes) -> set[bytes]:
    """Give a secret as it stands, and as it looks inside of base64, whatever comes before it."""
    forms = {secret}
    for before in range(3):
        encoded = base64.b64encode(b"\0" * before + secret)
        # The characters at both ends depend on the neighbours.
        forms.add(encoded[(0, 2, 3)[before] : -4])
    return forms


def leaks(folder: Path, found: dict[str, bytes]) -> list[str]:
    """Name the secrets of a sandbox that occur, and where."""
    secrets = {path.name: _disguises(path.read_bytes().strip()) for path in (folder / "secrets").iterdir()}
    assert len(secrets) >= 8
    return [
        f"{name} in {place}"
        for place, content in found.items()
        for name, forms in secrets.items()
        if any(form in content for form in forms)
    ]


def git_account(access: Mapping[str, Any], scratch: Path) -> dict[str, str]:
    """Give the environment in which git asks for the account that a sandbox printed, and reads no other settings."""
    asks = scratch / "askpass"
    user, password_file = access["git"]["user"], shlex.quote(access["git"]["password_file"])
    asks.write_text(f"#!/bin/sh\ncase $1 in Username*) echo {user};; *) cat {password_file};; esac\n")
    asks.chmod(0o700)
    own = {"GIT_ASKPASS": str(asks), "GIT_CONFIG_GLOBAL": os.devnull, "GIT_TERMINAL_PROMPT": "0"}
    return {"PATH": "/usr/bin:/bin", "LC_ALL": "C", **own}


def crane_account(access: Mapping[str, Any], scratch: Path) -> dict[str, str]:
    """Give the environment in which crane uses the registry account that a sandbox printed."""
    registry = access["registry"]
    account = f"{registry['user']}:{Path(registry['password_file']).read_text()}"
    auth = {"auth": base64.b64encode(account.encode()).decode()}
    config = {"auths": {registry["url"].removeprefix("http://"): auth}}
    (scratch / "config.json").write_text(json.dumps(config))
    return {"PATH": "/usr/bin:/bin", "HOME": str(scratch), "DOCKER_CONFIG": str(scratch)}


def tool(name: str) -> str:
    """Give the path of one of the toolchain's programs."""
    from sandbox.toolchain import ensure_tools  # noqa: PLC0415  # only tests that run one pay for it

    return str(ensure_tools([name])[name].binary())
