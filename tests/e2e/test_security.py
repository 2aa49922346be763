"""What must not leak does not, what is not allowed does not happen, and what is sent in malice breaks nothing."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import requests

from sandbox.core.commands import run
from sandbox.core.conditions import Deadline, Observation, State, met, pending, wait_for
from sandbox.core.ports import LOOPBACK
from sandbox.engines import sandboxes
from sandbox.gitops.moment import Moment
from sandbox.gitops.pipeline import Pipeline
from sandbox.gitops.tenant import Tenant
from sandbox.gitops.world import World
from sandbox.servers.repositories import create_repository
from tests.e2e.support import User, by_night, git_account, leaks

NAME = "fort"
SECONDS = 120.0

pytestmark = pytest.mark.timeout(400)


@pytest.fixture(scope="module")
def world(user: User) -> Iterator[World]:
    """Give a sandbox, brought up where nothing is private by default, with its Applications live."""
    user.ok("up", "--name", NAME, umask=0)
    with World(sandboxes.access(NAME), Tenant(NAME)) as made:
        made.environment.begin()
        since = Moment.now()
        made.register()
        wait_for(
            made.lives_everywhere(made.environment.head, since),
            Deadline.after(SECONDS),
            wanted="the Applications to live",
            wake=made.changed,
        )
        yield made


def goes_live(world: World, revision: str, since: Moment) -> None:
    """Demand that a pushed commit lives in dev."""
    wait_for(
        world.dev.lives(revision, since),
        Deadline.after(SECONDS),
        wanted=f"{revision[:8]} to live",
        wake=world.changed,
    )


def private(path: Path) -> bool:
    # The folder of the hooks is not even its user's to write to.
    return path.stat().st_mode & 0o777 in ({0o700, 0o500} if path.is_dir() else {0o600})


def test_what_holds_a_key_or_a_password_is_for_its_user_alone_even_at_umask_zero(world: World) -> None:
    folder = world.access.folder
    known = [folder, folder / "kubeconfig", *folder.glob("run/*/config.json"), folder / "run/redis/valkey.conf"]
    kept = [path for name in ("secrets", "pki") for path in (folder / name, *(folder / name).rglob("*"))]
    folders = [path for path in folder.iterdir() if path.is_dir() and not path.is_symlink()]
    # The supervisor's own is opened by whoever starts it.
    logs = [path for path in folder.glob("logs/*.log") if path.name != "supervisor.log"]
    assert len(logs) > 5
    assert len(known) >= 5
    assert len(kept) > 30
    assert [str(path) for path in (*known, *kept, *folders, *logs) if not private(path)] == []


# The canary: whatever a user may hand on, or another user of the machine may see, holds no secret.


@dataclass(frozen=True)
class Release:
    """A run of the pipeline that passed, and the argv of all that ran meanwhile."""

    commit: str
    commands: frozenset[bytes]


@pytest.fixture(scope="module")
def released(user: User, world: World) -> Release:
    """Have the pipeline use every credential that it has, and watch what runs."""
    commands: set[bytes] = set()
    world.source.begin()
    commit = world.source.push()

    def look() -> Observation:
        for process in user.processes():
            try:
                commands.add(Path(f"/proc/{process.pid}/cmdline").read_bytes())
            except (FileNotFoundError, ProcessLookupError):
                continue
        going = world.pipeline.run_of(commit)
        return met() if going and going.finished else pending(f"{going}")

    wait_for(look, Deadline.after(240.0), wanted="the pipeline to end", every=0.02)
    assert world.pipeline.passes(commit)().state is State.MET
    return Release(commit, frozenset(commands))


def files(folder: Path) -> dict[str, bytes]:
    return {str(path): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def git_objects(world: World) -> dict[str, bytes]:
    """Read every object of every repository, those that no ref reaches too: files, messages and names."""
    command = ["git", "cat-file", "--batch-all-objects", "--batch", "--buffer"]
    places = sorted(world.access.repositories.glob("**/*.git"))
    return {str(place): run(command, cwd=place, timeout=60).encode() for place in places}


def argocd_answers(world: World) -> dict[str, bytes]:
    """Ask Argo CD's API, as the administrator, for all that a secret may have got into."""
    argocd, authority = world.access.argocd, str(world.access.argocd_ca)
    with requests.Session() as session:
        login = {"username": argocd.user, "password": argocd.password()}
        answer = session.post(f"{argocd.url}/api/v1/session", json=login, verify=authority, timeout=30)
        answer.raise_for_status()
        session.headers["Authorization"] = f"Bearer {answer.json()['token']}"
        answers = {}
        application = f"applications/{world.dev.name}"
        one = (application, f"{application}/manifests", f"{application}/resource-tree", f"{application}/events")
        for path in ("applications", "repositories", "repocreds", "clusters", "projects", "settings", *one):
            answer = session.get(f"{argocd.url}/api/v1/{path}", verify=authority, timeout=30)
            assert answer.status_code == 200, f"{path}: {answer.text}"
            answers[path] = answer.content
    return answers


