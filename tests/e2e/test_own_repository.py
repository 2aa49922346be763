"""A user's own repository: every Application gets its verdict, every trouble its name, its cause and what to do."""

from __future__ import annotations

import os
import signal
import xml.etree.ElementTree as ET
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from sandbox.core.commands import run
from sandbox.core.conditions import Deadline, Observation, failed, met, pending, wait_for
from sandbox.kube.api import KubeApi
from tests.e2e.support import Outcome, User, git_account
from tests.own_repositories import ADDRESS, UserRepository, application, deployment

NAME = "own"
MANY = 100
FAILED, WRONG_USE, INTERRUPTED = 1, 2, 130
STAGES = ("renders", "accepted", "synced", "proved", "healthy")

pytestmark = pytest.mark.timeout(420)

AUTOMATED = "  syncPolicy: {automated: {prune: true, selfHeal: true}, syncOptions: [CreateNamespace=true]}"
CONFIG_MAP = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: it}\ndata: {a: b}\n"
WIDGET = "apiVersion: example.com/v1\nkind: Widget\nmetadata: {name: it}\nspec: {size: 1}\n"
DEFINITION = """\
apiVersion: apiextensions.k8s.io/v1
kind: CustomResourceDefinition
metadata: {name: PLURAL.example.com}
spec:
  group: example.com
  names: {kind: KIND, plural: PLURAL}
  scope: Namespaced
  versions:
  - name: v1
    served: true
    storage: true
    schema: {openAPIV3Schema: {type: object, x-kubernetes-preserve-unknown-fields: true}}
"""
PROJECT = """\
apiVersion: argoproj.io/v1alpha1
kind: AppProject
metadata: {name: fleet, namespace: argocd}
spec:
  sourceRepos: ["https://git.example.com/team/*"]
  destinations: [{server: "https://kubernetes.default.svc", namespace: "fleet-*"}]
  clusterResourceWhitelist: [{group: "", kind: Namespace}]
"""
FLEET = f"""\
apiVersion: argoproj.io/v1alpha1
kind: ApplicationSet
metadata: {{name: fleet, namespace: argocd}}
spec:
  goTemplate: true
  generators:
  - git: {{repoURL: "git@git.example.com:team/environments.git", revision: HEAD, directories: [{{path: "fleet/*"}}]}}
  template:
    metadata: {{name: "fleet-{{{{.path.basename}}}}"}}
    spec:
      project: fleet
      source: {{repoURL: "{ADDRESS}", targetRevision: HEAD, path: "{{{{.path.path}}}}"}}
      destination: {{server: "https://kubernetes.default.svc", namespace: "fleet-{{{{.path.basename}}}}"}}
      syncPolicy: {{automated: {{}}, syncOptions: [CreateNamespace=true]}}
"""

GOOD = {
    "root.yaml": application("root", "children", namespace="argocd"),
    "children/web.yaml": application("web", "web/overlays/dev", more=AUTOMATED),
    "children/chart.yaml": application("chart", "charts/api"),
    "children/project.yaml": PROJECT,
    "children/fleet.yaml": FLEET,
    "web/base/kustomization.yaml": "resources: [web.yaml]\n",
    "web/base/web.yaml": deployment("web"),
    "web/overlays/dev/kustomization.yaml": "namespace: web\nresources: [../../base]\n",
    "charts/api/Chart.yaml": "apiVersion: v2\nname: api\nversion: 1.0.0\n",
    "charts/api/values.yaml": "size: 1\n",
    "charts/api/templates/cm.yaml": CONFIG_MAP.replace("a: b", "size: {{ .Values.size | quote }}"),
    "fleet/one/cm.yaml": CONFIG_MAP,
    "fleet/two/cm.yaml": CONFIG_MAP,
    # A definition that comes from another Application than its use.
    "argocd/definitions.yaml": application("definitions", "definitions"),
    "argocd/widgets.yaml": application("widgets", "widgets"),
    "definitions/widget.yaml": DEFINITION.replace("KIND", "Widget").replace("PLURAL", "widgets"),
    "widgets/widget.yaml": WIDGET,
}
BAD = {
    "argocd/broken.yaml": application("broken", "broken"),
    "broken/kustomization.yaml": "resources: [missing.yaml]\n",
    "argocd/undefined.yaml": application("undefined", "undefined"),
    "undefined/gadget.yaml": WIDGET.replace("Widget", "Gadget"),
    "argocd/secretive.yaml": application("secretive", "secretive"),
    "secretive/api.yaml": deployment("api", extra="        envFrom: [{secretRef: {name: db-credentials}}]\n"),
    "argocd/invalid.yaml": application("invalid", "invalid"),
    "invalid/service.yaml": "apiVersion: v1\nkind: Service\nmetadata: {name: it}\nspec: {ports: [{port: 99999}]}\n",
    "argocd/homeless.yaml": application("homeless", "fleet/one", more="  syncPolicy: {}"),
    "argocd/elsewhere.yaml": application("elsewhere", "fleet/one").replace(
        "kubernetes.default.svc", "prod.example.com"
    ),
    "argocd/private.yaml": application("private", "x", address="http://127.0.0.1:9/secret/repository.git"),
    "argocd/misplaced.yaml": application("misplaced", "fleet/three"),
    "argocd/projectless.yaml": application("projectless", "fleet/one").replace("project: default", "project: nobody"),
    "argocd/restless.yaml": application("restless", "restless"),
    "restless/cm.yaml": CONFIG_MAP.replace("a: b", "a: null"),
}


