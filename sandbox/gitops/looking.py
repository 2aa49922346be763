"""One look at everything that may tell why a step failed; what can't be had is named, and no Secret is ever read."""

from __future__ import annotations

import contextlib
import datetime as dt
import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from sandbox.core.errors import SandboxError, UnavailableError
from sandbox.core.timeline import Event
from sandbox.gitops.application import Application
from sandbox.gitops.cluster import TRACKING
from sandbox.gitops.manifests import difference, key_of
from sandbox.gitops.world import World
from sandbox.kube.api import KubeApi
from sandbox.report import blocking, sources
from sandbox.report.differing import leaf_differences
from sandbox.report.findings import Blocker, ClusterEvent, Difference, Failure, LogExcerpt

__all__ = ["Logs", "Look", "pod_logs"]

_LOOKED_AT = (("apps/v1", "Deployment"), ("v1", "Pod"))
# What people make by hand most: of these, what no commit names is looked for.
_COMMON = (("v1", "ConfigMap"), ("v1", "Service"), ("apps/v1", "Deployment"))
_SHOWN_LINES = 200


def pod_logs(api: KubeApi, namespace: str, since: dt.datetime) -> dict[str, list[str]]:
    """Give what a namespace's containers wrote since then, by the container's name, each line behind its fine stamp.

    Where a sandbox runs as plain processes there are no such pods, and nothing is given.
    """
    found: dict[str, list[str]] = {}
    for pod in api.list("v1", "Pod", namespace):
        for container in pod["spec"]["containers"]:
            path = api.resource("v1", "Pod").path(namespace, pod["metadata"]["name"])
            stamp = since.strftime("%Y-%m-%dT%H:%M:%SZ")
            query = f"/log?container={container['name']}&sinceTime={stamp}&timestamps=true"
            text = api.request("GET", path + query)
            found.setdefault(container["name"], []).extend(str(text).splitlines())
    return found


class Logs:
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


class Look:
    """One look at everything that may tell why a step failed.

    Args:
        world: Where.
        api: Speaks to the cluster.
        began: When the step began.
        logs: The components' logs, marked at that time.
    """

    def __init__(self, world: World, api: KubeApi, began: dt.datetime, logs: Logs) -> None:
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
            if not self._world.environment.begun:
                raise UnavailableError("the story has made none yet")
            revision = self._world.environment.head
            blockers += self._unpushed(revision)
        with self._as_far_as_possible("the webhook deliveries"):
            blockers += self._undelivered()
        if revision:
            with self._as_far_as_possible("the Applications"):
                blockers += self._of_applications()
        # Without a commit there is nothing that an object could differ from.
        for name, application in self._world.applications.items() if revision else ():
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
        return list(blocking.of_deliveries(mine, self._world.access.receivers))

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
                found += blocking.of_objects(self._api.list(api_version, kind, application.namespace))
            # By its name: not everywhere may all namespaces be listed.
            namespace = self._api.get("v1", "Namespace", application.namespace)
            found += blocking.of_objects([namespace] if namespace else [])
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
        found += [
            Difference(environment, thing, "", "does not exist", "exists")
            for thing in self._left_over(application, desired)
        ]
        return found, len(desired)

    def _left_over(self, application: Application, desired: list[dict[str, Any]]) -> Iterator[str]:
        """Name what claims to belong to an Application though no commit names it."""
        known = {key_of(item) for item in desired}
        for api_version, kind in _COMMON:
            for item in self._api.list(api_version, kind, application.namespace):
                claim = item["metadata"].get("annotations", {}).get(TRACKING, "")
                key = key_of(item)
                own = f"{application.name}:{api_version.rpartition('/')[0]}/{kind}:{key.namespace}/{key.name}"
                if claim == own and key not in known:
                    yield str(key)

    def _events(self, namespace: str) -> Iterator[ClusterEvent]:
        places = ((namespace, ""), (self._world.access.own_namespace, namespace))
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
        found = self._logs.since(self._logs.marks)
        with self._as_far_as_possible("the logs of the sandbox's pods"):
            found |= pod_logs(self._api, self._world.access.own_namespace, self._began)
        for component, lines in found.items():
            if lines:
                shown = tuple(lines[-_SHOWN_LINES:])
                yield LogExcerpt(component, shown, len(lines) - len(shown), sources.complaints(lines)[-_SHOWN_LINES:])