def printed(user: User) -> dict[str, bytes]:
    words = [("status", "--json"), ("up", "--json"), ("status",), ("up",)]
    outcomes = [user.run(*each, "--name", NAME) for each in words]
    assert [outcome.code for outcome in outcomes] == [0] * len(outcomes)
    return {str(each): str(outcome).encode() for each, outcome in zip(words, outcomes, strict=True)}


PLACES: dict[str, Callable[[User, World, Release], dict[str, bytes]]] = {
    "argv": lambda _user, _world, release: {
        command.replace(b"\0", b" ").decode(errors="replace"): command for command in release.commands
    },
    "logs": lambda _user, world, _release: files(world.access.folder / "logs"),
    "diagnostics": lambda _user, _world, _release: files(sandboxes.diagnose(NAME)),
    "what is printed": lambda user, _world, _release: printed(user),
    "Git": lambda _user, world, _release: git_objects(world),
    "working copies": lambda _user, world, _release: files(world.access.folder / "work"),
    "CI runs": lambda _user, world, _release: files(world.access.runs),
    "Argo CD's API": lambda _user, world, _release: argocd_answers(world),
}


@pytest.mark.parametrize("place", PLACES)
def test_no_secret_is_found_where_others_may_look(user: User, world: World, released: Release, place: str) -> None:
    found = PLACES[place](user, world, released)
    assert any(found.values()), "nothing was looked at"
    assert leaks(world.access.folder, found) == []


@pytest.mark.parametrize("before", ["", "u", "me:", "gitops-ci-bot:"])
def test_the_search_finds_a_secret_plain_and_in_a_basic_credential(world: World, before: str) -> None:
    credential = f"{before}{world.access.git.password()}:after".encode()
    found = {"plain": credential, "encoded": base64.b64encode(credential), "other": b"nothing"}
    name = world.access.git.password_file.name
    assert leaks(world.access.folder, found) == [f"{name} in plain", f"{name} in encoded"]


# Argo CD: what the project does not allow, and what comes in by its webhook.