@dataclass(frozen=True)
class Team:
    """A team's repository, and what was said of it."""

    repository: UserRepository
    outcome: Outcome

    @property
    def own(self) -> dict[str, Any]:
        """What `up --repo` says of the repository."""
        found = self.outcome.data()["own"]
        assert isinstance(found, dict)
        return found

    def verdict(self, name: str) -> dict[str, Any]:
        """What it says of one Application."""
        [found] = [each for each in self.own["applications"] if each["name"] == name]
        assert isinstance(found, dict)
        return found

    def findings(self, name: str) -> list[dict[str, str]]:
        """The errors of one Application."""
        return [each for each in self.verdict(name)["findings"] if each["level"] == "error"]


def stages(verdict: dict[str, Any]) -> list[str]:
    return [verdict[stage] for stage in STAGES]


def up(user: User, repository: UserRepository) -> Team:
    return Team(repository, user.run("up", "--name", NAME, "--repo", str(repository.folder), "--json"))


@pytest.fixture(scope="module")
def troubled(user: User, tmp_path_factory: pytest.TempPathFactory) -> Team:
    """Give a repository with every trouble, one of it not even committed."""
    repository = UserRepository(tmp_path_factory.mktemp("team") / "environments")
    repository.commit({**GOOD, **BAD})
    repository.write({"fleet/one/fresh.yaml": CONFIG_MAP.replace("name: it", "name: fresh")})
    return up(user, repository)


@pytest.fixture(scope="module")
def mended(user: User, troubled: Team, tmp_path_factory: pytest.TempPathFactory) -> Team:
    """Give the same sandbox after the team took the trouble out and came again."""
    repository = UserRepository(tmp_path_factory.mktemp("later") / "environments")
    repository.commit({**GOOD, "charts/api/values.yaml": "size: 2\n"})
    assert troubled.outcome.code == FAILED
    return up(user, repository)


def test_applications_that_work_are_proved_and_healthy_wherever_they_come_from(troubled: Team) -> None:
    assert troubled.outcome.code == FAILED, troubled.outcome
    for name in ("root", "web", "chart", "fleet-one", "fleet-two", "definitions"):
        assert stages(troubled.verdict(name)) == ["yes"] * 5, str(troubled.verdict(name))
        assert troubled.verdict(name)["held"]
    made = {name: troubled.verdict(name)["made_by"] for name in ("root", "web", "fleet-one")}
    assert made == {"root": "root.yaml", "web": "Application root", "fleet-one": "ApplicationSet fleet"}


def test_what_another_application_brings_lets_one_succeed_that_failed_without_it(troubled: Team) -> None:
    assert troubled.verdict("widgets")["held"], troubled.verdict("widgets")


def test_what_is_not_committed_is_deployed_too_and_that_is_said(user: User, troubled: Team) -> None:
    api = KubeApi(Path(user.status(NAME)["kubeconfig"]))
    assert troubled.own["uncommitted"] == 1
    assert any("fleet/one/fresh.yaml" in note for note in troubled.own["notes"])
    assert api.get("v1", "ConfigMap", "it", "fleet-one") is not None
    assert not troubled.repository.git("log", "--all", "--format=%s", "--grep=Take over")


