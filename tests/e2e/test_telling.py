"""Stories of a user's own on the command line: by file, several at once, step by step, and paused where they fail."""

from __future__ import annotations

import json
import os
import pty
import signal
import subprocess
import textwrap
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from sandbox.core.conditions import Deadline, Observation, failed, met, pending, wait_for
from tests.e2e.support import User

NAME = "told"
STORIES = '''
    from sandbox.core.conditions import met, pending
    from sandbox.gitops import sabotage
    from sandbox.gitops.predicates import Predicate
    from sandbox.gitops.story import Sabotage, eventually, expect, step, story, then, when

    @story
    def quick(world):
        """A commit goes live."""
        with when("it is registered"):
            world.environment.begin()
            world.register("dev")
        with then("it lives"):
            eventually(world.dev.lives(world.environment.head))

    @story
    def early(world):
        """An Application that Argo CD met before its project is deployed all the same."""
        def unknown():
            told = (world.dev.read() or {}).get("status", {}).get("conditions") or [{"message": "nothing"}]
            return met() if "does not exist" in told[0]["message"] else pending(told[0]["message"])

        with when("Argo CD finds an Application without a project"):
            world.environment.begin()
            manifests = world.environment.argocd_manifests()
            world.api.apply(next(each for each in manifests if each["metadata"]["name"] == world.dev.name))
            eventually(Predicate("it to have no project", unknown))
        with then("it lives once both are registered"):
            world.register("dev")
            eventually(world.dev.lives(world.environment.head))

    @story
    def broken(world):
        """What is demanded does not come true."""
        with when("a repository is made"):
            world.environment.begin()
        with then("it lives all the same"):
            eventually(world.dev.lives(world.environment.head), within=1)

    @story
    def small(world):
        """Nothing is done."""
        with then("it is so"):
            expect(Predicate("it to be so", met))

    @step("It lives")
    def lives(world):
        world.environment.begin()
        world.register("dev")
        eventually(world.dev.lives(world.environment.head))

    @step("It is scaled back")
    def scaled(world):
        change = world.cluster.scale(world.dev.namespace, "greeter", 4)
        eventually(world.dev.heals(change, world.environment.head))

    BREAKS = (
        Sabotage("alone", "lives", "Argo CD's Git password is wrong", sabotage.wrong_git_password, shared=True),
        Sabotage("unhealed", "scaled", "self-heal is off", sabotage.self_heal_off),
        Sabotage("paused", "scaled", "reconciliation is paused", sabotage.pause_reconciliation),
    )

    @story(sabotages=BREAKS)
    def healing(world):
        """Drift is healed."""
        lives(world)
        scaled(world)
'''

pytestmark = pytest.mark.timeout(400)


