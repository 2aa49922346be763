"""What is measured, each a function that gives seconds (or the stated unit), one value a run."""

from __future__ import annotations

import contextlib
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, cast

import yaml

from sandbox.components.argocd.home import ARGOCD_API
from sandbox.components.base import ARGOCD_NAMESPACE
from sandbox.core.conditions import Condition, Deadline, Observation, met, pending, wait_for
from sandbox.core.processes import marked
from sandbox.core.timeline import Timeline
from sandbox.engines import sandboxes
from sandbox.engines.access import Access
from sandbox.engines.records import Record
from sandbox.gitops.application import Application
from sandbox.gitops.moment import Moment
from sandbox.gitops.repositories import EnvironmentRepo
from sandbox.gitops.tenant import Tenant
from sandbox.gitops.world import World

__all__ = [
    "command",
    "drift_to_healed",
    "first_application",
    "idle",
    "many_applications",
    "push_to_live",
    "seconds_of",
    "until",
    "world",
]

ROOT = Path(__file__).resolve().parents[1]
_SECONDS = 120.0
_APPLICATIONS_SECONDS = 300.0


def seconds_of(act: Callable[[], object]) -> float:
    """Give the seconds that something takes."""
    began = time.monotonic()
    act()
    return time.monotonic() - began


def command(module: str, *words: str) -> float:
    """Run a program of ours as a process of its own and give the seconds until it has ended, its start included."""
    began = time.monotonic()
    subprocess.run(
        [sys.executable, "-m", module, *words], cwd=ROOT, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE
    )
    return time.monotonic() - began


def until(world: World, wanted: str, condition: Condition) -> None:
    """Wait for a condition in a world; the deadline is far beyond what is measured."""
    wait_for(condition, Deadline.after(_SECONDS), wanted=wanted, wake=world.changed, every=0.25)


@contextlib.contextmanager
def world(name: str) -> Iterator[World]:
    """Give a world in a running sandbox, with its environment repository made and its dev Application live."""
    access = sandboxes.access(name)
    with World(access, Tenant("bench")) as made:
        _deploy(made)
        yield made


def _deploy(made: World) -> None:
    made.environment.begin()
    since = Moment.now()
    made.register()
    until(made, "the dev Application to live", made.dev.lives(made.environment.head, since))


def first_application(name: str) -> None:
    """Bring a sandbox up and deploy a first Application in it, as a process of its own would."""
    access = sandboxes.up(name, sandboxes.UpOptions(), Timeline())
    with World(access, Tenant("bench")) as made:
        made.environment.begin()
        since = Moment.now()
        made.register("dev")
        until(made, "the Application to live", made.dev.lives(made.environment.head, since))


def push_to_live(made: World, number: int) -> tuple[float, float]:
    """Push another image, as a release does, and the revert; give the seconds until each is proved to live."""
    copy = made.environment.copy
    made.environment.set_image("dev", f"example.com/greeter:{number}")
    change = copy.commit(f"Release {number}")
    pushed = _pushed_to_live(made, change)
    revert = copy.revert(change)
    return pushed, _pushed_to_live(made, revert)


def _pushed_to_live(made: World, revision: str) -> float:
    # What the commit says is worked out beforehand: it is our own work, not the system's.
    made.dev.desired(revision)
    since, began = Moment.now(), time.monotonic()
    made.environment.copy.push()
    until(made, f"{revision[:8]} to live", made.dev.lives(revision, since))
    return time.monotonic() - began


def drift_to_healed(made: World, number: int) -> float:
    """Scale the Deployment by hand; give the seconds until that is proved to be undone."""
    revision = made.environment.head
    made.dev.desired(revision)
    since, began = Moment.now(), time.monotonic()
    change = made.cluster.scale(made.dev.namespace, "greeter", 3 + number % 3)
    until(made, "the drift to be healed", made.dev.heals(change, revision, since))
    return time.monotonic() - began