@pytest.mark.parametrize(
    ("api_version", "kind", "content"),
    by_night(
        [
            ("v1", "Secret", {"stringData": {"token": "made up"}}),
            ("rbac.authorization.k8s.io/v1", "ClusterRole", {"rules": []}),
            ("rbac.authorization.k8s.io/v1", "RoleBinding", {"roleRef": {"kind": "ClusterRole", "name": "admin"}}),
        ],
        but=lambda case: case[1] == "ClusterRole",
    ),
)
def test_a_kind_that_the_project_does_not_allow_is_refused_by_name_and_never_exists(
    world: World, api_version: str, kind: str, content: dict[str, Any]
) -> None:
    environment, api = world.environment, world.api
    environment.pull()
    overlay = environment.copy.folder / environment.overlay("dev")
    manifest = {"apiVersion": api_version, "kind": kind, "metadata": {"name": "smuggled"}, **content}
    (overlay / "smuggled.yaml").write_text(json.dumps(manifest))
    kustomize = world.access.tools["kustomize"].binary()
    run([kustomize, "edit", "add", "resource", "smuggled.yaml"], timeout=30, cwd=overlay)
    environment.copy.commit(f"Smuggle a {kind} in")
    pushed = environment.push()

    def refused() -> Observation:
        operation = (world.dev.read() or {})["status"].get("operationState") or {}
        result = operation.get("syncResult") or {}
        messages = [str(each.get("message")) for each in result.get("resources") or () if each["kind"] == kind]
        told = any(f":{kind} is not permitted in project {world.tenant.project}" in message for message in messages)
        if result.get("revision") == pushed and operation["phase"] == "Failed" and told:
            return met(messages[0])
        return pending(f"{operation.get('phase')} {operation.get('message')}: {messages}")

    try:
        wait_for(refused, Deadline.after(SECONDS), wanted=f"the {kind} to be refused", wake=world.changed)
        assert api.get(api_version, kind, "smuggled", world.dev.namespace) is None
    finally:
        reverted = environment.revert(pushed)

    def settled() -> Observation:
        # Nothing of the refused commit was applied, so that its revert leaves nothing to sync.
        compared = (world.dev.read() or {})["status"]["sync"]
        if (compared["status"], compared.get("revision")) != ("Synced", reverted):
            return pending(f"{compared['status']} with {compared.get('revision')}")
        return world.dev.is_as(reverted)()

    wait_for(settled, Deadline.after(SECONDS), wanted="the revert to be all there is", wake=world.changed)
    assert api.get(api_version, kind, "smuggled", world.dev.namespace) is None


def deliver(world: World, chunks: list[bytes], key: bytes) -> int:
    """Stream a push event to Argo CD, and give the status of its answer; 0 when it hung up."""
    signature = hmac.new(key, b"".join(chunks), hashlib.sha256).hexdigest()
    headers = {"X-GitHub-Event": "push", "X-Hub-Signature-256": f"sha256={signature}"}
    url = f"{world.access.argocd.url}/api/webhook"
    headers["Content-Type"] = "application/json"
    try:
        return requests.post(
            url, data=iter(chunks), headers=headers, verify=str(world.access.argocd_ca), timeout=60
        ).status_code
    except requests.ConnectionError:
        return 0


def restarts(user: User) -> dict[str, int]:
    return {each["name"]: each["restarts"] for each in user.wait_until_up(NAME)["components"]}


def test_after_malicious_push_events_nothing_was_restarted_and_a_real_push_still_goes_live(
    user: User, world: World, tmp_path: Path
) -> None:
    before = restarts(user)
    key = (world.access.folder / "secrets" / "webhook-argocd").read_bytes()
    event = json.dumps({"ref": "refs/heads/main", "repository": {"html_url": world.environment.url}}).encode()
    megabyte = b'{"ref": "' + b"a" * ((1 << 20) - 9)
    assert deliver(world, [event], key) == 200, "not even a right one is taken"
    answers = {
        "wrong signature": deliver(world, [event], b"guessed"),
        "malformed": deliver(world, [b"{"], key),
        "2 MB": deliver(world, [megabyte] * 2, key),
        "51 MB": deliver(world, [megabyte] * 51, key),
    }
    assert {name: answer for name, answer in answers.items() if 0 < answer < 400} == {}
    assert restarts(user) == before

    world.environment.pull()
    patch = "apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: greeter}\nspec: {revisionHistoryLimit: 7}\n"
    path = tmp_path / "history.yaml"
    path.write_text(patch)
    since = Moment.now()
    goes_live(world, world.environment.patch("dev", path, "Keep seven revisions"), since)
    deployment = world.cluster.deployment(world.dev.namespace, "greeter")
    assert deployment["spec"]["revisionHistoryLimit"] == 7
    assert restarts(user) == before


# The pipeline: it may push images and commits, and has nothing for the cluster.

