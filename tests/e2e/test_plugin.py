"""The pytest plugin, in a project of somebody else's that has installed the wheel."""

from __future__ import annotations

import os
import re
import signal
import textwrap
from collections.abc import Iterator
from pathlib import Path

import pytest

from sandbox.core.commands import run
from sandbox.core.conditions import Deadline, Observation, failed, met, pending, wait_for
from sandbox.kube.api import KubeApi
from tests.e2e.plugin import Project, installed, properties, verdicts
from tests.e2e.support import Outcome, User

NAME = "standing"

pytestmark = pytest.mark.timeout(400)


def write_repositories(project: Project) -> None:
    """Write two Git repositories that nobody has seen before: the API server takes one, and refuses the other."""
    for name, manifest in (("environment", MANIFEST), ("broken", MANIFEST.replace("Always", "Sometimes"))):
        folder = project.folder / name
        (folder / "web").mkdir(parents=True)
        (folder / "web" / "deployment.yaml").write_text(textwrap.dedent(manifest))
        (folder / "web" / "kustomization.yaml").write_text("resources: [deployment.yaml]\n")
        me = ("-c", "user.name=Somebody", "-c", "user.email=somebody@example.com")
        for words in (("init", "-q", "-b", "main"), ("add", "."), (*me, "commit", "-q", "-m", "Describe web")):
            run(["git", *words], timeout=30, cwd=folder)