@pytest.mark.parametrize(
    ("name", "reached", "thing", "what", "hint"),
    [
        ("broken", 0, "broken", "broken/missing.yaml", "kustomization"),
        ("undefined", 1, "Gadget.example.com it", "no kind Gadget of group example.com", "--crds"),
        ("invalid", 1, "Service it", "refuses its content", "mend the field"),
        ("homeless", 1, "ConfigMap it", "no namespace homeless", "CreateNamespace=true"),
        ("private", 0, "x at main", "can't be reached", "--beside"),
        ("misplaced", 0, "fleet/three", "no folder fleet/three", "spec.source.path"),
        ("projectless", 0, "fleet/one", "no AppProject nobody", "--given"),
        ("secretive", 4, "Deployment api", "no Secret db-credentials", "--given"),
        ("restless", 2, "ConfigMap it", "out of sync", "ignoreDifferences"),
    ],
)
def test_each_trouble_is_named_with_its_object_its_cause_and_what_to_do(  # a row of the table above
    troubled: Team, name: str, reached: int, thing: str, what: str, hint: str
) -> None:
    verdict = troubled.verdict(name)
    assert not verdict["held"]
    assert stages(verdict)[:reached] == ["yes"] * reached
    assert stages(verdict)[reached] == "no"
    found = troubled.findings(name)
    assert any(thing in each["thing"] and what in each["what"] and hint in each["next"] for each in found), found


def test_an_application_for_another_cluster_is_named_and_not_redirected(troubled: Team) -> None:
    assert stages(troubled.verdict("elsewhere")) == ["not reached"] * 5
    [found] = [each for each in troubled.own["findings"] if each["application"] == "elsewhere"]
    assert (found["level"], "prod.example.com" in found["what"]) == ("note", True)


def test_the_mirror_differs_from_the_repository_in_its_addresses_alone(
    user: User, troubled: Team, tmp_path: Path
) -> None:
    access = user.status(NAME)
    account = git_account(access, tmp_path)
    url = f"{access['git']['url']}/own/environments/environment.git"
    run(["git", "clone", "--quiet", url, tmp_path / "mirror"], timeout=30, env=account)
    shown = run(["git", "show", "--format=", "--unified=0"], timeout=30, cwd=tmp_path / "mirror", env=account)
    changes = [line for line in shown.splitlines() if line[:1] in "+-" and line[:3] not in ("+++", "---")]
    removed = sorted(
        line[1:].replace(ADDRESS, url).replace("git@git.example.com:team/environments.git", url)
        for line in changes
        if line[0] == "-"
    )
    added = sorted(line[1:] for line in changes if line[0] == "+")
    assert [line for line in added if "sourceRepos" not in line] == [
        line for line in removed if "sourceRepos" not in line
    ]
    assert troubled.repository.git("status", "--porcelain") == "?? fleet/one/fresh.yaml"


def test_the_report_has_a_case_for_each_application_and_tells_no_secret(user: User, troubled: Team) -> None:
    paths = troubled.own["report"]
    suite = ET.parse(paths["junit"]).getroot().find("testsuite")  # noqa: S314  # our own file
    assert suite is not None
    cases = {case.get("name"): case for case in suite.iter("testcase")}
    assert {each["name"] for each in troubled.own["applications"]} < cases.keys()
    assert cases["web"].find("failure") is None
    assert cases["undefined"].find("failure") is not None
    assert cases["elsewhere"].find("skipped") is not None
    page = Path(paths["html"]).read_text()
    assert "no kind Gadget of group example.com" in page
    secrets = [path.read_text().strip() for path in (user.folder / NAME / "secrets").iterdir()]
    assert not [secret for secret in secrets if secret in page or secret in Path(paths["data"]).read_text()]


def test_what_was_mended_holds_when_the_repository_is_taken_over_again(user: User, mended: Team) -> None:
    assert mended.outcome.code == 0, mended.outcome
    assert {each["name"] for each in mended.own["applications"] if each["held"]} == {
        *("root", "web", "chart", "fleet-one", "fleet-two", "definitions", "widgets")
    }
    api = KubeApi(Path(user.status(NAME)["kubeconfig"]))
    chart = api.get("v1", "ConfigMap", "it", "chart") or {}
    assert chart["data"] == {"size": "2"}
    # What is in Git no more is gone, as it would be.
    assert api.get("argoproj.io/v1alpha1", "Application", "broken", "argocd") is None


@pytest.fixture
def trouble(tmp_path: Path) -> UserRepository:
    """Give a small repository in which two Applications deploy each other, and a link leads out."""
    made = UserRepository(tmp_path / "trouble")
    made.commit({"one/second.yaml": application("second", "two"), "two/first.yaml": application("first", "one")})
    return made