WORKFLOW = """\
name: nosy
on: {push: {branches: [main]}}
jobs:
  look:
    runs-on: ubuntu-latest
    steps:
      - uses: actions/checkout@v4
      - run: python3 nosy.py
        env:
          USERS: ${{ secrets.ENVIRONMENT_USERNAME }} ${{ secrets.REGISTRY_USERNAME }}
          PASSWORDS: ${{ secrets.ENVIRONMENT_TOKEN }} ${{ secrets.REGISTRY_PASSWORD }}
"""
NOSY = """\
import base64, json, os, shutil, ssl, subprocess, urllib.error, urllib.request
from pathlib import Path

def ask(authorization):
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    headers = {"Authorization": authorization} if authorization else {}
    request = urllib.request.Request("https://127.0.0.1:PORT/api/v1/secrets", headers=headers)
    try:
        with urllib.request.urlopen(request, context=context, timeout=20) as answer:
            return answer.status
    except urllib.error.HTTPError as error:
        return error.code

users, passwords = os.environ["USERS"].split(), os.environ["PASSWORDS"].split()
basic = [base64.b64encode(f"{user}:{word}".encode()).decode() for user in users for word in passwords]
kubectl = shutil.which("kubectl")
seen = {
    "passwords": len(set(passwords)),
    "variables": [name for name, value in os.environ.items() if "kube" in f"{name}={value}".lower()],
    "files": [str(path) for path in Path.home().rglob("*") if "kube" in path.name.lower()],
    "kubectl": subprocess.run([kubectl, "get", "secrets", "-A"], capture_output=True).returncode if kubectl else 127,
    "answers": [ask(word) for word in ["", *(f"Bearer {word}" for word in passwords), *(f"Basic {b}" for b in basic)]],
}
print("seen:", json.dumps(seen), flush=True)
print("printed on purpose:", *passwords, flush=True)
"""


def push_workflow(world: World, repository: str, script: str, scratch: Path) -> str:
    """Push a repository with the nosy workflow as its developer; return the commit."""
    create_repository(world.access.repositories, repository)
    environment = {**git_account(world.access.to_json([]), scratch), "HOME": str(scratch)}
    identity = ["-c", "user.name=Nosy", "-c", "user.email=nosy@example.com"]
    work = scratch / "work"
    (work / ".github" / "workflows").mkdir(parents=True)
    (work / ".github" / "workflows" / "nosy.yaml").write_text(WORKFLOW)
    (work / "nosy.py").write_text(script)
    run(["git", "init", "--quiet", "--initial-branch=main", work], timeout=30, env=environment)
    run(["git", "-C", work, "add", "."], timeout=30, env=environment)
    run(["git", "-C", work, *identity, "commit", "--quiet", "--message=Look around"], timeout=30, env=environment)
    url = f"{world.access.git.url}/{repository}.git"
    run(["git", "-C", work, "push", "--quiet", url, "main"], timeout=30, env=environment)
    return run(["git", "-C", work, "rev-parse", "main"], timeout=30, env=environment).strip()


def test_a_workflow_is_given_nothing_that_opens_the_cluster_and_its_log_hides_its_passwords(
    user: User, world: World, tmp_path: Path
) -> None:
    script = NOSY.replace("127.0.0.1:PORT", f"{LOOPBACK}:{user.ports()[NAME]['apiserver']}")
    commit = push_workflow(world, f"{NAME}/nosy", script, tmp_path)
    pipeline = Pipeline(world.access.runs, f"{NAME}/nosy")
    wait_for(pipeline.passes(commit), Deadline.after(SECONDS), wanted="the nosy workflow to pass", every=0.05)
    passed = pipeline.run_of(commit)
    assert passed is not None
    log = (world.access.runs / passed.id / "log.txt").read_text()
    seen = json.loads(next(line for line in log.splitlines() if "seen: {" in line).partition("seen: ")[2])
    assert seen["passwords"] == 2
    assert seen["variables"] == []
    assert seen["files"] == []
    assert seen["kubectl"] != 0
    assert seen["answers"] == [401] * 7
    assert "printed on purpose: *** ***" in log
    assert leaks(world.access.folder, files(world.access.runs / passed.id)) == []
