from __future__ import annotations

import base64
import os
import threading
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from sandbox.core.commands import run
from sandbox.core.conditions import Deadline, met, pending, wait_for
from sandbox.core.processes import FOLDER_VARIABLE, marked
from sandbox.servers.plain_paths import open_way
from sandbox.servers.repositories import isolated_git
from sandbox.servers.workflow import (
    RUN_FOLDER_VARIABLE,
    StepResult,
    WorkflowRequest,
    WorkflowResult,
    clear_run,
    run_workflow,
)
from tests.integration.servers.support import ACT, mode

CANARY = "canary-$HOME-'x'-4711"


@pytest.fixture
def request_for(tmp_path: Path) -> Any:
    """Make a request whose workflow has the given steps, as YAML below ``steps:``."""

    def make(steps: str, *, on: str = "push", below: str = "") -> WorkflowRequest:
        folder = tmp_path / below / "run"
        work = tmp_path / below / "work"
        (work / ".github/workflows").mkdir(parents=True)
        folder.mkdir(mode=0o700, parents=True)
        (work / ".github/workflows/ci.yaml").write_text(
            f"on: {on}\njobs:\n  build:\n    runs-on: ubuntu-latest\n    steps:\n{steps}"
        )
        run(["git", "init", "--quiet", "--initial-branch=main", work], timeout=10, env=isolated_git())
        identity = ["-c", "user.name=Ada", "-c", "user.email=ada@example.com"]
        run(["git", "add", "--all"], timeout=10, cwd=work, env=isolated_git())
        run(["git", *identity, "commit", "--quiet", "-m", "One"], timeout=10, cwd=work, env=isolated_git())
        commit = run(["git", "rev-parse", "HEAD"], timeout=10, cwd=work, env=isolated_git()).strip()
        return WorkflowRequest(
            folder=folder,
            work=work,
            event={
                "ref": "refs/heads/main",
                "after": commit,
                "repository": {"full_name": "core/greeter", "name": "greeter", "default_branch": "main"},
                "pusher": {"name": "developer"},
            },
            act=ACT,
            secrets={"TOKEN": CANARY, "TOKEN_USER": "canary-user"},
            variables={"IMAGE": "127.0.0.1:5000/core/greeter"},
            tools_path=(),
            cache=tmp_path / below / "cache",
            number=4711,
        )

    return make


def outcome(request: WorkflowRequest, cancelled: Callable[[], bool] = lambda: False) -> tuple[WorkflowResult, str]:
    result = run_workflow(request, lambda _: None, cancelled)
    return result, result.log.read_text()


def test_steps_run_in_order_on_a_copy_of_the_commit_and_each_is_reported(request_for: Any) -> None:
    seen: list[StepResult] = []
    request = request_for(
        "      - uses: actions/checkout@v4\n"
        "      - id: version\n        name: Read\n        run: echo version=1 >> $GITHUB_OUTPUT\n"
        "      - name: Say\n        run: echo ${{ vars.IMAGE }}:${{ github.sha }} v${{ steps.version.outputs.version }}"
        " ${{ github.repository }} ${{ github.ref }} ${{ github.actor }} ${{ github.run_id }} $(git log --format=%s)\n"
        "      - run: touch left-behind\n"
    )

    result = run_workflow(request, seen.append)

    assert (result.status, result.reason) == ("passed", "")
    assert tuple(seen) == result.steps
    assert [(step.name, step.status) for step in seen] == [
        ("actions/checkout@v4", "passed"),
        ("Read", "passed"),
        ("Say", "passed"),
        ("touch left-behind", "passed"),
    ]
    commit = request.event["after"]
    said = f"127.0.0.1:5000/core/greeter:{commit} v1 core/greeter refs/heads/main developer 4711 One"
    assert said in result.log.read_text()
    assert not (request.work / "left-behind").exists()


def test_a_step_that_fails_ends_the_run_with_its_name_as_the_reason(request_for: Any) -> None:
    result, log = outcome(
        request_for(
            "      - name: Test\n        run: echo boom; exit 3\n      - name: Push\n        run: echo pushed\n"
        )
    )

    assert result.status == "failed"
    assert result.reason == "step 'Test': exit status 3"
    assert [(step.name, step.status) for step in result.steps] == [("Test", "failed")]
    assert "boom" in log
    assert "pushed" not in log


def test_a_failed_steps_last_words_are_in_the_log_whole_and_with_nothing_added(request_for: Any) -> None:
    words = "seq 2000; echo; printf 'not '; printf ended; exit 3"
    _, log = outcome(request_for(f"      - name: Test\n        run: {words}\n"))

    said = [line.partition("| ")[2] for line in log.splitlines() if "  | " in line]
    assert said == [*map(str, range(1, 2001)), "", "not ended"]


def test_secrets_reach_the_step_and_nothing_else(request_for: Any) -> None:
    encoded = base64.b64encode(CANARY.encode()).decode()
    request = request_for(
        "      - env:\n          TOKEN: ${{ secrets.TOKEN }}\n        run: |\n"
        '          test "$(printf %s "$TOKEN" | sha256sum)" = "$(sha256sum < ../../../../../expected)"\n'
        '          echo "plain $TOKEN"; printf %s "$TOKEN" | base64\n'
        "          cat /proc/[0-9]*/cmdline | tr '\\0' ' ' > ../../../../../argv\n"
        f"          printf %s '{encoded[:-2]}''{encoded[-2:]}' > /dev/null\n"
    )
    (request.folder / "expected").write_text(CANARY)

    result, log = outcome(request)

    assert result.status == "passed", log
    assert "plain ***" in log
    for text in (log, (request.folder / "argv").read_text(), repr(request), result.reason):
        assert CANARY not in text
    assert encoded not in log
    (request.folder / "expected").unlink()
    left = [path for path in request.folder.rglob("*") if path.is_file() and CANARY.encode() in path.read_bytes()]
    assert left == []
    assert not (request.folder / "secrets.yaml").exists()
    assert not (request.folder / "home").exists()


