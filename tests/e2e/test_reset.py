"""A reset: whatever a story has done or left, the sandbox is afterwards as it was when it had just come up."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from sandbox.core.commands import run
from sandbox.core.conditions import Deadline, Observation, met, pending, wait_for
from sandbox.core.timeline import Timeline
from sandbox.engines import rewinding, sandboxes
from sandbox.engines.access import Access
from sandbox.gitops.story import tell
from sandbox.gitops.tenant import Tenant
from sandbox.gitops.world import World
from sandbox.kube.api import KubeApi
from sandbox.servers.ci_runs import RunStore
from scenarios import catalogue
from tests.e2e.moments import differences, everything, settled
from tests.e2e.support import ROOT, User, by_night

NAME = "reset"
API = "argoproj.io/v1alpha1"

pytestmark = pytest.mark.timeout(300)


@pytest.fixture(scope="module")
def access(user: User) -> Access:
    user.ok("up", "--name", NAME)
    return sandboxes.access(NAME)


@pytest.fixture(scope="module")
def clean(access: Access) -> dict[str, Any]:
    """Give all that the sandbox held right after it had come up."""
    return settled(access)


@pytest.fixture(autouse=True)
def whole_at_first(clean: dict[str, Any]) -> None:
    """Have the clean state looked at before any test changes it, in whichever order they run."""
    del clean


def deployed(access: Access, tenant: str = "one") -> World:
    """Deploy the sample application, as the beginning of a story."""
    world = World(access, Tenant(tenant))
    with world:
        world.environment.begin()
        world.register()
        wait_for(world.dev.lives(world.environment.head), Deadline.after(60), wanted="it to live", wake=world.changed)
    return world


def apply(access: Access, *manifests: dict[str, Any]) -> KubeApi:
    api = KubeApi(access.kubeconfig)
    for manifest in manifests:
        api.apply(manifest)
    return api


def config_map(namespace: str, name: str, **metadata: Any) -> dict[str, Any]:
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name, "namespace": namespace, **metadata}}


def passes_right_after_another_reset(access: Access) -> None:
    rewinding.reset(NAME)
    result = tell(catalogue()["core"], World(access, Tenant("core")), Timeline())
    assert result.passed, result.error


def raises_in_the_middle(access: Access) -> None:
    def play() -> None:
        with World(access, Tenant("raises")) as world:
            world.environment.begin()
            world.register()
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        play()


def hangs_in_a_hook_and_in_a_pipeline(access: Access) -> None:
    world = deployed(access, "hangs")
    hook = {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": {
            "name": "hangs",
            "annotations": {"argocd.argoproj.io/hook": "PreSync"},
            "finalizers": ["example.com/nobody-takes-this-off"],
        },
        "spec": {
            "suspend": True,
            "template": {
                "spec": {"restartPolicy": "Never", "containers": [{"name": "hangs", "image": "example.com/hangs:1"}]}
            },
        },
    }
    overlay = world.environment.copy.folder / world.environment.overlay("dev")
    (overlay / "hook.yaml").write_text(yaml.safe_dump(hook))
    kustomization = overlay / "kustomization.yaml"
    listed = yaml.safe_load(kustomization.read_text())
    listed["resources"].append("hook.yaml")
    kustomization.write_text(yaml.safe_dump(listed))
    # A hook alone sets no sync off.
    world.environment.set_image("dev", "example.com/greeter:hangs")
    world.environment.copy.commit("Wait for what never comes")
    world.environment.push()
    world.source.begin()
    workflow = world.source.copy.folder / ".github" / "workflows" / "ci.yaml"
    workflow.write_text("on: push\njobs: {hang: {runs-on: ubuntu-latest, steps: [{run: sleep 300}]}}\n")
    world.source.copy.commit("Hang")
    world.source.push()
    api = KubeApi(access.kubeconfig)

    def hanging() -> Observation:
        phase = (world.dev.read() or {}).get("status", {}).get("operationState", {}).get("phase")
        job = api.get("batch/v1", "Job", "hangs", world.dev.namespace)
        statuses = [each.status for each in RunStore(access.runs).all()]
        well = phase == "Running" and job and "running" in statuses
        return met("") if well else pending(f"sync {phase}, job {bool(job)}, runs {statuses}")

    wait_for(hanging, Deadline.after(60), wanted="the sync and the run to hang")


def leaks_a_namespace_that_a_finalizer_holds(access: Access) -> None:
    space = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "leaked"}}
    api = apply(access, space, config_map("leaked", "stuck", finalizers=["example.com/hold"]))
    api.delete("v1", "ConfigMap", "stuck", "leaked")
    api.delete("v1", "Namespace", "leaked")


def deletes_and_changes_what_the_sandbox_came_with(access: Access) -> None:
    api = apply(access, config_map("default", "left-in-a-shared-namespace"))
    api.delete(API, "AppProject", "default", "argocd")
    api.delete("v1", "ConfigMap", "argocd-rbac-cm", "argocd")
    api.delete("v1", "Node", "node-0")
    api.merge("v1", "ConfigMap", "argocd-cm", "argocd", {"data": {"application.resourceTrackingMethod": "label"}})
    api.merge("v1", "Namespace", "default", None, {"metadata": {"labels": {"marked": "by-a-story"}}})


def brings_a_custom_type_and_takes_one_away(access: Access) -> None:
    api = KubeApi(access.kubeconfig)
    api.delete("apiextensions.k8s.io/v1", "CustomResourceDefinition", "applicationsets.argoproj.io")
    schema = {"openAPIV3Schema": {"type": "object", "x-kubernetes-preserve-unknown-fields": True}}
    version = {"name": "v1", "served": True, "storage": True, "schema": schema}
    api.apply(
        {
            "apiVersion": "apiextensions.k8s.io/v1",
            "kind": "CustomResourceDefinition",
            "metadata": {"name": "toys.example.com"},
            "spec": {
                "group": "example.com",
                "scope": "Cluster",
                "names": {"plural": "toys", "singular": "toy", "kind": "Toy", "listKind": "ToyList"},
                "versions": [version],
            },
        }
    )


def fills_a_repository_with_a_large_file(access: Access) -> None:
    world = World(access, Tenant("large"))
    world.environment.begin()
    (world.environment.copy.folder / "large.bin").write_bytes(os.urandom(50 * 1024 * 1024))
    world.environment.copy.commit("Keep a film of it")
    world.environment.push()


WRECKS = [
    passes_right_after_another_reset,
    raises_in_the_middle,
    hangs_in_a_hook_and_in_a_pipeline,
    leaks_a_namespace_that_a_finalizer_holds,
    deletes_and_changes_what_the_sandbox_came_with,
    brings_a_custom_type_and_takes_one_away,
    fills_a_repository_with_a_large_file,
]


@pytest.mark.parametrize(
    "wreck",
    by_night(
        WRECKS, but=lambda wreck: wreck not in (passes_right_after_another_reset, fills_a_repository_with_a_large_file)
    ),
    ids=lambda wreck: wreck.__name__.replace("_", "-"),
)
def test_after_a_reset_nothing_is_left_of_a_story_that(
    access: Access, clean: dict[str, Any], wreck: Callable[[Access], None]
) -> None:
    wreck(access)
    assert differences(clean, settled(access)) != []
    rewinding.reset(NAME)
    assert differences(clean, settled(access)) == []


def test_a_reset_keeps_the_reports(user: User, access: Access, clean: dict[str, Any]) -> None:
    report = access.folder / "reports" / "kept.html"
    report.parent.mkdir(exist_ok=True)
    report.write_text("what became of a story")
    user.ok("reset", "--name", NAME)
    assert report.exists()
    assert differences(clean, settled(access)) == []


WORKER = """
from sandbox.engines import sandboxes
from sandbox.gitops.tenant import Tenant
from sandbox.gitops.world import World