@pytest.fixture(scope="module")
def python(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return installed(tmp_path_factory.mktemp("wheel"))


@pytest.fixture
def project(tmp_path: Path, python: Path) -> Iterator[Project]:
    (tmp_path / "project").mkdir()
    with User(tmp_path / "s").leaving_nothing() as user:
        yield Project(tmp_path / "project", python, user)


TESTS = '''
    import os, signal
    import pytest
    from sandbox.core.conditions import met
    from sandbox.gitops.predicates import Predicate
    from sandbox.gitops.story import eventually, expect, story as told, then, when

    def test_a_release_goes_live(story):
        story.environment.begin()
        story.register()
        eventually(story.dev.lives(story.environment.head))

    def test_another_tenant_meets_nobody(story):
        assert story.api.get("v1", "Namespace", story.dev.namespace) is None
        story.environment.begin()

    def test_nothing_goes_live_that_nobody_registered(story):
        """Nobody registered it, and so the test fails."""
        revision = story.environment.begin()
        with then("it lives"):
            eventually(story.dev.lives(story.environment.head), within=1)

    @told
    def test_a_story_is_a_test(world):
        """A story that is a test."""
        with when("nothing is done"):
            pass
        with then("it is so"):
            expect(Predicate("it to be so", met))

    @pytest.mark.gitops_needs("containers")
    def test_that_needs_containers(story):
        raise AssertionError("it was taken")
'''
THREE_LINES = """
    from sandbox.gitops.story import eventually

    def test_the_environment_works(environment_repo):
        repo = environment_repo("environment")
        eventually(repo.works())

    def test_a_broken_environment_is_named(environment_repo):
        repo = environment_repo("broken")
        eventually(repo.works())
"""
MANIFEST = """
    apiVersion: apps/v1
    kind: Deployment
    metadata:
      name: web
    spec:
      replicas: 2
      selector: {matchLabels: {app: web}}
      template:
        metadata: {labels: {app: web}}
        spec:
          restartPolicy: Always
          containers:
          - {name: web, image: "example.com/web:1"}
"""
KILLED = """
    def test_that_kills_its_worker(story):
        story.environment.begin()
        story.register()
        os.kill(os.getpid(), signal.SIGKILL)
"""


EXPECTED = {
    "test_a_release_goes_live": "passed",
    "test_another_tenant_meets_nobody": "passed",
    "test_nothing_goes_live_that_nobody_registered": "failure",
    "test_a_story_is_a_test": "passed",
    "test_that_needs_containers": "skipped",
    "test_the_environment_works": "passed",
    "test_a_broken_environment_is_named": "failure",
}


def test_workers_share_one_sandbox_and_a_killed_one_spoils_no_verdict_of_another(project: Project) -> None:
    project.write("test_releases.py", TESTS + KILLED)
    project.write("test_environment.py", THREE_LINES)
    write_repositories(project)
    outcome = project.run("-n", "2", "--junitxml=junit.xml")
    assert outcome.code == 1, outcome
    found = verdicts(project.folder / "junit.xml")
    assert {name: found[name] for name in EXPECTED} == EXPECTED, outcome
    assert "crashed while running" in outcome.stdout, outcome
    told = properties(project.folder / "junit.xml", "test_a_release_goes_live")
    others = properties(project.folder / "junit.xml", "test_another_tenant_meets_nobody")
    assert told["gitops.engine"] == "embedded"
    assert told["gitops.sandbox"] == others["gitops.sandbox"]
    assert told["gitops.tenant"] != others["gitops.tenant"]
    assert re.fullmatch("[0-9a-f]{40}", told["gitops.environment_commit"])
    assert "argocd 3." in told["gitops.versions"]
    assert not project.user.processes()
    assert [path.name for path in project.user.folder.iterdir() if "pytest" in path.name] == []


@pytest.mark.nightly
def test_in_a_standing_sandbox_the_same_holds_and_only_what_failed_is_kept(project: Project) -> None:
    access = project.user.ok("up", "--name", NAME)
    project.write("test_releases.py", TESTS)
    project.write("test_environment.py", THREE_LINES)
    write_repositories(project)
    outcome = project.run(
        *("--gitops-name", NAME, "--gitops-keep", "failure", "--gitops-reports", "found", "--junitxml=junit.xml")
    )
    assert outcome.code == 1, outcome
    assert verdicts(project.folder / "junit.xml") == EXPECTED, outcome
    assert project.user.status(NAME)["state"] == "up"
    failed_tenant = properties(project.folder / "junit.xml", "test_nothing_goes_live_that_nobody_registered")
    passed_tenant = properties(project.folder / "junit.xml", "test_a_release_goes_live")
    broken = properties(project.folder / "junit.xml", "test_a_broken_environment_is_named")
    left = {name.partition("/")[0] for name in project.user.status(NAME)["git"]["repositories"]}
    assert left == {failed_tenant["gitops.tenant"], broken["gitops.tenant"]}
    gone = f"{passed_tenant['gitops.tenant']}-greeter-dev"
    assert KubeApi(Path(access["kubeconfig"])).get("v1", "Namespace", gone) is None
    the_failure(project, outcome, failed_tenant["gitops.report"])
    a_killed_worker(project, left)


def a_killed_worker(project: Project, kept: set[str]) -> None:
    """Demand that what the test of a killed worker has made is cleared from a sandbox that stands."""
    project.write("test_killed.py", "\n    import os, signal\n" + KILLED)
    outcome = project.run("--gitops-name", NAME, "-n", "1", "test_killed.py")
    assert "crashed while running" in outcome.stdout, outcome
    assert {name.partition("/")[0] for name in project.user.status(NAME)["git"]["repositories"]} == kept


def the_failure(project: Project, outcome: Outcome, report: str) -> None:
    """Demand that a failed test shows its own lines, the sentence, and what may tell why; and nothing of ours."""
    shown = outcome.stdout.partition("= FAILURES =")[2].partition("short test summary")[0]
    assert "> " in shown
    assert "eventually(story.dev.lives(story.environment.head), within=1)" in shown
    assert re.search(r"it-lives: [0-9a-f]{8} to live in dev: not within 1 s", shown), outcome
    assert "last seen: there is no Application" in shown
    for section in ("gitops: the story", "gitops: in the way", "gitops: the report"):
        assert section in shown, outcome
    assert "restartPolicy" in shown
    assert "telling.py" not in shown
    assert "contextlib.py" not in shown
    assert Path(report).parent == project.folder / "found"
    assert "it lives" in Path(report).read_text()
    assert "not shown, 1 times: the engine embedded has no containers" in outcome.stdout


@pytest.mark.nightly
def test_a_run_that_is_killed_leaves_nothing(project: Project) -> None:
    project.write(
        "test_waits.py",
        """
        import pathlib, threading

        def test_that_never_ends(story):
            pathlib.Path("begun").touch()
            threading.Event().wait()
        """,
    )
    command = project.start("-n", "1")

    def begun() -> Observation:
        if command.poll() is not None:
            return failed(str(project.user.finish(command)))
        return met() if (project.folder / "begun").exists() else pending("not begun")

    wait_for(begun, Deadline.after(120), wanted="the test to begin", every=0.05)
    # The controller alone: its worker is to find out by itself.
    os.kill(command.pid, signal.SIGKILL)
    project.user.wait_until_alone(seconds=60)

    def gone() -> Observation:
        left = [path.name for path in project.user.folder.iterdir() if "pytest" in path.name]
        return pending(f"there are {left}") if left else met()

    wait_for(gone, Deadline.after(60), wanted="the sandbox of the killed run to be gone", every=0.05)
    command.communicate()


def test_what_can_not_be_shown_fails_where_nothing_may_be_left_out(project: Project) -> None:
    project.write(
        "test_needs.py",
        """
        import pytest

        @pytest.mark.gitops_needs("containers")
        def test_that_needs_containers(story):
            pass

        @pytest.mark.gitops_needs("wings")
        def test_that_needs_what_there_is_not(story):
            pass
        """,
    )
    outcome = project.run("--gitops-strict", "-p", "no:randomly")
    assert outcome.code == 1, outcome
    assert "the engine embedded has no containers, and nothing may be left out" in outcome.stdout, outcome
    assert "there is no capability 'wings'" in outcome.stdout, outcome
    assert not project.user.processes()


def test_tests_that_use_nothing_of_it_load_nothing_of_it(project: Project, tmp_path: Path) -> None:
    project.write(
        "test_plain.py",
        """
        import sys

        def test_plain():
            assert "sandbox.pytest_plugin" in sys.modules
            heavy = ("kubernetes", "docker", "git", "sandbox.engines", "sandbox.testing.session")
            assert not [name for name in heavy if name in sys.modules]
        """,
    )
    nobody = User(tmp_path / "nobody")
    outcome = Project(project.folder, project.python, nobody).run()
    assert outcome.code == 0, outcome
    assert not nobody.folder.exists()


def test_an_option_that_can_not_be_says_so_without_a_traceback(project: Project) -> None:
    project.write("test_any.py", "def test_any(story): pass\n")
    for words, said in (
        (("--gitops-engine", "docker"), "there is no engine 'docker'"),
        (("--gitops-name", "nobody-made-this"), "there is no sandbox 'nobody-made-this'"),
        (("--gitops-keep", "sometimes"), "there is no choice for --gitops-keep 'sometimes'"),
    ):
        outcome = project.run(*words)
        assert outcome.code == pytest.ExitCode.TESTS_FAILED, outcome
        assert said in outcome.stdout, outcome
        assert "Traceback" not in outcome.stdout, outcome