def test_a_step_sees_nothing_of_the_users_environment(request_for: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KUBECONFIG", "/home/user/.kube/config")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "user-canary")
    monkeypatch.setenv("HOME", "/home/user")
    monkeypatch.setenv(FOLDER_VARIABLE, "/state/of/the/sandbox")

    result, log = outcome(request_for("      - run: env\n"))

    assert result.status == "passed"
    assert "KUBECONFIG" not in log
    assert "user-canary" not in log
    assert "/home/user" not in log
    assert "/state/of/the/sandbox" not in log
    assert f"HOME={result.log.parent}/home" in log


def test_a_run_that_takes_too_long_is_ended_with_all_its_processes(request_for: Any) -> None:
    request = replace(
        request_for("      - run: (setsid sleep 300 &) ; nohup sleep 300 & sleep 300\n"),
        time_limit=1.0,
    )

    result, _ = outcome(request)

    assert (result.status, result.reason) == ("failed", "the run took longer than 1 s")
    assert result.seconds < 5
    assert list(marked(str(request.folder), RUN_FOLDER_VARIABLE)) == []


def test_what_a_step_leaves_running_ends_with_the_run(request_for: Any) -> None:
    request = request_for("      - run: setsid sleep 300 > /dev/null 2>&1 < /dev/null &\n")

    result, _ = outcome(request)

    assert result.status == "passed"
    assert list(marked(str(request.folder), RUN_FOLDER_VARIABLE)) == []


def test_a_cancelled_run_ends_at_once(request_for: Any) -> None:
    request, cancelled = request_for("      - run: sleep 300\n"), threading.Event()
    results: list[WorkflowResult] = []
    thread = threading.Thread(target=lambda: results.append(run_workflow(request, lambda _: None, cancelled.is_set)))
    thread.start()
    wait_for(
        lambda: met() if len(list(marked(str(request.folder), RUN_FOLDER_VARIABLE))) > 1 else pending("not yet"),
        Deadline.after(10),
        wanted="the step runs",
    )
    began = time.monotonic()
    cancelled.set()
    thread.join(timeout=5)

    assert time.monotonic() - began < 2
    assert results[0].status == "cancelled"
    assert list(marked(str(request.folder), RUN_FOLDER_VARIABLE)) == []


def test_an_action_that_would_have_to_be_fetched_fails_with_what_to_do(request_for: Any) -> None:
    request = replace(request_for("      - uses: acme/setup@v1\n"), environment={"HTTPS_PROXY": "http://127.0.0.1:9"})

    result, _ = outcome(request)

    assert result.status == "failed"
    assert "acme/setup@v1" in result.reason
    assert "give a folder in local_repositories" in result.reason


def test_a_push_that_no_workflow_asks_for_runs_nothing(request_for: Any) -> None:
    result, log = outcome(request_for("      - run: echo ran\n", on="{push: {branches: [release]}}"))

    assert (result.status, result.steps) == ("cancelled", ())
    assert log == ""


def test_what_a_run_writes_is_private_even_at_umask_zero(request_for: Any) -> None:
    old = os.umask(0)
    try:
        request = request_for("      - run: umask; stat -c %a ../../../../../secrets.yaml\n")
        result, log = outcome(request)
    finally:
        os.umask(old)

    assert "600" in log
    assert "0077" in log
    assert mode(result.log) == 0o600


AWKWARD = [
    "my state",
    "it's",
    'so "called"',
    "$HOME",
    "$(touch x)",
    "Zürich 北京",
    "a;b & c|d",
    "a,b=c",
    "back\\slash",
    "*",
]


@pytest.mark.parametrize("name", AWKWARD)
def test_a_run_passes_whatever_its_folder_is_called(request_for: Any, name: str) -> None:
    request = request_for(
        "      - uses: actions/checkout@v4\n"
        "      - id: version\n        run: echo version=1 >> $GITHUB_OUTPUT; cd $HOME; cd $RUNNER_TEMP; mktemp -d\n"
        "      - env:\n          TOKEN: ${{ secrets.TOKEN }}\n"
        "        run: echo v${{ steps.version.outputs.version }} $(git log --format=%s)"
        " $(cat $GITHUB_WORKSPACE/.git/HEAD)\n"
        "      - shell: python3 {0}\n        run: print('HOME', *__import__('os').environ['HOME'].split())\n",
        below=name,
    )

    result, log = outcome(request)

    assert (result.status, result.reason) == ("passed", ""), log
    assert "v1 One ref: refs/heads/main" in log
    home = next(line for line in log.splitlines() if "| HOME " in line).partition("| HOME ")[2]
    assert len(home.split()) == 1
    assert not Path(home).parent.parent.exists()
    assert not (request.folder / "home").exists()


def test_a_plain_path_to_a_folder_is_private_and_goes_with_the_run_whose_runner_was_killed(tmp_path: Path) -> None:
    folder, gone = tmp_path / "my run", tmp_path / "another run"
    for path in (folder, gone):
        path.mkdir()
    way, lost = open_way(folder), open_way(gone)
    assert way.resolve() == folder
    assert mode(way.parent) == 0o700
    gone.rmdir()

    clear_run(folder)

    assert not way.parent.exists()
    assert not lost.parent.exists()
    assert open_way(tmp_path) == tmp_path