with World(sandboxes.access("reset"), Tenant("killed")) as world:
    world.environment.begin()
    world.register()
    print("at work", flush=True)
    input()
"""


def test_after_a_worker_was_killed_in_the_middle_its_tenant_is_cleared(
    user: User, access: Access, clean: dict[str, Any]
) -> None:
    rewinding.reset(NAME)
    pipe = subprocess.PIPE
    command = [sys.executable, "-c", WORKER]
    with subprocess.Popen(command, stdin=pipe, stdout=pipe, text=True, env=user.environment(), cwd=ROOT) as worker:
        assert worker.stdout is not None
        assert worker.stdout.readline() == "at work\n"
        worker.kill()
    assert "tenant killed" in everything(access)

    assert World(access, Tenant("killed")).clear().freed == ()

    left = [each for each in differences(clean, settled(access)) if not each.startswith("changed: ")]
    assert left == []


@pytest.mark.nightly
def test_a_reset_that_is_killed_is_finished_by_up(user: User, access: Access, clean: dict[str, Any]) -> None:
    deployed(access)
    mark = access.folder / "snapshots" / ".going-back"
    command = user.start("reset", "--name", NAME)
    try:
        wait_for(
            lambda: met("") if mark.exists() or command.poll() is not None else pending("it has not begun"),
            Deadline.after(120),
            wanted="the reset to have begun",
            every=0.005,
        )
    finally:
        os.killpg(command.pid, signal.SIGKILL)
        command.communicate()
    # As if it had been killed right after it had begun, where it was quicker than this test.
    mark.write_text(".clean")
    user.ok("up", "--name", NAME)
    assert not mark.exists()
    assert differences(clean, settled(access)) == []


@pytest.mark.nightly
def test_a_reset_keeps_as_many_nodes_as_the_sandbox_was_last_asked_to_have(
    user: User, access: Access, clean: dict[str, Any]
) -> None:
    user.ok("up", "--name", NAME, "--nodes", "3")
    user.ok("reset", "--name", NAME)
    new = [each for each in differences(clean, settled(access)) if each.startswith("new: nodes.")]
    assert new == ["new: nodes.v1 /node-1", "new: nodes.v1 /node-2"]
    user.ok("up", "--name", NAME, "--nodes", "1")
    user.ok("reset", "--name", NAME)
    assert differences(clean, settled(access)) == []


def test_a_reset_waits_for_a_story_that_is_told(user: User, access: Access) -> None:
    with sandboxes.telling(access.name, "somebody"):
        command = user.start("reset", "--name", NAME)
        said = next(line for line in iter(command.stdout.readline, "") if line.strip()) if command.stdout else ""
        assert "another command holds sandbox" in said
    assert user.finish(command).code == 0


def test_reset_of_a_stopped_sandbox_says_how_to_start_it(user: User, access: Access) -> None:
    user.ok("stop", "--name", NAME)
    outcome = user.run("reset", "--name", NAME)
    assert outcome.code == 2
    assert f"start --name {NAME}" in outcome.stderr
    user.ok("start", "--name", NAME)
    assert Path(access.kubeconfig).exists()
    assert run(["git", "--version"], timeout=10)
