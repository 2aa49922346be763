"""Bringing every Application of a repository to where nothing more changes, each by its own sync policy.

One that syncs by itself is left to; any other gets a sync operation, as somebody who presses the
button would start it. One that failed is tried again when others got further since, since what it lacked
may have come: a definition, a namespace, a project.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from sandbox.components.argocd.home import ARGOCD_API, REFRESH, awaits_refresh
from sandbox.core.conditions import Deadline, Observation, met, pending, wait_for
from sandbox.core.errors import DeadlineError
from sandbox.gitops.argocd_api import ArgocdApi
from sandbox.gitops.moment import Moment
from sandbox.gitops.own.family import family
from sandbox.gitops.own.member import End, Member, Patience, spec_errors
from sandbox.gitops.own.shortcomings import unexplained
from sandbox.kube.api import KubeApi
from sandbox.kube.watching import Watch

__all__ = ["Settling"]

SET_REFRESH = "argocd.argoproj.io/application-set-refresh"
_ATTEMPTS = 3
_LASTING = 0.5
_ACTOR = "gitops-sandbox"

Json = dict[str, Any]

_FAILED = (End.UNRENDERED, End.REFUSED, End.UNHEALTHY, End.STUCK)


@dataclass(slots=True)
class _Asked:
    """How often an ApplicationSet was asked to look again, and when first and last."""

    times: int = 0
    first: float = field(default_factory=time.monotonic)
    last: float = 0.0


class Settling:
    """Watches a family until every member has come to an end.

    Args:
        api: The cluster.
        argocd: Argo CD.
        roots: What the family comes of: kind and name, with the file.
        home: The namespace of Argo CD's own objects.
        patience: How long anything may look the same.
        say: Told of each end.
    """

    def __init__(
        self,
        api: KubeApi,
        argocd: ArgocdApi,
        roots: Mapping[tuple[str, str], str],
        home: str,
        patience: Patience,
        say: Callable[[str], None],
    ) -> None:
        self._api = api
        self._argocd = argocd
        self._roots = roots
        self._home = home
        self._patience = patience
        self._say = say
        self._begun = Moment.now()
        self._progress = time.monotonic()
        self._names: set[str] = set()
        self._asked: dict[str, _Asked] = {}
        self.members: dict[str, Member] = {}
        self.sets: dict[str, Json] = {}

    def settled(self, deadline: Deadline) -> dict[str, Member]:
        """Wait until every Application has come to an end; those that have not by then are late.

        Raises:
            KubeError: The API server does not answer.
        """
        for kind, name in self._roots:
            if kind == "Application":
                self._refresh(name)
        with Watch(self._api) as watch:
            watch.add([(ARGOCD_API, "Application", self._home, "")])
            try:
                wait_for(self._look, deadline, wanted="every Application to settle", wake=watch.changed, every=0.5)
            except DeadlineError:
                for member in self.members.values():
                    if member.end is None:
                        self._finish(member, End.LATE)
        return self.members

    def _look(self) -> Observation:
        found = [
            each for kind in ("Application", "ApplicationSet") for each in self._api.list(ARGOCD_API, kind, self._home)
        ]
        everybody = family(self._roots, found)
        self.sets = {name: item for (kind, name), (item, _) in everybody.items() if kind == "ApplicationSet"}
        for (kind, name), (application, made_by) in everybody.items():
            if kind != "Application":
                continue
            member = self.members.setdefault(name, Member(application, made_by, self._begun))
            member.application = application
            if member.end is None or not member.firm:
                self._judge(member)
        waiting = self._unmade()
        under_way = [each for each in self.members.values() if each.end is None]
        if under_way:
            one = under_way[0]
            return pending(f"{len(under_way)} of {len(self.members)}; {one.name}: {one.seen}")
        if waiting:
            return pending(waiting)
        if self._try_again():
            return pending("what failed is tried again, since others got further")
        if set(self.members) != self._names:
            self._names = set(self.members)
            return pending("whether any more come")
        return met(f"{len(self.members)} Applications")

    def _unmade(self) -> str:
        """Say which ApplicationSet has not made its Applications yet."""
        for name, found in self.sets.items():
            said = {each["type"]: each["status"] for each in (found.get("status") or {}).get("conditions") or ()}
            if said.get("ResourcesUpToDate") == "True":
                continue
            asked = self._asked.setdefault(name, _Asked())
            if said.get("ErrorOccurred") == "True" and asked.times < _ATTEMPTS and self._progress > asked.last:
                # It looks again after minutes only, while what it lacked may have come right after.
                asked.times, asked.last = asked.times + 1, time.monotonic()
                for value in (None, "true"):
                    patch = {"metadata": {"annotations": {SET_REFRESH: value}}}
                    self._api.merge(ARGOCD_API, "ApplicationSet", name, self._home, patch)
            patience = self._patience.wrong * 2 if asked.times else self._patience.still
            if time.monotonic() - (asked.last or asked.first) < patience:
                return f"ApplicationSet {name} has not made its Applications yet"
        return ""

    def _try_again(self) -> bool:
        tried = False
        for member in self.members.values():
            lacking = member.end in (End.UNRENDERED, End.REFUSED) and member.attempts < _ATTEMPTS
            if lacking and self._progress > member.tried:
                tried = True
                self._again(member)
        return tried

    def _again(self, member: Member) -> None:
        refused = member.end is End.REFUSED
        member.attempts += 1
        member.tried = time.monotonic()
        member.end, member.looked = None, ""
        self._refresh(member.name)
        if refused:
            member.since = Moment.now()
            if not _is_running(member):
                self._start(member)

    # One Application.

    def _judge(self, member: Member) -> None:
        looks = member.looks
        end, firm = self._end(member)
        if member.looks == looks:
            # It looked otherwise just now: what it looks like later, it has not looked like all the time.
            member.looked = ""
        member.firm = firm
        if end is not None and member.end is None:
            self._finish(member, end)
        elif end is not member.end:
            member.end = end

    def _finish(self, member: Member, end: End) -> None:
        member.end = end
        member.seconds = time.monotonic() - member.begun
        if end not in _FAILED:
            self._progress = time.monotonic()
        elif not member.tried:
            member.tried = time.monotonic()
        self._say(f"{member.name}: {end.value} ({member.seconds:.1f} s)")

    def _end(self, member: Member) -> tuple[End | None, bool]:
        """Give where an Application has come to, and whether that is firm."""
        status, errors = member.status, spec_errors(member.status)
        refreshing = awaits_refresh(member.application)
        if refreshing or not (errors or status.get("reconciledAt")):
            # One that was asked to look again has its time go on: nothing has changed yet.
            look = member.looked if member.regarded else ""
            return self._patient(member, look or "Argo CD has not compared it yet", End.STUCK)
        if "operation" in member.application and not _is_running(member):
            return self._patient(member, "its sync is about to begin", End.STUCK)
        if errors:
            member.seen = errors[0]
            if member.attempts:
                return End.UNRENDERED, True
            # The first error may be of the moment: of a project or a cluster just made known.
            self._again(member)
            return None, True
        return self._of_operation(member) or self._of_sync(member)

    def _of_sync(self, member: Member) -> tuple[End | None, bool]:
        status = member.status
        if (status.get("sync") or {}).get("status") == "Synced" or _lacks_pruning_only(status):
            return self._of_health(member)
        if member.since.precedes(finished := member.operation.get("finishedAt")):
            if member.compared != finished:
                # Its comparison may be older than the end of its sync.
                member.compared = str(finished)
                self._refresh(member.name)
                return None, True
            return self._wrong(member, "it is out of sync after a sync that succeeded", End.OUT_OF_SYNC)
        return self._begin(member)

    def _of_operation(self, member: Member) -> tuple[End | None, bool] | None:
        operation = member.operation
        message = str(operation.get("message") or "")
        if _is_running(member):
            if operation.get("retryCount"):
                # It goes on to retry for minutes; what it says holds unless another Application brings what it lacks.
                member.seen = message
                return End.REFUSED, False
            done = len((operation.get("syncResult") or {}).get("resources") or ())
            member.seen = f"its sync is running: {message}"
            waits = message.startswith("waiting for") and "/Namespace/" not in message
            # Many objects take their time, and none of it shows: only what waits can be stuck.
            stuck = waits and member.unchanged(f"{done} {message}") >= self._patience.still * 2
            return (End.STUCK if stuck else None), False
        failed = operation.get("phase") in ("Failed", "Error")
        if failed and member.since.precedes(operation.get("finishedAt")):
            member.seen = message
            return End.REFUSED, True
        return None

    def _begin(self, member: Member) -> tuple[End | None, bool]:
        """Have it synced: by itself where it does that, and by an operation where it does not."""
        if _is_automated(member.application) and member.unchanged("to be synced") < self._patience.wrong:
            member.seen = "Argo CD is to sync it by itself"
            return None, True
        if member.starts > member.attempts:
            return self._patient(member, "the sync that was started has left no trace", End.STUCK)
        self._start(member)
        member.seen = "its sync is about to begin"
        return None, True

    def _of_health(self, member: Member) -> tuple[End | None, bool]:
        said = member.status.get("health") or {}
        if said.get("status") in ("Healthy", "Suspended"):
            # Argo CD's word on health flickers while it settles.
            lasted = member.unchanged("healthy") >= _LASTING
            return (End.HEALTHY if lasted else None), True
        member.nodes = self._argocd.tree(member.name)
        bad = [each for each in member.nodes if _is_bad(each)]
        if bad and not unexplained(bad):
            return self._wrong(member, "nothing here can make the rest of it healthy", End.LIMITED)
        seen = "; ".join(f"{each['kind']} {each['name']} {_health(each)}" for each in bad[:3]) or str(said)
        end, firm = (
            self._wrong(member, seen, End.UNHEALTHY)
            if said.get("status") == "Degraded"
            else self._patient(member, seen, End.STUCK)
        )
        due = member.regarded * 2 or self._patience.wrong / 2
        if member.unchanged(seen) >= due:
            # Argo CD does not look again by itself at every kind: of a definition it keeps what it saw first, and on a
            # busy machine sees no more when it is asked for the first time.
            member.regarded = due
            self._refresh(member.name)
        return end, firm

    def _wrong(self, member: Member, seen: str, end: End) -> tuple[End | None, bool]:
        member.seen = seen
        # Not firm: what it waits for may still come of another Application.
        return (end if member.unchanged(seen) >= self._patience.wrong else None), False

    def _patient(self, member: Member, seen: str, end: End) -> tuple[End | None, bool]:
        member.seen = seen
        return (end if member.unchanged(seen) >= self._patience.still else None), False

    # What is done to it.

    def _refresh(self, name: str) -> None:
        patch = {"metadata": {"annotations": {REFRESH: "hard"}}}
        self._api.merge(ARGOCD_API, "Application", name, self._home, patch)

    def _start(self, member: Member) -> None:
        """Start a sync as somebody would by hand: with the Application's own options and retries, and with prune."""
        policy = member.application["spec"].get("syncPolicy") or {}
        sync: Json = {"prune": True, "syncOptions": policy.get("syncOptions") or []}
        operation: Json = {"initiatedBy": {"username": _ACTOR}, "sync": sync}
        member.starts += 1
        self._api.merge(ARGOCD_API, "Application", member.name, self._home, {"operation": operation})


def _is_running(member: Member) -> bool:
    return member.operation.get("phase") in ("Running", "Terminating")


def _is_automated(application: Json) -> bool:
    automated = (application["spec"].get("syncPolicy") or {}).get("automated")
    return automated is not None and automated.get("enabled") is not False


def _lacks_pruning_only(status: Mapping[str, Any]) -> bool:
    out = [each for each in status.get("resources") or () if each.get("status") == "OutOfSync"]
    return bool(out) and all(each.get("requiresPruning") for each in out)


def _health(node: Json) -> str:
    return str((node.get("health") or {}).get("status") or "")


def _is_bad(node: Json) -> bool:
    return _health(node) not in ("", "Healthy", "Suspended")
