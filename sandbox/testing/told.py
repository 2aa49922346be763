"""A test as a story: told in a tenant of its own, watched, and cleared away when it has passed."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Self

from sandbox.core.conditions import Deadline
from sandbox.core.errors import SandboxError
from sandbox.core.files import make_private_dir
from sandbox.core.locks import FileLease
from sandbox.core.timeline import Timeline
from sandbox.engines import sandboxes
from sandbox.engines.access import Access
from sandbox.gitops.evidence import Witness
from sandbox.gitops.steps import StepResult, StoryFailedError
from sandbox.gitops.story import Story, StoryResult
from sandbox.gitops.telling import Telling
from sandbox.gitops.tenant import Tenant
from sandbox.gitops.world import World
from sandbox.report.findings import Report
from sandbox.report.writing import written
from sandbox.testing.repositories import EnvironmentRepository

__all__ = ["ToldTest", "clear_abandoned", "leased_tenants"]

_FREE_SECONDS = 60.0
_LEASES = "tenant-leases"


class ToldTest:
    """A test that is told as a story.

    Args:
        access: The way into the sandbox.
        tenant: The names that it may use; nobody else's.
        name: The test's name.
        sentence: What it shows, for people.

    Attributes:
        world: What the test speaks of.
        step: The test itself, as the step that all it demands outside of any other belongs to.
        report: The HTML report of its failure; None as long as there is none.
        repositories: Those of its author's that it has taken over.
    """

    def __init__(self, access: Access, tenant: Tenant, name: str, sentence: str) -> None:
        self._access = access
        self._sentence = sentence
        self._timeline = Timeline()
        self._mending = contextlib.ExitStack()
        self._telling = Telling(self._timeline, {}, self._mending)
        self.world = World(access, tenant)
        self._witness = Witness(self.world, self._timeline)
        self.step = StepResult(name, sentence)
        self.report: Path | None = None
        self.repositories: list[EnvironmentRepository] = []

    @contextlib.contextmanager
    def open(self, keeps: Callable[[bool], bool]) -> Iterator[Self]:
        """Have the test's tenant, with nothing in it, and be what the words of the language speak to.

        Args:
            keeps: Says whether what the test has made stays, given whether it failed.

        Raises:
            SandboxError: The tenant can't be had, or not be cleared.
        """
        folder = make_private_dir(self._access.folder / _LEASES)
        name = self.world.tenant.name
        lease = FileLease.share(folder / name, Deadline.after(_FREE_SECONDS))
        with sandboxes.telling(self._access.name, name), self._mending:
            self._witness.begin()
            with self._telling.told(), self.world:
                self._telling.take_place(self.world.changed, self._access.folder / "logs", self.world.within)
                yield self
            if not keeps(self.failed):
                self.world.clear()
            lease.finish()

    def taken(self) -> contextlib.AbstractContextManager[None]:
        """Take the test's body."""
        return self._telling.whole(self.step)

    @property
    def failed(self) -> bool:
        """Whether the test's body has failed."""
        return self.step.status == "failed"

    @property
    def steps(self) -> list[StepResult]:
        """Its steps, itself first."""
        return self._telling.steps

    def revision(self) -> str:
        """Give the newest commit of its environment repository, or of its author's own; empty where it has none."""
        if self.world.environment.begun:
            return self.world.environment.head
        return self.repositories[-1].revision if self.repositories else ""

    def write_report(self, error: StoryFailedError, folder: Path) -> Report:
        """Write the report of its failure, and give what it says, without any secret.

        Raises:
            OSError: The sandbox's secrets can't be read, so that they can't be left out.
            SandboxError: It can't be written.
        """
        name = self.world.tenant.name
        story = Story(name, self._sentence, self._sentence, (), _told_already)
        result = StoryResult(name, self._access.engine, self.step.seconds, self.steps, error)
        report = self._witness.report(story, result)
        self.report = written(report, folder, name).html
        return report


def _told_already(world: World) -> None:
    """Do nothing: the test was told by pytest."""
    del world


def leased_tenants(folder: Path) -> list[Path]:
    """Give the leases of the tenants that a sandbox's tests have, or were killed with.

    Args:
        folder: The sandbox's state folder.
    """
    leases = folder / _LEASES
    return sorted(leases.iterdir()) if leases.exists() else []


def clear_abandoned(access: Access) -> list[str]:
    """Clear the tenants of tests whose worker was killed; return their names.

    Raises:
        SandboxError: One could not be cleared; the next one who looks tries again.
    """
    cleared = []
    for path in leased_tenants(access.folder):
        lease = FileLease.abandoned(path)
        if lease is None:
            continue
        try:
            World(access, Tenant(path.name)).clear()
        except SandboxError:
            lease.drop()
            raise
        lease.finish()
        cleared.append(path.name)
    return cleared
