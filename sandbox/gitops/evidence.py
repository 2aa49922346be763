"""Evidence: watches a story while it is told, looks at the cluster when it fails, and gives what a report shows.

The look happens in the moment of the failure, before a sabotage is mended: the timeline tells it.
"""

from __future__ import annotations

import contextlib
import datetime as dt
import json
import threading
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from sandbox.components.kube import KubeApi
from sandbox.components.pki import ARGOCD_NAMESPACE
from sandbox.core.errors import SandboxError
from sandbox.core.timeline import Event, Timeline
from sandbox.gitops.application import API, Application
from sandbox.gitops.manifests import difference, key_of
from sandbox.gitops.story import Sabotage, Story, StoryResult
from sandbox.gitops.world import World
from sandbox.report import blocking, sources
from sandbox.report.causality import Draft, linked
from sandbox.report.differing import leaf_differences
from sandbox.report.findings import (
    Blocker,
    ClusterEvent,
    Difference,
    Failure,
    Happening,
    Lane,
    LogExcerpt,
    Report,
    ReportStep,
    scrubbed,
)
from sandbox.report.scrubbing import Scrubber
from sandbox.report.watched import Observer
from sandbox.servers.ci_runs import RunStore

__all__ = ["FIDELITY", "Witness"]

FIDELITY = {
    "embedded": "Pods are played by KWOK: scheduled, owned and ready by the real control plane, but no container runs."
    " What a container would do (answer, crash, refuse traffic) is not shown.",
    "kind": "Real containers in a real cluster of one machine.",
}
"""What each engine can't show, by its name."""

_WATCHED = (
    (API, "Application"),
    ("apps/v1", "Deployment"),
    ("v1", "Service"),
    ("v1", "ConfigMap"),
)
_LOOKED_AT = (("apps/v1", "Deployment"), ("v1", "Pod"), ("v1", "Namespace"))
_SHOWN_LINES = 200
_AGAIN_AFTER = 0.2


