"""The core story as a user gets it: by one command, with evidence that other programs confirm."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from sandbox.core.commands import run
from sandbox.report.access import access_commands
from tests.e2e.support import BEHIND_A_PROXY, Outcome, User, crane_account, git_account, tool

NAME = "core"
DEV = "core-greeter-dev"
STEPS = [
    "first-deployment",
    "release",
    "scaled-by-hand",
    "image-changed-by-hand",
    "deleted-by-hand",
    "smuggled-in",
    "refused-by-the-api-server",
    "rollout-past-its-deadline",
    "rollback-by-revert",
    "audit-trail",
]

pytestmark = pytest.mark.timeout(600)


@pytest.fixture(scope="module")
def user(user: User) -> User:
    """Give a user of a network that lets nobody out but through its proxy, which has no say on loopback."""
    return replace(user, changes=BEHIND_A_PROXY)


@pytest.fixture(scope="module")
def outcome(user: User) -> Outcome:
    return user.run("demo", "--name", NAME, "--json")


@pytest.fixture(scope="module")
def told(outcome: Outcome) -> dict[str, Any]:
    assert outcome.code == 0, outcome
    return outcome.data()


@pytest.fixture(scope="module")
def access(told: dict[str, Any], user: User) -> dict[str, Any]:
    assert told["passed"]
    return user.status(NAME)


def evidence(told: dict[str, Any], step: str) -> dict[str, Any]:
    found: dict[str, Any] = next(each for each in told["steps"] if each["name"] == step)["evidence"]
    return found


def check_that_it_passed(outcome: Outcome) -> None:
    assert outcome.code == 0, outcome
    told = outcome.data()
    assert told["passed"] is True
    assert told["engine"] == "embedded"
    # What asks the application itself; each says why it is left out.
    assert [each["name"] for each in told["skipped"]] == ["answers", "rollout-in-use", "crash-loop"]
    assert {each["reason"] for each in told["skipped"]} == {"this engine has no containers"}
    assert [step["name"] for step in told["steps"]] == STEPS
    assert {step["status"] for step in told["steps"]} == {"passed"}
    assert all(isinstance(step["seconds"], float) and step["seconds"] > 0 for step in told["steps"])
    assert all(isinstance(step["evidence"], dict) and step["evidence"] for step in told["steps"])
    assert set(told["seconds"]) == {"up", "story"}
    assert all(isinstance(seconds, float) and seconds > 0 for seconds in told["seconds"].values())


def test_the_demo_passes_every_step_and_says_so_in_one_json_object(outcome: Outcome) -> None:
    check_that_it_passed(outcome)


@pytest.mark.nightly
def test_a_second_demo_clears_what_the_first_one_left(user: User) -> None:
    for _ in range(2):
        check_that_it_passed(user.run("demo", "--name", "told-twice", "--json"))


def test_progress_goes_to_stderr_as_plain_lines(outcome: Outcome) -> None:
    assert "first-deployment" in outcome.stderr
    assert "\x1b" not in outcome.stderr, "colours and cursor movements are for terminals"


def test_status_keeps_the_contract_that_others_script_against(access: dict[str, Any]) -> None:
    assert {"name", "engine", "state", "kubeconfig", "state_dir", "git", "registry", "argocd", "components"} <= set(
        access
    )
    assert (access["name"], access["engine"], access["state"]) == (NAME, "embedded", "up")
    assert {"url", "user", "password_file", "repositories"} <= set(access["git"])
    assert access["git"]["repositories"] == ["core/environment", "core/greeter"]
    assert {"url"} <= set(access["registry"])
    assert {"url", "username", "password_file"} <= set(access["argocd"])
    for path in (access["kubeconfig"], access["state_dir"]):
        assert Path(path).is_absolute()
        assert Path(path).exists()
    for place in ("git", "argocd"):
        assert access[place]["url"].startswith(("http://127.0.0.1:", "https://127.0.0.1:"))
        assert Path(access[place]["password_file"]).read_text().strip()
    for component in access["components"]:
        assert {"name", "state", "pid", "log"} <= set(component)
        assert isinstance(component["name"], str)
        assert component["state"] == "running"
        assert Path(f"/proc/{component['pid']}").is_dir()
        assert Path(component["log"]).is_file()


def test_git_clone_with_the_printed_account_has_the_commits_that_the_evidence_names(
    access: dict[str, Any], told: dict[str, Any], tmp_path: Path
) -> None:
    environment = git_account(access, tmp_path)
    log: dict[str, list[str]] = {}
    for repository in access["git"]["repositories"]:
        folder = tmp_path / repository
        run(["git", "clone", f"{access['git']['url']}/{repository}.git", folder], timeout=60, env=environment)
        log[repository] = run(["git", "-C", folder, "log", "--format=%H"], timeout=30).split()
    released, rolled_back = evidence(told, "release"), evidence(told, "rollback-by-revert")
    assert released["source_commit"] == log["core/greeter"][0]
    assert rolled_back["revert"] == log["core/environment"][0]
    assert {rolled_back["reverted"], released["environment_commit"]} <= set(log["core/environment"])
    said = run(["git", "-C", tmp_path / "core/environment", "show", released["environment_commit"]], timeout=30)
    assert released["image"].partition("@")[2] in said
    assert f"Source-Commit: {released['source_commit']}" in said


def test_the_registry_holds_the_image_of_the_evidence_under_its_tag(
    access: dict[str, Any], told: dict[str, Any], tmp_path: Path
) -> None:
    environment = crane_account(access, tmp_path)
    for step in ("release", "rollback-by-revert"):
        tagged, _, digest = evidence(told, step)["image"].partition("@")
        assert run([tool("crane"), "digest", tagged], timeout=30, env=environment).strip() == digest
        manifest = json.loads(run([tool("crane"), "manifest", f"{tagged}"], timeout=30, env=environment))
        assert manifest["layers"], "an image without content"


def test_kubectl_with_the_printed_kubeconfig_sees_the_image_of_the_evidence_live(
    access: dict[str, Any], told: dict[str, Any]
) -> None:
    def kubectl(*words: str) -> dict[str, Any]:
        command = [tool("kubectl"), "--kubeconfig", access["kubeconfig"], *words, "-o", "json"]
        return dict(json.loads(run(command, timeout=30)))

    deployment = kubectl("-n", DEV, "get", "deployment", "greeter")
    image = evidence(told, "rollback-by-revert")["image"]
    assert [each["image"] for each in deployment["spec"]["template"]["spec"]["containers"]] == [image]
    assert deployment["status"]["availableReplicas"] == deployment["spec"]["replicas"]
    application = kubectl("-n", "argocd", "get", "application", DEV)
    assert application["status"]["sync"]["revision"] == evidence(told, "rollback-by-revert")["revert"]


def test_argocd_login_works_with_the_printed_account(access: dict[str, Any], tmp_path: Path) -> None:
    argocd, place = tool("argocd"), access["argocd"]
    # Its first look at the server's certificate goes by the machine's authorities, whatever --server-crt says.
    environment = {"PATH": "/usr/bin:/bin", "HOME": str(tmp_path), "SSL_CERT_FILE": place["ca_file"]}
    server = place["url"].removeprefix("https://")
    password = Path(place["password_file"]).read_text()
    login = [argocd, "login", server, "--username", place["username"], "--password", password]
    assert "logged in successfully" in run(login, timeout=60, env=environment)
    listed = json.loads(run([argocd, "app", "list", "-o", "json"], timeout=60, env=environment))
    assert {each["metadata"]["name"] for each in listed} == {
        "core-greeter-dev",
        "core-greeter-staging",
        "core-greeter-production",
    }
    assert all(each["status"]["sync"]["status"] == "Synced" for each in listed)


def test_every_printed_command_works_when_it_is_pasted_into_a_shell(
    access: dict[str, Any], user: User, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in BEHIND_A_PROXY.items():
        monkeypatch.setenv(name, value)
    printed = user.run("up", "--name", NAME)
    assert printed.code == 0, printed
    commands = [command.line for command in access_commands(access) if not command.line.startswith("docker ")]
    for command in commands:
        assert command in " ".join(printed.stdout.replace("\\\n", " ").split()), printed
    programs = [str(Path(tool(name)).parent) for name in ("kubectl", "argocd", "crane")]
    environment = {"PATH": ":".join([*programs, "/usr/bin", "/bin"]), "HOME": str(tmp_path), **BEHIND_A_PROXY}
    script = "\n".join(["set -eu", *commands, "argocd app list --output name"])
    said = run(["sh", "-c", script], timeout=60, env=environment, cwd=tmp_path)
    assert "core-greeter-production" in said
    assert (tmp_path / "environment" / ".git").is_dir()
