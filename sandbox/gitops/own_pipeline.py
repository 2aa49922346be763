"""A user's own workflow, run as the sandbox's forge runs any: by a push to its Git server."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

from sandbox.core.conditions import Deadline, Observation, met, pending, wait_for
from sandbox.core.errors import UsageError
from sandbox.engines.access import Access
from sandbox.gitops.git import Credential, push_head
from sandbox.gitops.pipeline import Pipeline
from sandbox.gitops.tenant import Tenant
from sandbox.gitops.world import World
from sandbox.servers.ci_runs import Run
from sandbox.servers.repositories import create_repository, delete_repository, list_repositories

__all__ = ["run_own"]

TENANT = Tenant("local")
_SECONDS = 900.0
_NOT_ALLOWED = re.compile(r"[^a-z0-9._-]+")


def run_own(access: Access, path: Path, say: Callable[[str], None]) -> Run:
    """Push the newest commit of a user's repository to the sandbox, and wait for its workflow to end.

    The workflow gets the sandbox's registry and the environment repository ``local/environment``,
    which is made from the sample and deployed by Argo CD. The user's repository is only read.

    Args:
        access: The way into the sandbox.
        path: The user's repository.
        say: Told what happens.

    Raises:
        UsageError: ``path`` is no repository with a workflow and a commit.
        DeadlineError: The run did not end in time.
    """
    path = path.expanduser().resolve()
    if not any((path / ".github" / "workflows").glob("*.y*ml")):
        raise UsageError(
            f"{path} has no workflow",
            why="there is no .github/workflows/*.yaml in it",
            hint="pipeline PATH, with the root of a Git repository",
        )
    name = f"{TENANT.name}/{_NOT_ALLOWED.sub('-', path.name.lower()).strip('-._') or 'source'}"
    _ensure_environment(access)
    # Made anew each time: a commit that the server has already would set nothing off.
    delete_repository(access.repositories, name)
    create_repository(access.repositories, name)
    credential = Credential(access.git.url, access.git.user, access.git.password())
    commit = push_head(path, f"{access.git.url}/{name}.git", credential)
    say(f"pushed {commit[:8]} to {name}; what is not committed takes no part")
    pipeline = Pipeline(access.runs, name)
    told: set[str] = set()

    def ended() -> Observation:
        run = pipeline.run_of(commit)
        if run is None:
            return pending("the push has not reached the CI runner")
        for step in run.steps:
            if str(step["name"]) not in told:
                told.add(str(step["name"]))
                say(f"{step['status']:8} {step['name']} ({step['seconds']:.2f} s)")
        return met(run.status) if run.finished else pending(f"run {run.id} is {run.status}")

    wait_for(ended, Deadline.after(_SECONDS), wanted=f"the workflow of {path.name} to end", hint=str(access.runs))
    run = pipeline.run_of(commit)
    assert run is not None  # noqa: S101  # the condition above was met by it
    return run


def _ensure_environment(access: Access) -> None:
    if TENANT.environment not in list_repositories(access.repositories):
        world = World(access, TENANT)
        world.claim()
        world.environment.begin()
        world.register()
