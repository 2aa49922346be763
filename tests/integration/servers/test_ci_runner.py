from __future__ import annotations

import json
import signal
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import requests

from sandbox.core.conditions import Deadline, Observation, met, pending, wait_for
from sandbox.core.processes import marked
from sandbox.servers.signatures import sign
from sandbox.servers.workflow import RUN_FOLDER_VARIABLE
from tests.integration.servers.conftest import SECRET, RunningGit
from tests.integration.servers.support import ACT, PASSWORDS, mode, running

FINAL = {"passed", "failed", "cancelled"}


@dataclass
class RunningCi:
    """The runner under test, told of pushes by a real Git server."""

    git: RunningGit
    configuration: dict[str, Any]
    runs: Path
    folder: Path
    process: subprocess.Popen[bytes]

    def results(self) -> list[dict[str, Any]]:
        """Read all results, the oldest first."""
        return [json.loads(file.read_text()) for file in sorted(self.runs.glob("*/result.json"))]

    def wait(self, count: int = 1, statuses: frozenset[str] | set[str] = FINAL) -> list[dict[str, Any]]:
        """Give the results as soon as ``count`` runs have one of these statuses."""

        def there() -> Observation:
            results = self.results()
            found = [result for result in results if result["status"] in statuses]
            return met() if len(found) >= count else pending(str(results))

        wait_for(there, Deadline.after(20), wanted=f"{count} runs are {sorted(statuses)}")
        return self.results()

    def push(self, steps: str, repository: str = "core/greeter", work: str = "work") -> str:
        """Push a commit with a workflow of these steps and return it."""
        folder = self.git.client.folder / work
        if not folder.exists():
            self.git.client.clone("developer", repository, work)
        workflow = f"on: push\njobs:\n  build:\n    runs-on: ubuntu-latest\n    steps:\n{steps}"
        commit = self.git.client.commit(folder, {".github/workflows/ci.yaml": workflow})
        self.git.client.run("developer", "push", "--quiet", "origin", "HEAD:main", cwd=folder)
        return commit

    def post(self, body: bytes, signature: str, delivery: str = "d-1") -> requests.Response:
        """Send a push event by hand."""
        headers = {"X-GitHub-Event": "push", "X-GitHub-Delivery": delivery, "X-Hub-Signature-256": signature}
        return requests.post(
            f"http://127.0.0.1:{self.configuration['port']}/api/webhook", data=body, headers=headers, timeout=5
        )


@pytest.fixture
def ci(git_server: RunningGit, tmp_path: Path) -> Iterator[RunningCi]:
    configuration = {
        # The port that the Git server sends its events to.
        "port": git_server.receiver.port,
        "webhook_secret": SECRET,
        "git": {"url": git_server.url, "user": "ci", "password": PASSWORDS["ci"]},
        "registry": {"address": "127.0.0.1:5000", "user": "registry-user", "password": "registry-password"},
        "runs": str(tmp_path / "runs"),
        "tools_path": [],
        "act": str(ACT),
        "cache": str(tmp_path / "cache"),
    }
    with running("ci_runner", configuration, tmp_path) as process:
        yield RunningCi(git_server, configuration, tmp_path / "runs", tmp_path, process)


def test_a_push_runs_the_commits_own_workflow_which_pushes_to_the_environment(ci: RunningCi) -> None:
    commit = ci.push(
        "      - uses: actions/checkout@v4\n"
        "      - name: Update the environment\n"
        "        env:\n"
        "          USERNAME: ${{ secrets.ENVIRONMENT_USERNAME }}\n"
        "          TOKEN: ${{ secrets.ENVIRONMENT_TOKEN }}\n"
        "        run: |\n"
        "          echo '#!/bin/sh' > ask\n"
        '          echo \'case "$1" in User*) echo "$USERNAME";; *) echo "$TOKEN";; esac\' >> ask\n'
        "          chmod +x ask; export GIT_ASKPASS=$PWD/ask\n"
        "          git clone -q ${{ vars.ENVIRONMENT_REPOSITORY }} environment; cd environment\n"
        "          echo ${{ vars.IMAGE }}:${{ github.sha }} > ${{ vars.ENVIRONMENT_OVERLAY }}\n"
        "          git add -A; git commit -qm 'Release'; git push -q origin HEAD:main\n"
    )
    result = ci.wait()[0]

    assert (result["status"], result["reason"]) == ("passed", ""), (ci.runs / result["id"] / "log.txt").read_text()
    assert (result["repository"], result["commit"]) == ("core/greeter", commit)
    assert [step["name"] for step in result["steps"]] == ["actions/checkout@v4", "Update the environment"]
    assert result["seconds"] > 0
    clone = ci.git.client.clone("argocd", "core/environment", "clone")
    assert (clone / "dev").read_text() == f"127.0.0.1:5000/core/greeter:{commit}\n"
    assert "CI <ci@gitops-sandbox.invalid>" in ci.git.client.run("argocd", "log", "-1", "--format=%an <%ae>", cwd=clone)
    folder = ci.runs / result["id"]
    assert mode(folder) == 0o700
    assert not (folder / "work").exists()
    everything = b"".join(path.read_bytes() for path in folder.rglob("*") if path.is_file())
    assert PASSWORDS["ci"].encode() not in everything
    assert PASSWORDS["ci"] not in (ci.folder / "ci_runner.log").read_text()