class Witness:
    """Watches one telling; used as a context around it.

    Args:
        world: The world that the story is told in.
        timeline: The telling's timeline.
    """

    def __init__(self, world: World, timeline: Timeline) -> None:
        self._world = world
        self._timeline = timeline
        self._api = KubeApi(world.access.kubeconfig)
        self._names = {application.name: name for name, application in world.applications.items()}
        # The timeline's zero on the wall's clock.
        self._zero = dt.datetime.now(dt.UTC) - dt.timedelta(seconds=timeline.seconds())
        self._began = dt.datetime.now(dt.UTC)
        self._observer = Observer(self._names, self._began)
        self._drafts: list[Draft] = []
        self._adding = threading.Lock()
        self._ended = threading.Event()
        self._logs = _Logs(world.access.folder / "logs")
        self._deliveries = _Logs(world.access.folder / "run" / "git-server", "*.jsonl")
        self._at_start: dict[str, int] = {}
        self._failure: Failure | None = None
        self._step_began = self._began

    def __enter__(self) -> Self:
        """Begin to watch."""
        self._logs.mark()
        self._deliveries.mark()
        self._at_start = self._logs.marks
        self._timeline.subscribe(self._hear)
        for api_version, kind in _WATCHED:
            threading.Thread(target=self._follow, args=(api_version, kind), daemon=True, name=f"witness-{kind}").start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Stop watching; the threads end with their next event."""
        self._ended.set()

    def _follow(self, api_version: str, kind: str) -> None:
        while not self._ended.is_set():
            # A watch ends now and then by design; what is missed in between is missing in the picture only.
            with contextlib.suppress(SandboxError):
                resource = self._api.resource(api_version, kind)
                for event in self._api.events(resource, None):
                    if self._ended.is_set():
                        return
                    if event["type"] in ("ADDED", "MODIFIED", "DELETED"):
                        self._seen(event, api_version, kind)
            self._ended.wait(_AGAIN_AFTER)

    def _seen(self, event: Mapping[str, Any], api_version: str, kind: str) -> None:
        item = {"apiVersion": api_version, "kind": kind, **event["object"]}
        with self._adding:
            self._drafts += self._observer.see(dt.datetime.now(dt.UTC), event["type"], item)

    def _hear(self, event: Event) -> None:
        """Hear of a step or verdict, in the thread that tells the story."""
        if event.what == "starting":
            self._step_began = self._wall(event)
            self._logs.mark()
        elif event.what == "failed":
            self._failure = _Look(self._world, self._api, self._step_began, self._logs).failure(event)

    def _wall(self, event: Event) -> dt.datetime:
        return self._zero + dt.timedelta(seconds=event.at)

    def report(self, story: Story, result: StoryResult, sabotage: Sabotage | None = None) -> Report:
        """Give what there is to say of the telling, without any secret.

        Args:
            story: What was told.
            result: What became of it.
            sabotage: What was broken on purpose.

        Raises:
            OSError: The sandbox's secrets can't be read, so that they can't be left out.
        """
        access = self._world.access
        revision = self._world.environment.head if self._world.environment.copy else ""
        report = Report(
            scenario=story.name,
            summary=story.summary,
            sandbox=access.name,
            engine=access.engine,
            fidelity=FIDELITY.get(access.engine, ""),
            began=self._began,
            seconds=result.seconds,
            passed=result.passed,
            revision=revision,
            sabotage=sabotage.sentence if sabotage else "",
            versions={name: tool.version for name, tool in sorted(access.tools.items())},
            steps=tuple(self._steps(result)),
            failure=_worded(self._failure, result),
        )
        return scrubbed(report, Scrubber.of(access.folder))

    def _steps(self, result: StoryResult) -> Iterator[ReportStep]:
        begins = {event.subject: self._wall(event) for event in self._timeline.events if event.what == "starting"}
        happenings = linked(self._all_drafts())
        taken = [step for step in result.steps if step.name in begins]
        windows: dict[str, list[Happening]] = {step.name: [] for step in taken}
        for each in happenings:
            # A time in whole seconds may seem to lie before the step in which it was.
            at = each.at + dt.timedelta(seconds=1) if each.whole_second else each.at
            if inside := [step.name for step in taken if begins[step.name] <= at]:
                windows[inside[-1]].append(each)
        for step in result.steps:
            yield ReportStep(
                step.name,
                step.sentence,
                step.status,
                step.seconds,
                step.reason,
                step.evidence,
                tuple(
                    event.detail
                    for event in self._timeline.events
                    if (event.subject, event.what) == (step.name, "proved")
                ),
                tuple(windows.get(step.name, ())),
            )

    def _all_drafts(self) -> list[Draft]:
        access = self._world.access
        receivers = {access.argocd.url: "Argo CD", "http:": "the CI runner"}
        logs = self._logs.since(self._at_start)
        records = [
            run.to_json() for run in RunStore(access.runs).all() if sources.parse_time(run.received)[0] >= self._began
        ]
        with self._adding:
            watched = list(self._drafts)
        return [
            *self._verdicts(),
            *sources.pushes(logs.get("git-server", ())),
            *sources.deliveries(self._deliveries.since(self._deliveries.marks).get("deliveries", ()), receivers),
            *sources.runs(records),
            *sources.renderings(logs.get("argocd-repo-server", ()), self._names),
            *watched,
        ]

    def _verdicts(self) -> Iterator[Draft]:
        said = {"starting": None, "proved": True, "passed": True, "failed": False}
        for number, event in enumerate(self._timeline.events):
            if event.what not in said:
                continue
            what = f"{event.what}: {event.detail.splitlines()[0]}" if event.detail else f"{event.subject} {event.what}"
            if event.what == "starting":
                what = f"the step begins: {event.detail}"
            yield Draft(
                Happening(
                    f"verdict:{number}",
                    self._wall(event),
                    Lane.VERDICT,
                    what,
                    "the telling",
                    good=said[event.what],
                ),
                makes=("step",) if event.what == "starting" else (f"proof:{event.subject}",),
                follows=() if event.what == "starting" else ("settled", "step"),
            )


class _Logs:
    """The log files of a folder, and how long each was at a moment: what comes behind is that window's."""

    def __init__(self, folder: Path, pattern: str = "*.log") -> None:
        self._folder = folder
        self._pattern = pattern
        self.marks: dict[str, int] = {}

    def mark(self) -> None:
        """Remember how long each is now."""
        self.marks = {path.stem: path.stat().st_size for path in self._folder.glob(self._pattern)}

    def since(self, marks: Mapping[str, int]) -> dict[str, list[str]]:
        """Give the lines behind the marks, by the file's name without its ending."""
        found = {}
        for path in sorted(self._folder.glob(self._pattern)):
            with path.open("rb") as file:
                file.seek(marks.get(path.stem, 0))
                found[path.stem] = file.read().decode(errors="replace").splitlines()
        return found