@pytest.fixture
def nothing_of_a_check(user: User) -> Iterator[None]:
    """Demand that a check leaves no sandbox of its own."""
    yield
    left = [path.name for path in user.folder.iterdir() if path.name.startswith("check-")]
    assert not left
    assert not [process for process in user.processes() if "check-" in str(process)]


@pytest.mark.nightly
@pytest.mark.usefixtures("nothing_of_a_check")
def test_a_check_takes_many_manifests_and_names_a_circle_and_leaves_nothing(
    user: User, trouble: UserRepository, tmp_path: Path
) -> None:
    many = {f"many/{n}.yaml": CONFIG_MAP.replace("name: it", f"name: it-{n}") for n in range(MANY)}
    trouble.commit({"many.yaml": application("many", "many"), **many})
    before = trouble.state()
    outcome = user.run("check", str(trouble.folder), "--report-to", str(tmp_path / "reports"), "--json")
    assert outcome.code == FAILED, outcome
    found = outcome.data()
    verdicts = {each["name"]: each for each in found["applications"]}
    assert verdicts["many"]["held"]
    assert verdicts["many"]["objects"] == MANY
    assert set(verdicts) == {"first", "second", "many"}
    [circle] = [each for each in found["findings"] if each["level"] == "error"]
    assert "circle" in circle["what"]
    assert {path.suffix for path in (tmp_path / "reports").iterdir()} == {".html", ".xml", ".json"}
    assert trouble.state() == before


@pytest.mark.nightly
@pytest.mark.usefixtures("nothing_of_a_check")
def test_a_check_holds_once_it_is_given_what_the_real_cluster_has_beforehand(user: User, tmp_path: Path) -> None:
    needy = UserRepository(tmp_path / "needy")
    names = ("undefined", "secretive", "homeless")
    needy.commit({path: text for path, text in {**GOOD, **BAD}.items() if any(name in path for name in names)})
    needy.commit({"fleet/one/cm.yaml": CONFIG_MAP})
    definitions, given = tmp_path / "gadget.yaml", tmp_path / "given"
    definitions.write_text(DEFINITION.replace("KIND", "Gadget").replace("PLURAL", "gadgets"))
    given.mkdir()
    (given / "namespace.yaml").write_text("apiVersion: v1\nkind: Namespace\nmetadata: {name: secretive}\n")
    (given / "secret.yaml").write_text(
        "apiVersion: v1\nkind: Secret\nmetadata: {name: db-credentials, namespace: secretive}\n"
    )

    wishes = ("--crds", str(definitions), "--given", str(given), "--create-namespaces")
    outcome = user.run("check", str(needy.folder), *wishes, "--json")

    assert outcome.code == 0, outcome
    assert {each["name"]: each["held"] for each in outcome.data()["applications"]} == dict.fromkeys(names, True)


@pytest.mark.usefixtures("nothing_of_a_check")
def test_a_check_that_is_broken_off_takes_its_sandbox_down(user: User, trouble: UserRepository) -> None:
    standing = len(user.processes())
    command = user.start("check", str(trouble.folder))

    def started() -> Observation:
        if command.poll() is not None:
            return failed(str(user.finish(command)))
        number = len(user.processes()) - standing
        return met("") if number >= 7 else pending(f"{number} processes")

    wait_for(started, Deadline.after(60), wanted="the check to have begun", every=0.02)
    os.killpg(command.pid, signal.SIGINT)
    assert user.finish(command, seconds=60).code == INTERRUPTED


@pytest.mark.parametrize(
    ("words", "what"),
    [
        (["check", "/nonexistent"], "is no repository"),
        (["check", "/"], "is in no Git repository"),
        (["check", "https://uma:hunter2@git.invalid/x.git"], "carries a password"),
        (["check", ".", "--crds", "/nonexistent.yaml"], "there is no /nonexistent.yaml"),
        (["up", "--repo", "ext::sh -c id"], "is no repository"),
        (["check", ".", "--within", "-1"], "is no time"),
    ],
)
def test_wrong_use_is_told_before_any_sandbox_comes_up(user: User, words: list[str], what: str) -> None:
    outcome = user.run(*words)
    assert outcome.code == WRONG_USE, outcome
    assert what in outcome.stderr
    assert "next:" in outcome.stderr
    assert not (user.folder / "default").exists()