@pytest.fixture(scope="module")
def stories(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("project") / "mine.py"
    path.write_text(textwrap.dedent(STORIES))
    return path


@pytest.fixture(scope="module", autouse=True)
def standing(user: User) -> None:
    user.ok("up", "--name", NAME)


class Terminal:
    """A command at a terminal of its own, as a person sees it."""

    def __init__(self, user: User, *words: str) -> None:
        self._user = user
        self._ours, theirs = pty.openpty()
        os.set_blocking(self._ours, False)
        self.shown = ""
        self.process = subprocess.Popen(
            # As a shell does: a session of its own, whose terminal this is.
            ["setsid", "--ctty", "--wait", *user.command(*words)],
            cwd=user.checkout,
            env={**user.environment(), "TERM": "xterm", "COLUMNS": "200"},
            stdin=theirs,
            stdout=theirs,
            stderr=theirs,
        )
        os.close(theirs)

    def _look(self) -> None:
        try:
            self.shown += os.read(self._ours, 1 << 16).decode(errors="replace")
        except (BlockingIOError, OSError):
            return

    def until(self, words: str, *, times: int = 1, seconds: float = 120.0) -> None:
        """Wait until something has been shown so often."""

        def look() -> Observation:
            self._look()
            if self.shown.count(words) >= times:
                return met()
            return failed(self.shown) if self.process.poll() is not None else pending(self.shown[-3000:])

        wait_for(look, Deadline.after(seconds), wanted=f"{words!r} to be shown {times} times")

    def enter(self) -> None:
        """Press Enter."""
        os.write(self._ours, b"\n")

    def ended(self, *, seconds: float = 120.0) -> int:
        """Wait until the command has ended, and give its exit code."""

        def look() -> Observation:
            self._look()
            return pending(self.shown[-3000:]) if self.process.poll() is None else met()

        wait_for(look, Deadline.after(seconds), wanted="the command to end")
        return self.process.wait()

    def close(self) -> None:
        """Hang up."""
        self.process.kill()
        self.process.wait()
        os.close(self._ours)


@pytest.fixture
def terminal(user: User) -> Iterator[Callable[..., Terminal]]:
    opened: list[Terminal] = []

    def give(*words: str) -> Terminal:
        opened.append(Terminal(user, *words))
        return opened[-1]

    yield give
    for each in opened:
        each.close()


def test_an_application_that_was_there_before_its_project_does_not_stand_still(user: User, stories: Path) -> None:
    told = user.ok("scenario", f"{stories}::early", "--name", NAME)
    assert told["passed"]


def test_a_story_of_ones_own_is_told_by_its_file_and_name(user: User, stories: Path) -> None:
    told = user.ok("scenario", f"{stories}::small", "--name", NAME)
    assert (told["scenario"], told["passed"]) == ("small", True)
    assert Path(told["report"]).exists()


def test_stories_told_at_once_give_what_they_give_one_by_one_in_the_order_asked_for(user: User, stories: Path) -> None:
    words = [f"{stories}::{name}" for name in ("quick", "broken", "small")]
    one = user.run("scenario", *words, "--name", NAME, "--json")
    two = user.run("scenario", *words, "--name", NAME, "--json", "--jobs", "2", "--shuffle", "7")
    assert (one.code, two.code) == (1, 1), two
    assert "quick  " in two.stderr
    assert "--shuffle 7" in two.stderr

    def verdicts(text: str) -> list[tuple[str, bool, list[tuple[str, str]]]]:
        found = json.loads(text)["scenarios"]
        return [(each["scenario"], each["passed"], [(s["name"], s["status"]) for s in each["steps"]]) for each in found]

    assert verdicts(two.stdout) == verdicts(one.stdout)
    assert [name for name, _, _ in verdicts(two.stdout)] == ["quick", "broken", "small"]


@pytest.mark.nightly
def test_sabotages_told_at_once_are_all_noticed_those_that_break_what_is_shared_too(user: User, stories: Path) -> None:
    told = user.ok("sabotage", "--all", "--scenario", f"{stories}::healing", "--jobs", "2", "--name", NAME)
    assert [row["name"] for row in told["sabotages"]] == ["alone", "unhealed", "paused"]
    assert told["passed"], told


def test_step_pauses_before_each_step_and_says_how_to_get_in(terminal: Callable[..., Terminal], stories: Path) -> None:
    command = terminal("scenario", f"{stories}::quick", "--name", NAME, "--step")
    command.until("Enter goes on")
    assert "next: it-is-registered: when it is registered" in command.shown
    assert "export KUBECONFIG=" in command.shown
    assert "argocd-admin" in command.shown
    command.enter()
    command.until("Enter goes on", times=2)
    assert "next: it-lives: then it lives" in command.shown
    assert "git clone" in command.shown
    command.enter()
    assert command.ended() == 0, command.shown


def test_a_failure_pauses_with_everything_as_it_is_and_no_deadline_runs_meanwhile(
    terminal: Callable[..., Terminal], user: User, stories: Path
) -> None:
    words = ("scenario", f"{stories}::broken", "--name", NAME, "--pause-on-failure")
    command = terminal(*words)
    command.until("Enter goes on")
    assert "failed: it-lives-all-the-same" in command.shown
    assert "broken/environment" in user.status(NAME)["git"]["repositories"]
    # Longer than the demand that failed had.
    began = time.monotonic()
    wait_for(
        lambda: met() if time.monotonic() - began > 1.5 else pending("too short"), Deadline.after(5), wanted="a while"
    )
    assert command.process.poll() is None
    command.enter()
    assert command.ended() == 1, command.shown
    assert "not within 1 s" in command.shown


def test_ctrl_c_at_a_pause_ends_the_story_and_leaves_the_sandbox(
    terminal: Callable[..., Terminal], user: User, stories: Path
) -> None:
    command = terminal("scenario", f"{stories}::quick", "--name", NAME, "--step")
    command.until("Enter goes on")
    os.write(command._ours, b"\x03")
    assert command.ended() in (130, 128 + signal.SIGINT), command.shown
    assert user.status(NAME)["state"] == "up"


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--step",), "there is no terminal to pause at"),
        (("--step", "--jobs", "2"), "stories that are told at once can't pause"),
    ],
)
def test_what_can_not_be_is_wrong_use(user: User, stories: Path, words: tuple[str, ...], said: str) -> None:
    command = ["setsid", "--wait", *user.command("scenario", f"{stories}::small", "--name", NAME, *words)]
    # In a session without a terminal, as in CI.
    done = subprocess.run(command, env=user.environment(), capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 2, done
    assert said in done.stderr