_PLAIN = """\
apiVersion: apps/v1
kind: Deployment
metadata:
  name: plain
spec:
  replicas: 2
  selector: {matchLabels: {app: plain}}
  template:
    metadata: {labels: {app: plain}}
    spec:
      containers:
      - {name: plain, image: example.com/plain:1}
"""


class _PlainRepo:
    """What a verdict asks of an environment repository, with one Deployment for every Application."""

    def __init__(self, made: World) -> None:
        folder = made.environment.copy.folder / "plain"
        folder.mkdir()
        (folder / "deployment.yaml").write_text(_PLAIN)
        made.environment.copy.commit("Describe one plain Deployment")
        self.revision = made.environment.push()

    def overlay(self, environment: str) -> str:
        """Give the folder."""
        return environment

    def rendered(self, revision: str, path: str) -> list[dict[str, Any]]:
        """Give the only commit's content."""
        del revision, path
        return [yaml.safe_load(_PLAIN)]


def many_applications(access: Access, count: int) -> float:
    """Create Applications of one Deployment with two replicas, a namespace each; give the seconds until all live."""
    with World(access, Tenant("bench")) as made:
        made.environment.begin()
        plain = _PlainRepo(made)
        names = [f"bench-many-{number:03}" for number in range(count)]
        since, began = Moment.now(), time.monotonic()
        for name in names:
            made.api.create(_application(made, name))
        waiting = {name: Application(made.api, name, "plain", cast("EnvironmentRepo", plain)) for name in names}

        def all_live() -> Observation:
            for name in list(waiting):
                # In the order of their creation: the first that is not there yet ends the look.
                seen = waiting[name].lives(plain.revision, since)()
                if seen != met(seen.seen):
                    return pending(f"{len(waiting)} left; {name}: {seen.seen}")
                del waiting[name]
            return met(f"{count} live")

        try:
            wait_for(all_live, Deadline.after(_APPLICATIONS_SECONDS), wanted=f"{count} Applications to live", every=0.1)
            return time.monotonic() - began
        finally:
            _remove_all(made, names)


def _application(made: World, name: str) -> dict[str, Any]:
    return {
        "apiVersion": ARGOCD_API,
        "kind": "Application",
        "metadata": {"name": name, "namespace": ARGOCD_NAMESPACE},
        "spec": {
            "project": "default",
            "source": {"repoURL": made.environment.url, "targetRevision": "main", "path": "plain"},
            "destination": {"server": "https://kubernetes.default.svc", "namespace": name},
            "syncPolicy": {
                "automated": {"prune": True, "selfHeal": True},
                "syncOptions": ["CreateNamespace=true"],
            },
        },
    }


def _remove_all(made: World, names: list[str]) -> None:
    for name in names:
        made.api.delete(ARGOCD_API, "Application", name, ARGOCD_NAMESPACE)
        made.api.delete("v1", "Namespace", name)


def idle(name: str, seconds: float, rest: Callable[[float], object]) -> dict[str, float]:
    """Give what a sandbox takes that nobody uses: memory (GiB, proportional set size) and cores."""
    record = Record.load(name)
    assert record is not None  # noqa: S101  # it was just brought up
    processes = list(marked(record.run_id))

    def ticks() -> int:
        total = 0
        for process in processes:
            fields = Path(f"/proc/{process.pid}/stat").read_text().rpartition(")")[2].split()
            total += int(fields[11]) + int(fields[12])
        return total

    before = ticks()
    rest(seconds)
    cores = (ticks() - before) / 100 / seconds
    kib = 0
    for process in processes:
        for line in Path(f"/proc/{process.pid}/smaps_rollup").read_text().splitlines():
            if line.startswith("Pss:"):
                kib += int(line.split()[1])
    return {"memory_gib": round(kib / 1024**2, 3), "cores": round(cores, 3), "processes": len(processes)}
