"""The core story in a real cluster: real pods answer, and other programs confirm what it says."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from sandbox.containers.described import NAME_LABEL, RUN_ID_LABEL
from sandbox.core.commands import run
from sandbox.report.access import access_commands
from tests.e2e.kind.conftest import KUBECONFIG
from tests.e2e.kind.machine import (
    COLD_SECONDS,
    NAME,
    docker,
    executed,
    inspected,
    kubectl,
    node,
    password,
    record,
    told_of,
)
from tests.e2e.support import BEHIND_A_PROXY, Outcome, User, git_account, tool

DEV = "core-greeter-dev"
IN_CONTAINERS = {"answers", "rollout-in-use", "crash-loop"}
CONTAINERS = {"registry", "registry-reader", "image-mirror", "kind-cluster"}
PROCESSES = {"git-server", "ci-runner"}

pytestmark = pytest.mark.timeout(COLD_SECONDS)


@pytest.fixture(scope="module")
def outcome(user: User) -> Outcome:
    return user.run("demo", "--engine", "kind", "--name", NAME, "--json", seconds=COLD_SECONDS)


@pytest.fixture(scope="module")
def told(outcome: Outcome) -> dict[str, Any]:
    assert outcome.code == 0, outcome
    return outcome.data()


@pytest.fixture(scope="module")
def access(told: dict[str, Any], user: User) -> dict[str, Any]:
    assert told["passed"]
    return user.status(NAME)


def test_the_demo_passes_every_step_and_skips_none(told: dict[str, Any]) -> None:
    assert told["engine"] == "kind"
    assert {each["name"]: each["status"] for each in told["steps"] if each["status"] != "passed"} == {}
    assert told["skipped"] == []
    assert {each["name"] for each in told["steps"]} >= IN_CONTAINERS
    assert all(each["evidence"] for each in told["steps"])


def test_the_evidence_has_the_answers_of_the_application_and_no_lost_request(told: dict[str, Any]) -> None:
    assert told_of(told, "answers")["answer"]["revision"] == told_of(told, "release")["source_commit"]
    rollout = told_of(told, "rollout-in-use")
    assert rollout["lost"] == 0
    assert len(rollout["requests"]) == 2, "both versions answered"
    assert min(rollout["requests"].values()) > 0
    crash = told_of(told, "crash-loop")
    assert crash["lost"] == 0
    assert len(crash["requests"]) == 1, "the good version alone answered"


def test_status_says_of_each_part_which_container_or_process_it_is(access: dict[str, Any], user: User) -> None:
    assert access["name"] == NAME
    assert access["engine"] == "kind"
    assert access["state"] == "up"
    assert Path(access["state_dir"]) == user.folder / NAME
    assert set(access["git"]) >= {"url", "user", "password_file", "repositories"}
    assert set(access["argocd"]) >= {"url", "username", "password_file"}
    assert {"core/environment", "core/greeter"} <= set(access["git"]["repositories"])
    components = {each["name"]: each for each in access["components"]}
    assert set(components) >= {*CONTAINERS, *PROCESSES, "argocd"}
    assert {each["state"] for each in components.values()} == {"running"}
    running = docker("ps", "--no-trunc", "--quiet").split()
    assert {components[name]["container"] for name in CONTAINERS} <= set(running)
    assert all(Path(f"/proc/{components[name]['pid']}").is_dir() for name in PROCESSES)


def test_docker_ps_shows_node_and_registry_with_the_labels_of_the_sandbox(user: User, access: dict[str, Any]) -> None:
    marks = {NAME_LABEL: NAME, RUN_ID_LABEL: record(user, NAME)["run_id"]}
    words = [word for key, value in marks.items() for word in ("--filter", f"label={key}={value}")]
    shown = docker("ps", *words, "--no-trunc", "--format", "{{.ID}} {{.Names}}").splitlines()
    by_id = dict(line.split() for line in shown)
    assert set(by_id) == {each["container"] for each in access["components"] if "container" in each}
    assert {node(), f"gitops-sandbox-{NAME}-registry"} <= set(by_id.values())


def test_every_pod_has_real_containers_that_run_in_the_node(access: dict[str, Any]) -> None:
    pods = json.loads(kubectl(access, "get", "pods", "--all-namespaces", "--output", "json"))["items"]
    ids = {
        container["containerID"]
        for pod in pods
        for container in pod["status"].get("containerStatuses", ())
        if "running" in container["state"]
    }
    running = {f"containerd://{each}" for each in executed(node(), "crictl", "ps", "--quiet", "--no-trunc").split()}
    assert {pod["metadata"]["namespace"] for pod in pods} >= {"argocd", "kube-system", DEV}
    assert len(ids) > 12
    assert ids <= running


def test_the_application_answers_with_the_version_of_the_commit_that_git_names(
    access: dict[str, Any], told: dict[str, Any]
) -> None:
    path = f"/api/v1/namespaces/{DEV}/services/greeter:http/proxy/version"
    answer = json.loads(kubectl(access, "get", "--raw", path))
    assert answer["revision"] == told_of(told, "rollout-in-use")["source_commit"]
    deployment = json.loads(kubectl(access, "--namespace", DEV, "get", "deployment", "greeter", "--output", "json"))
    live = [each["image"] for each in deployment["spec"]["template"]["spec"]["containers"]]
    assert live == [told_of(told, "rollback-by-revert")["image"]]


def test_git_has_the_same_commits_for_the_host_and_for_a_pod_under_one_url(
    access: dict[str, Any], told: dict[str, Any], tmp_path: Path
) -> None:
    url = f"{access['git']['url']}/core/environment.git"
    here = tmp_path / "clone"
    run(["git", "clone", url, here], timeout=60, env=git_account(access, tmp_path))
    head = run(["git", "-C", here, "rev-parse", "HEAD"], timeout=30).strip()
    assert head == told_of(told, "rollback-by-revert")["revert"]
    script = (
        'read -r PASSWORD; export PASSWORD; to=$(mktemp -d); git clone --quiet -c "credential.username=$2"'
        ' -c "credential.helper=!echo password=\\$PASSWORD #" "$1" "$to/clone"; git -C "$to/clone" rev-parse HEAD'
    )
    pod = ("--namespace", "argocd", "exec", "--stdin", "deployment/argocd-repo-server", "--")
    given = f"{password(access['git'])}\n"
    said = kubectl(access, *pod, "sh", "-euc", script, "sh", url, access["git"]["user"], stdin=given)
    assert said.split() == [head]


def test_the_sidecar_of_a_config_management_plugin_would_find_its_server(access: dict[str, Any]) -> None:
    server = ("exec", "deploy/argocd-repo-server", "--", "/var/run/argocd/argocd-cmp-server", "--help")
    assert "argocd-cmp-server" in kubectl(access, "--namespace", "argocd", *server)


def test_a_container_is_told_of_its_node_and_not_of_the_host(access: dict[str, Any]) -> None:
    told = kubectl(access, "--namespace", "argocd", "exec", "deploy/argocd-repo-server", "--", "cat", "/product_uuid")
    node = "gitops-sandbox-" + access["name"] + "-control-plane"
    assert told.strip() == run(["docker", "exec", node, "cat", "/kind/product_uuid"], timeout=30).strip()


def test_every_printed_command_works_when_it_is_pasted_into_a_shell(
    access: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in BEHIND_A_PROXY.items():
        monkeypatch.setenv(name, value)
    commands = [command.line for command in access_commands(access)]
    assert any(line.startswith("docker login") for line in commands)
    programs = [str(Path(tool(name)).parent) for name in ("kubectl", "argocd", "crane")]
    environment = {"PATH": ":".join([*programs, "/usr/bin", "/bin"]), "HOME": str(tmp_path), **BEHIND_A_PROXY}
    said = run(
        ["sh", "-c", "\n".join(["set -eu", *commands, "argocd app list --output name"])],
        timeout=120,
        env=environment,
        cwd=tmp_path,
    )
    assert "argocd/core-greeter-production" in said
    assert (tmp_path / "environment" / ".git").is_dir()


def test_docker_and_crane_pull_the_image_of_the_evidence_from_the_registry(
    access: dict[str, Any], told: dict[str, Any], tmp_path: Path
) -> None:
    tagged, _, digest = told_of(told, "rollback-by-revert")["image"].partition("@")
    environment = {"PATH": "/usr/bin:/bin", "DOCKER_CONFIG": str(tmp_path), "HOME": str(tmp_path)}
    registry = access["registry"]
    login = ("login", registry["url"].removeprefix("http://"), "--username", registry["user"], "--password-stdin")
    docker(*login, env=environment, stdin=password(registry))
    assert run([tool("crane"), "digest", tagged], timeout=30, env=environment).strip() == digest
    try:
        assert digest in docker("pull", tagged, env=environment)
        (known,) = inspected(tagged)
        assert any(each.endswith(digest) for each in known["RepoDigests"])
    finally:
        docker("image", "rm", "--force", tagged)


@pytest.mark.usefixtures("access")
def test_the_kubeconfig_and_the_home_of_the_user_are_as_they_were(home: Path) -> None:
    assert (home / ".kube" / "config").read_text() == KUBECONFIG
    assert [str(path.relative_to(home)) for path in home.rglob("*") if path.is_file()] == [".kube/config"]