class _Look:
    """One look at everything that may tell why a step failed.

    Args:
        world: Where.
        api: Speaks to the cluster.
        began: When the step began.
        logs: The components' logs, marked at that time.
    """

    def __init__(self, world: World, api: KubeApi, began: dt.datetime, logs: _Logs) -> None:
        self._world = world
        self._api = api
        self._began = began
        self._logs = logs
        self._unknown: list[str] = []

    def failure(self, event: Event) -> Failure:
        """Give what is there to see; what can't be had is named."""
        seen_at = dt.datetime.now(dt.UTC)
        differences: list[Difference] = []
        blockers: list[Blocker] = []
        events: list[ClusterEvent] = []
        compared, revision = 0, ""
        with self._as_far_as_possible("the environment repository"):
            revision = self._world.environment.head
            blockers += self._unpushed(revision)
        with self._as_far_as_possible("the webhook deliveries"):
            blockers += self._undelivered()
        with self._as_far_as_possible("the Applications"):
            blockers += self._of_applications()
        for name, application in self._world.applications.items():
            with self._as_far_as_possible(f"the objects of {name}"):
                found, number = self._compare(name, application, revision)
                differences += found
                compared += number
            with self._as_far_as_possible(f"the events of {name}"):
                events += self._events(application.namespace)
        return Failure(
            step=event.subject,
            wanted=event.detail,
            last_seen="",
            hint="",
            by_verdict=True,
            seen_at=seen_at,
            revision=revision,
            blockers=tuple(dict.fromkeys(blockers)),
            differences=tuple(differences),
            compared=compared,
            events=tuple(sorted(events, key=lambda each: each.at)),
            logs=tuple(self._excerpts()),
            unknown=tuple(self._unknown),
        )

    @contextlib.contextmanager
    def _as_far_as_possible(self, what: str) -> Iterator[None]:
        try:
            yield
        except (SandboxError, OSError) as error:
            self._unknown.append(f"{what}: {error}")

    def _unpushed(self, revision: str) -> Iterator[Blocker]:
        served = [commit.revision for commit in self._world.environment.history()]
        if revision not in served:
            newest = f"; its newest is {served[0][:8]}" if served else ""
            yield Blocker("commit", revision[:8], f"the Git server's main branch does not hold it{newest}")

    def _undelivered(self) -> list[Blocker]:
        path = self._world.access.folder / "run" / "git-server" / "deliveries.jsonl"
        entries = [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []
        mine = [entry for entry in entries if sources.parse_time(entry["time"])[0] >= self._began]
        return list(blocking.of_deliveries(mine, {self._world.access.argocd.url: "Argo CD", "http:": "the CI runner"}))

    def _of_applications(self) -> list[Blocker]:
        said = {item["metadata"]["name"]: item for item in self._world.environment.argocd_manifests()}
        found = []
        for application in self._world.applications.values():
            live = application.read()
            if live is None:
                found.append(Blocker("Application", application.name, "there is none"))
                continue
            found += blocking.of_application(live, said.get(application.name, {}))
            for api_version, kind in _LOOKED_AT:
                namespaced = kind != "Namespace"
                items = self._api.list(api_version, kind, application.namespace if namespaced else None)
                mine = [item for item in items if namespaced or item["metadata"]["name"] == application.namespace]
                found += blocking.of_objects(mine)
        return found

    def _compare(self, environment: str, application: Application, revision: str) -> tuple[list[Difference], int]:
        """Compare an environment's objects with a commit, field by field; of Secrets nothing is ever looked at."""
        found = []
        desired = [item for item in application.desired(revision) if item["kind"] != "Secret"]
        for item in desired:
            key = key_of(item)
            live = self._api.get(key.api_version, key.kind, key.name, key.namespace or None)
            if live is None:
                found.append(Difference(environment, str(key), "", "exists", "does not exist"))
                continue
            found += [Difference(environment, str(key), *each) for each in leaf_differences(item, live, difference)]
        return found, len(desired)

    def _events(self, namespace: str) -> Iterator[ClusterEvent]:
        places = ((namespace, ""), (ARGOCD_NAMESPACE, namespace))
        for place, only in places:
            for item in self._api.list("v1", "Event", place):
                about = item["involvedObject"]
                stamp = item.get("lastTimestamp") or item.get("eventTime") or item["metadata"]["creationTimestamp"]
                at = dt.datetime.fromisoformat(stamp)
                if at < self._began.replace(microsecond=0) or (only and about.get("name") != only):
                    continue
                thing = f"{about.get('kind')} {about.get('name')}"
                yield ClusterEvent(
                    at, thing, item.get("reason", ""), item.get("message", ""), item.get("type") == "Warning"
                )

    def _excerpts(self) -> Iterator[LogExcerpt]:
        for component, lines in self._logs.since(self._logs.marks).items():
            if lines:
                shown = tuple(lines[-_SHOWN_LINES:])
                yield LogExcerpt(component, shown, len(lines) - len(shown), sources.complaints(lines)[-_SHOWN_LINES:])


def _worded(failure: Failure | None, result: StoryResult) -> Failure | None:
    """Take the words of a failure from the error, which has them apart."""
    error = result.error
    if error is None:
        return None
    found = failure or Failure(error.step, "", "", "", by_verdict=error.by_verdict)
    return replace(
        found,
        step=error.step,
        wanted=error.what.removeprefix(f"{error.step}: "),
        last_seen=error.why.removeprefix("last seen: "),
        hint=error.hint,
        by_verdict=error.by_verdict,
    )
