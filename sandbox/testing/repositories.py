"""A manifests repository of the test's author: mirrored into the test's tenant, and a verdict on what it declares."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from sandbox.core.conditions import Deadline, Observation, failed, met
from sandbox.core.errors import UsageError
from sandbox.core.files import make_private_dir
from sandbox.core.locks import Mode, locked
from sandbox.core.names import check_choice
from sandbox.engines.access import Access
from sandbox.gitops.own.findings import ApplicationVerdict
from sandbox.gitops.own.repository import Checked, OwnRepository, Wishes
from sandbox.gitops.predicates import Predicate
from sandbox.gitops.telling import acting

__all__ = ["EnvironmentRepository", "Taking", "taking"]

_WITHIN = 180.0
_TURN_SECONDS = 1800.0

Taking = Callable[..., "EnvironmentRepository"]
"""What the fixture ``environment_repo`` gives; see ``EnvironmentRepository.taken``."""


class EnvironmentRepository:
    """A repository that a test was given, as it is in the sandbox.

    Args:
        given: What the test calls it by.
        own: Its mirror.
    """

    def __init__(self, given: str, own: OwnRepository) -> None:
        self.given = given
        self._own = own

    @property
    def revision(self) -> str:
        """The commit that Argo CD follows, as the mirror has it."""
        return self._own.mirror.revision

    @property
    def applications(self) -> list[str]:
        """The names of the Applications and ApplicationSets that were created of it."""
        return self._own.applications

    def update(self) -> str:
        """Mirror the repository again, as it is now; return the commit that Argo CD follows then."""
        acting()
        self._own.take_over()
        return self.revision

    def works(self, *names: str, within: float = _WITHIN) -> Predicate:
        """Every Application of it renders, is accepted, syncs, lives as it was rendered, and is healthy.

        Args:
            *names: Only these Applications.
            within: Seconds until what has not settled is late.
        """
        which = ", ".join(names) if names else "every Application"
        evidence = {"environment_commit": self.revision}
        return Predicate(f"{which} of {self.given} to work", lambda: self._works(names, within), evidence, final=True)

    def _works(self, names: Sequence[str], within: float) -> Observation:
        checked = self._own.check(Deadline.after(within))
        verdicts = {each.name: each for each in checked.verdicts}
        for name in names:
            check_choice("Application", name, verdicts)
        chosen = [verdicts[name] for name in names] if names else checked.verdicts
        wrong = [line for each in chosen if each.checked and not each.held for line in _said(each)]
        unseen = [each.name for each in chosen if not each.checked]
        if names and unseen:
            wrong += [f"{name}: it could not be looked at" for name in unseen]
        if wrong or (not names and not checked.held):
            return failed("\n".join(_about(checked, wrong)))
        shown = ", ".join(f"{each.name} ({each.objects} objects)" for each in chosen if each.checked)
        return met(f"{shown} at {self.revision[:8]}")


def _about(checked: Checked, wrong: list[str]) -> list[str]:
    return [*(str(each) for each in checked.findings), *wrong]


def _said(verdict: ApplicationVerdict) -> Iterator[str]:
    late = " (it had not settled when the time was over)" if verdict.timed_out else ""
    if not verdict.findings:
        yield f"{verdict.name}: it does not work{late}"
    for each in verdict.findings:
        yield f"{verdict.name}{late}: {each}"


@contextmanager
def taking(access: Access, tenant: str, root: Path, took: list[EnvironmentRepository]) -> Iterator[Taking]:
    """Give what takes repositories over into a tenant; one test at a time has any.

    A repository names its Applications and namespaces itself, so that two tests that have the same one would meet.

    Args:
        access: The way into the sandbox.
        tenant: Whose repositories the mirrors are: with it, they and all that came of them are cleared.
        root: What paths are relative to.
        took: Gets each that was taken over.

    Raises:
        DeadlineError: Another test has one for too long.
    """
    folder = make_private_dir(access.folder / "telling")
    wanted, held = "the turn of a test that has a repository of its own", "another test has one"

    def take(
        given: str | Path,
        *,
        committed: bool = False,
        beside: Sequence[str] = (),
        crds: Sequence[str] = (),
        manifests: Sequence[str] = (),
        create_namespaces: bool = False,
    ) -> EnvironmentRepository:
        """Mirror a repository into the test's tenant and create its Applications.

        Args:
            given: A path, relative to pytest's rootdir, or an address that ``git clone`` takes.
            committed: Whether only what is committed takes part.
            beside: Other repositories that its Applications name.
            crds: CustomResourceDefinitions that the cluster has beforehand.
            manifests: The same, of any manifests.
            create_namespaces: Whether the namespaces are there that Applications deploy to.

        Raises:
            UsageError: It is no repository, or nothing in it can be deployed.
            UnavailableError: Something that is needed can't be had.
        """
        if not str(given):
            raise UsageError("no repository was named", hint="environment_repo('path/to/environment')")
        path = root / Path(given).expanduser()
        place = str(path) if path.exists() else str(given)
        wishes = Wishes(
            committed=committed,
            beside=tuple(beside),
            crds=tuple(crds),
            given=tuple(manifests),
            namespaces=create_namespaces,
            owner=tenant,
            prefix=f"{tenant}-",
        )
        acting()
        own = OwnRepository(access, place, wishes)
        own.take_over()
        took.append(EnvironmentRepository(str(given), own))
        return took[-1]

    with locked(folder / ".own.lock", Mode.ALONE, Deadline.after(_TURN_SECONDS), wanted=wanted, held=held):
        yield take
