"""Evidence: watches a story while it is told, looks at the cluster when it fails, and gives what a report shows.

The look happens in the moment of the failure, before a sabotage is mended: the timeline tells it.
"""

from __future__ import annotations

import contextlib
import datetime as dt
import threading
from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

from sandbox.core.errors import SandboxError
from sandbox.core.timeline import Event, Timeline
from sandbox.gitops.looking import Logs, Look, pod_logs
from sandbox.gitops.story import Sabotage, Story, StoryResult
from sandbox.gitops.world import World
from sandbox.kube.api import Resource
from sandbox.report import sources
from sandbox.report.causality import Draft, linked
from sandbox.report.findings import (
    Failure,
    Happening,
    Lane,
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
    "cluster": "Real containers in a cluster that was there before, with what else lives in it.",
}
"""What each engine can't show, by its name."""


class Witness:
    """Watches one telling, from its beginning to its report.

    Args:
        world: The world that the story is told in.
        timeline: The telling's timeline.
    """

    def __init__(self, world: World, timeline: Timeline) -> None:
        self._world = world
        self._timeline = timeline
        self._api = world.api
        self._names = {application.name: name for name, application in world.applications.items()}
        # The timeline's zero on the wall's clock.
        self._zero = dt.datetime.now(dt.UTC) - dt.timedelta(seconds=timeline.seconds())
        self._began = dt.datetime.now(dt.UTC)
        self._observer = Observer(self._names, self._began)
        self._drafts: list[Draft] = []
        self._adding = threading.Lock()
        self._logs = Logs(world.access.folder / "logs")
        self._deliveries = Logs(world.access.folder / "run" / "git-server", "*.jsonl")
        self._at_start: dict[str, int] = {}
        self._failure: Failure | None = None
        self._step_began = self._began

    def begin(self) -> None:
        """Begin to listen, before the world is entered."""
        self._logs.mark()
        self._deliveries.mark()
        self._at_start = self._logs.marks
        self._timeline.subscribe(self._hear)
        self._world.listen(self._seen)

    def _seen(self, resource: Resource, event: Mapping[str, Any]) -> None:
        if event["type"] not in ("ADDED", "MODIFIED", "DELETED"):
            return
        item = {"apiVersion": resource.api_version, "kind": resource.kind, **event["object"]}
        with self._adding:
            self._drafts += self._observer.see(dt.datetime.now(dt.UTC), event["type"], item)

    def _hear(self, event: Event) -> None:
        """Hear of a step or verdict, in the thread that tells the story."""
        if event.what == "starting":
            self._step_began = self._wall(event)
            self._logs.mark()
        elif event.what == "failed":
            self._failure = Look(self._world, self._api, self._step_began, self._logs).failure(event)

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
        access, revision = self._world.access, ""
        # A story that failed at its very first has no such repository yet.
        with contextlib.suppress(SandboxError):
            revision = self._world.environment.head
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
        own = {f"verdict:{number}": event.subject for number, event in enumerate(self._timeline.events)}
        for each in happenings:
            if each.key in own:
                windows[own[each.key]].append(each)
                continue
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
        logs = {
            **self._logs.since(self._at_start),
            **pod_logs(self._api, access.own_namespace, self._began),
        }
        records = [
            run.to_json() for run in RunStore(access.runs).all() if sources.parse_time(run.received)[0] >= self._began
        ]
        with self._adding:
            watched = list(self._drafts)
        return [
            *self._verdicts(),
            *sources.pushes(logs.get("git-server", ())),
            *sources.deliveries(self._deliveries.since(self._deliveries.marks).get("deliveries", ()), access.receivers),
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