@pytest.mark.parametrize("signature", ["", "sha256=0", sign("another secret", b"{}"), "sha256=ü"])
def test_an_event_that_is_not_signed_starts_nothing(ci: RunningCi, signature: str) -> None:
    assert ci.post(b"{}", signature.encode().decode("latin-1")).status_code == 401
    assert ci.results() == []


@pytest.mark.parametrize(
    "body",
    [
        b"{}",
        b"[]",
        b"\xff",
        b'{"ref": "refs/heads/main", "after": "--upload-pack=x", "repository": {"full_name": "core/greeter"}}',
        b'{"ref": "refs/heads/main", "after": "%s", "repository": {"full_name": "../../x"}}' % (b"a" * 40),
    ],
)
def test_a_signed_event_that_makes_no_sense_is_refused(ci: RunningCi, body: bytes) -> None:
    assert ci.post(body, sign(SECRET, body)).status_code == 400
    assert ci.results() == []


def test_a_body_of_more_than_a_mebibyte_is_refused(ci: RunningCi) -> None:
    body = b'{"a": "' + b"a" * 1024 * 1024 + b'"}'
    assert ci.post(body, sign(SECRET, body)).status_code == 413


def test_a_commit_that_is_not_there_is_a_failed_run_and_a_repeated_delivery_none(ci: RunningCi) -> None:
    event = {"ref": "refs/heads/main", "after": "a" * 40, "repository": {"full_name": "core/greeter"}}
    body = json.dumps(event).encode()

    answers = [ci.post(body, sign(SECRET, body)).status_code for _ in range(2)]
    (result,) = ci.wait()

    assert answers == [202, 200]
    assert result["status"] == "failed"
    assert "git checkout" in result["reason"]


def test_runs_of_one_repository_go_one_after_another(ci: RunningCi) -> None:
    for number in range(2):
        ci.push(f"      - run: sleep 0.5; echo {number}\n")
    first, second = ci.wait(2)

    assert (first["status"], second["status"]) == ("passed", "passed")
    assert first["finished"] <= second["started"]


def test_runs_of_different_repositories_go_side_by_side(ci: RunningCi) -> None:
    ci.push("      - run: sleep 1\n", "core/greeter", "one")
    ci.push("      - run: sleep 1\n", "core/environment", "two")
    first, second = ci.wait(2)

    assert first["started"] < second["finished"]
    assert second["started"] < first["finished"]


def test_sigterm_ends_the_workflows_and_what_waits_is_run_at_the_next_start(ci: RunningCi) -> None:
    ci.push("      - run: sleep 300\n")
    ci.push("      - run: echo second\n")
    ci.wait(1, {"running"})
    going = ci.runs / ci.wait(2, {"running", "queued"})[0]["id"]
    wait_for(
        lambda: met() if len(list(marked(str(going), RUN_FOLDER_VARIABLE))) > 1 else pending("not yet"),
        Deadline.after(10),
        wanted="the first step runs",
    )

    ci.process.terminate()
    assert ci.process.wait(timeout=3) == 0

    assert [result["status"] for result in ci.results()] == ["cancelled", "queued"]
    assert list(marked(str(going), RUN_FOLDER_VARIABLE)) == []
    with running("ci_runner", ci.configuration, ci.folder):
        ci.wait(2)
    assert [result["status"] for result in ci.results()] == ["cancelled", "passed"]


def test_a_run_that_lost_its_runner_is_ended_and_recorded_at_the_next_start(ci: RunningCi) -> None:
    ci.push("      - run: sleep 300\n")
    going = ci.runs / ci.wait(1, {"running"})[0]["id"]
    wait_for(
        lambda: met() if len(list(marked(str(going), RUN_FOLDER_VARIABLE))) > 1 else pending("not yet"),
        Deadline.after(10),
        wanted="the step runs",
    )

    ci.process.send_signal(signal.SIGKILL)
    ci.process.wait(timeout=5)
    with running("ci_runner", ci.configuration, ci.folder):
        (result,) = ci.wait()

    assert (result["status"], result["reason"]) == ("cancelled", "the runner was restarted")
    assert list(marked(str(going), RUN_FOLDER_VARIABLE)) == []
    assert not (going / "secrets.yaml").exists()
