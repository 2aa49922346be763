"""A user's own repository in a sandbox: mirrored, its Applications created, and a verdict given on each.

own = OwnRepository(access, "~/src/environments", Wishes())
own.take_over()
checked = own.check(Deadline.after(180))
checked.held, checked.verdicts, checked.findings
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from sandbox.components.argocd.home import ARGOCD_API
from sandbox.core.conditions import Deadline
from sandbox.core.errors import SandboxError, UsageError
from sandbox.engines.access import Access
from sandbox.gitops.argocd_api import ArgocdApi
from sandbox.gitops.manifests import render
from sandbox.gitops.own.explaining import Explanation, cleaned, explained
from sandbox.gitops.own.family import live_cycles
from sandbox.gitops.own.findings import ApplicationVerdict, Finding, Level
from sandbox.gitops.own.judging import Judge
from sandbox.gitops.own.layout import Declared
from sandbox.gitops.own.member import Patience
from sandbox.gitops.own.mirroring import Mirror, mirrored
from sandbox.gitops.own.planning import Plan, deployed_spec, destination_of, planned, sources_of
from sandbox.gitops.own.preparing import CRD, applied, loaded
from sandbox.gitops.own.registering import Registered, register
from sandbox.gitops.own.settling import Settling
from sandbox.kube.api import KubeApi

__all__ = ["Checked", "OwnRepository", "Wishes"]

_SETTLING_SECONDS = 300.0
# Argo CD works on each object for a tenth of a second, half of it to read the description of all types anew.
_SECONDS_PER_MANIFEST = 0.3
_SECONDS_TO_COMPARE_ONE = 0.02
_WITH_CONTAINERS = Patience(wrong=30.0, still=90.0)
_PLAYED = Patience(wrong=4.0, still=30.0)
_NAMED = 8


@dataclass(frozen=True, slots=True)
class Wishes:
    """What a user may ask for beside the repository.

    Attributes:
        committed: Whether only what is committed takes part.
        beside: Other repositories that Applications name, by path or address: they are mirrored too.
        crds: Files, folders or addresses of CustomResourceDefinitions that the cluster has beforehand.
        given: The same, of any manifests: namespaces, Secrets, projects, storage classes.
        namespaces: Whether the namespaces that Applications deploy to are there beforehand.
        owner: What the names of the mirrors begin with.
        prefix: What the names of Applications begin with that the repository does not declare itself.
    """

    committed: bool = False
    beside: tuple[str, ...] = ()
    crds: tuple[str, ...] = ()
    given: tuple[str, ...] = ()
    namespaces: bool = False
    owner: str = "own"
    prefix: str = ""


@dataclass(slots=True)
class Checked:
    """What became of a repository.

    Attributes:
        repository: What the user gave.
        revision: The commit that was checked, as the mirror has it.
        head: The user's own newest commit.
        uncommitted: How many paths took part that no commit has.
        rewritten: The files that name the mirror instead of the repository.
        notes: What a reader must know of what was checked.
        verdicts: One for each Application.
        findings: What is about the repository and not about one Application.
        seconds: How long it took.
    """

    repository: str
    revision: str
    head: str
    uncommitted: int
    rewritten: tuple[str, ...]
    notes: tuple[str, ...]
    verdicts: list[ApplicationVerdict] = field(default_factory=list)
    findings: list[Finding] = field(default_factory=list)
    seconds: float = 0.0

    @property
    def held(self) -> bool:
        """Whether everything that could be looked at works; where nothing could be, nothing is shown."""
        looked = [each for each in self.verdicts if each.checked]
        return bool(looked) and all(each.held for each in looked) and not self._errors()

    @property
    def timed_out(self) -> bool:
        """Whether all that is wrong is that the time was over."""
        wrong = [each for each in self.verdicts if each.checked and not each.held]
        return bool(wrong) and all(each.timed_out for each in wrong) and not self._errors()

    def _errors(self) -> list[Finding]:
        return [each for each in self.findings if each.level is Level.ERROR]

    def all_findings(self) -> list[Finding]:
        """Give every finding: about the repository first, then by Application."""
        return [*self.findings, *(found for each in self.verdicts for found in each.findings)]

    def to_json(self) -> dict[str, Any]:
        """Give it as JSON data."""
        return {
            "repository": self.repository,
            "passed": self.held,
            "revision": self.revision,
            "head": self.head,
            "uncommitted": self.uncommitted,
            "rewritten": list(self.rewritten),
            "notes": list(self.notes),
            "applications": [each.to_json() for each in self.verdicts],
            "findings": [each.to_json() for each in self.findings],
            "seconds": round(self.seconds, 3),
        }


class OwnRepository:
    """A user's repository and what of it lives in a sandbox.

    Args:
        access: The way into the sandbox.
        given: The repository: a path, or an address that ``git clone`` takes.
        wishes: What else is asked for.
        say: Told what is done.
    """

    def __init__(
        self, access: Access, given: str, wishes: Wishes | None = None, say: Callable[[str], None] = lambda _: None
    ) -> None:
        self._access = access
        self._given = given
        self._wishes = wishes or Wishes()
        self._say = say
        self._api = KubeApi(access.kubeconfig)
        self._kustomize = access.tools["kustomize"].binary()
        self._mirror: Mirror | None = None
        self._plan = Plan()
        self._registered = Registered()

    @property
    def mirror(self) -> Mirror:
        """The mirror.

        Raises:
            UsageError: ``take_over`` has not been called.
        """
        if self._mirror is None:
            raise UsageError(f"{self._given} has not been taken over", hint="take_over() first")
        return self._mirror

    @property
    def applications(self) -> list[str]:
        """The names of the Applications and ApplicationSets that were created of it."""
        return [name for _, name in self._registered.roots]

    @property
    def usual_seconds(self) -> float:
        """How long a check may take unless somebody says so."""
        return _SETTLING_SECONDS + _SECONDS_PER_MANIFEST * self.mirror.layout.manifests

    def take_over(self) -> None:
        """Mirror the repository as it is now and create its Applications; done again, all is brought up to date.

        Raises:
            UsageError: It is no repository, or nothing in it can be deployed.
            UnavailableError: Something that is needed can't be had; says what.
        """
        wishes = self._wishes
        definitions = [each for one in wishes.crds for each in loaded(one, self._kustomize) if each["kind"] == CRD]
        others = [each for one in wishes.given for each in loaded(one, self._kustomize)]
        for each in applied(self._api, [*definitions, *others]):
            self._say(f"given beforehand: {each}")
        mirror = mirrored(
            self._access, self._given, owner=wishes.owner, committed=wishes.committed, beside=wishes.beside
        )
        self._mirror = mirror
        for note in mirror.copy.notes:
            self._say(f"{mirror.copy.name} {note}")
        found: list[Finding] = []
        self._plan = planned(
            mirror.layout,
            mirror.url,
            home=self._access.argocd_namespace,
            below=mirror.copy.below,
            prefix=wishes.prefix,
            render=lambda folder: self._rendered(folder, found),
        )
        self._plan.findings.extend(found)
        if not self._plan.roots and not self._plan.findings and not mirror.findings:
            raise UsageError(
                f"nothing in {self._given} can be deployed",
                why="there is no Application, kustomization, chart or manifest" + _in(mirror.copy.below),
                hint="give the path of a repository with manifests",
            )
        record = self._access.folder / "own" / f"{mirror.repository.replace('/', '.')}.json"
        self._registered = register(
            self._api,
            self._plan,
            record,
            home=self._access.argocd_namespace,
            namespaces=wishes.namespaces,
            say=self._say,
        )
        if self._plan.proposed and self._registered.roots:
            self._say(f"it declares no Application; made for its folders: {', '.join(self.applications)}")

    def _rendered(self, folder: str, found: list[Finding]) -> list[dict[str, Any]]:
        mirror = self.mirror
        with tempfile.TemporaryDirectory(dir=self._access.folder) as scratch:
            try:
                tree = mirror.copy.repository.export(mirror.revision, Path(scratch) / "tree")
                return render(self._kustomize, tree / folder)
            except SandboxError as error:
                text = cleaned(error.why.replace(f"{scratch}/tree/", ""))
                said = explained(f"kustomize build {text}", Explanation("it can't be rendered", "see the message"))
                found.append(Finding(Level.ERROR, "", folder or ".", said.what, text, said.hint))
                return []

    def check(self, deadline: Deadline) -> Checked:
        """Sync every Application and give the verdict on each.

        Args:
            deadline: When to stop waiting; what has not settled by then is late.

        Raises:
            UnavailableError: The API server or Argo CD does not answer.
        """
        began = time.monotonic()
        mirror = self.mirror
        runs = "containers" in self._access.capabilities
        argocd = ArgocdApi(self._access)
        comparing = _SECONDS_TO_COMPARE_ONE * mirror.layout.manifests
        patience = (_WITH_CONTAINERS if runs else _PLAYED).with_work(comparing)
        settling = Settling(
            self._api, argocd, self._registered.roots, self._access.argocd_namespace, patience, self._say
        )
        members = settling.settled(deadline)
        judge = Judge(self._api, argocd)
        verdicts = [judge.verdict(member) for member in members.values()]
        argocd.close()
        unseen = [self._unchecked(each) for each in self._registered.elsewhere]
        findings = [*mirror.findings, *self._plan.findings, *self._registered.findings]
        findings += [each for each in self._live_findings(settling) if each.what not in {one.what for one in findings}]
        if judge.images and not runs:
            findings.append(_unpulled(sorted(judge.images)))
        return Checked(
            repository=self._given,
            revision=mirror.revision,
            head=mirror.copy.head,
            uncommitted=len(mirror.copy.uncommitted),
            rewritten=mirror.rewritten,
            notes=mirror.copy.notes,
            verdicts=sorted([*verdicts, *unseen], key=lambda each: each.name),
            findings=findings,
            seconds=time.monotonic() - began,
        )

    def _live_findings(self, settling: Settling) -> list[Finding]:
        mine = [member.application for member in settling.members.values()]
        found = live_cycles(mine)
        for name, item in settling.sets.items():
            for each in (item.get("status") or {}).get("conditions") or ():
                if each["type"] == "ErrorOccurred" and each["status"] == "True":
                    said = explained(each["message"], Explanation("it can't make its Applications", "see the message"))
                    found.append(
                        Finding(
                            Level.ERROR, "", f"ApplicationSet {name}", said.what, cleaned(each["message"]), said.hint
                        )
                    )
        return found

    @staticmethod
    def _unchecked(declared: Declared) -> ApplicationVerdict:
        spec = deployed_spec(declared.manifest)
        namespace = destination_of(spec)["namespace"]
        return ApplicationVerdict(declared.name, ", ".join(map(str, sources_of(spec))), namespace, declared.path)

    def remove(self) -> None:
        """Delete the Applications that were created of it, with what they deployed where they say so."""
        for kind, name in self._registered.roots:
            self._api.delete(ARGOCD_API, kind, name, self._access.argocd_namespace)


def _unpulled(images: list[str]) -> Finding:
    more = f" and {len(images) - _NAMED} more" if len(images) > _NAMED else ""
    return Finding(
        Level.NOTE,
        "",
        ", ".join(images[:_NAMED]) + more,
        "whether these images can be pulled was not looked at",
        "no container runs on this engine",
        "--engine kind pulls them",
    )


def _in(folder: str) -> str:
    return f" in {folder}" if folder else ""
