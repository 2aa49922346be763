"""What a real cluster must not give away: secrets, the right to push, and the way from CI to the cluster."""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import requests

from sandbox.core.commands import run
from tests.e2e.kind.machine import COLD_SECONDS, NAME, component, docker, executed, inspected, kubectl, node, password
from tests.e2e.support import User, leaks

SECONDS = 10.0
CI = ("registry-ci", "git-ci", "webhook-ci")

pytestmark = pytest.mark.timeout(COLD_SECONDS)


@pytest.fixture(scope="module")
def standing(user: User) -> dict[str, Any]:
    """Give the shared sandbox: nothing here does anything to it."""
    return user.ok("up", "--engine", "kind", "--name", NAME, seconds=COLD_SECONDS)


def secret(status: dict[str, Any], name: str) -> str:
    return (Path(status["state_dir"]) / "secrets" / name).read_text()


def containers(status: dict[str, Any]) -> list[str]:
    return [each["container"] for each in status["components"] if each.get("container")]


def images(status: dict[str, Any]) -> set[str]:
    return {each["Image"] for each in inspected(*containers(status))}


def command_lines(_user: User, _status: dict[str, Any]) -> dict[str, bytes]:
    found = {}
    for entry in Path("/proc").iterdir():
        try:
            found[f"{entry.name} {(entry / 'comm').read_text().strip()}"] = (entry / "cmdline").read_bytes()
        except (FileNotFoundError, NotADirectoryError, ProcessLookupError):
            continue
    return found


PLACES: dict[str, Callable[[User, dict[str, Any]], dict[str, bytes]]] = {
    "docker inspect": lambda _, status: {
        "containers": docker("inspect", *containers(status)).encode(),
        "images": docker("image", "inspect", *images(status)).encode(),
        "history": "".join(docker("history", "--no-trunc", each) for each in images(status)).encode(),
    },
    "argv": command_lines,
    "docker logs": lambda _, status: {each: docker("logs", each).encode() for each in containers(status)},
    "logs": lambda _, status: {
        str(path): path.read_bytes() for path in (Path(status["state_dir"]) / "logs").rglob("*") if path.is_file()
    },
    "pods' logs": lambda _, status: {
        pod: kubectl(status, "--namespace=argocd", "logs", "--all-containers", pod).encode()
        for pod in kubectl(status, "--namespace=argocd", "get", "pods", "--output=name").split()
    },
    "what is printed": lambda user, _: {
        words[0]: str(user.run(*words, "--name", NAME)).encode() for words in (("status",), ("status", "--json"))
    },
}


@pytest.mark.parametrize("place", PLACES)
def test_no_secret_is_found_where_others_may_look(user: User, standing: dict[str, Any], place: str) -> None:
    found = PLACES[place](user, standing)
    assert any(found.values()), "nothing was looked at"
    assert leaks(Path(standing["state_dir"]), found) == []


def node_authorization() -> str:
    """Give what the node shows to the registry."""
    told = executed(node(), "sh", "-c", "cat /etc/containerd/certs.d/*/hosts.toml")
    found = re.search(r'Authorization = \["(Basic [^"]+)"\]', told)
    assert found, told
    return found[1]


def test_what_the_node_shows_to_the_registry_can_not_push(standing: dict[str, Any]) -> None:
    headers = {"Authorization": node_authorization()}
    (reader,) = inspected(component(standing, "registry-reader")["container"])
    address = next(iter(reader["NetworkSettings"]["Networks"].values()))["IPAddress"]
    assert requests.get(f"http://{address}:5000/v2/", headers=headers, timeout=SECONDS).status_code == 200
    pushed = requests.post(f"http://{address}:5000/v2/core/mine/blobs/uploads/", headers=headers, timeout=SECONDS)
    assert pushed.status_code == 405, pushed.text
    url = f"{standing['registry']['url']}/v2/core/mine/blobs/uploads/"
    assert requests.post(url, headers=headers, timeout=SECONDS).status_code == 401
    own = requests.post(url, auth=(standing["registry"]["user"], password(standing["registry"])), timeout=SECONDS)
    assert own.status_code == 202, "not even CI can push"


def test_the_cluster_holds_no_secret_of_ci(standing: dict[str, Any]) -> None:
    kinds = "secrets,configmaps,pods,deployments,statefulsets"
    folders = ("etc", "root", "home", "kind", "var/lib/kubelet")
    # The images were there before the sandbox, and no credential is as large as a program. A log may grow meanwhile.
    small = 'find "$@" -xdev -path kind/images -prune -o -type f -size -1024k -print0'
    packed = f"cd /; {small} | tar --create --null --files-from=- || test $? = 1"
    found = {
        "objects": kubectl(standing, "get", kinds, "--all-namespaces", "--output", "yaml").encode(),
        "files": executed(node(), "sh", "-c", packed, "sh", *folders).encode(),
    }
    told = leaks(Path(standing["state_dir"]), found)
    assert any(each.startswith("git-argocd in objects") for each in told), "the search finds nothing at all"
    assert [each for each in told if each.startswith(CI)] == []


@pytest.mark.parametrize("name", CI)
def test_nothing_that_ci_knows_opens_the_cluster(standing: dict[str, Any], tmp_path: Path, name: str) -> None:
    known, cluster = secret(standing, name), api_server(standing)
    authority = tmp_path / "ca.crt"
    authority.write_bytes(base64.b64decode(cluster["certificate-authority-data"]))
    basic = base64.b64encode(f"gitops-ci-bot:{known}".encode()).decode()
    for shown in (f"Basic {basic}", f"Bearer {known}"):
        answer = requests.get(
            f"{cluster['server']}/api/v1/namespaces",
            headers={"Authorization": shown},
            verify=str(authority),
            timeout=SECONDS,
        )
        assert answer.status_code in {401, 403}, answer.text
    login = {"username": "gitops-ci-bot", "password": known}
    place = standing["argocd"]
    refused = requests.post(f"{place['url']}/api/v1/session", json=login, verify=place["ca_file"], timeout=SECONDS)
    assert refused.status_code == 401, refused.text


def api_server(status: dict[str, Any]) -> dict[str, str]:
    config = json.loads(kubectl(status, "config", "view", "--raw", "--output", "json"))
    return dict(config["clusters"][0]["cluster"])


def test_the_runner_of_ci_is_not_told_where_the_cluster_is(standing: dict[str, Any]) -> None:
    process = Path(f"/proc/{component(standing, 'ci-runner')['pid']}")
    told = (process / "environ").read_bytes() + (process / "cmdline").read_bytes()
    assert b"kubeconfig" not in told.lower()
    assert api_server(standing)["server"].encode() not in told


WORKFLOW = """\
on: push
jobs:
  look:
    runs-on: ubuntu-latest
    steps:
      - run: command -v docker
      - run: "! docker version"
"""


def test_a_workflow_finds_the_program_docker_but_no_daemon(
    user: User, standing: dict[str, Any], tmp_path: Path
) -> None:
    repository = tmp_path / "looking"
    workflow = repository / ".github" / "workflows" / "look.yaml"
    workflow.parent.mkdir(parents=True)
    workflow.write_text(WORKFLOW)
    git = ("git", "-C", str(repository), "-c", "user.name=Dev", "-c", "user.email=dev@example.com")
    for words in (("init", "--quiet"), ("add", "."), ("commit", "--quiet", "--message", "Look for Docker")):
        run([*git, *words], timeout=30)
    told = user.ok("pipeline", str(repository), "--name", str(standing["name"]), seconds=120)
    assert [each["status"] for each in told["steps"]] == ["passed", "passed"]
