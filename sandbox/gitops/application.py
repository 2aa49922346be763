"""An Argo CD Application and the proof of what became of a commit.

A verdict is content: every object that the commit renders to lives as it says, nothing else lives
that claims to belong to the Application, the rollout is complete, and the sync operation is newer
than the action that asked for it. ``Synced`` and ``Healthy`` are read for messages only.
"""

from __future__ import annotations

import functools
from collections.abc import Sequence
from typing import Any

from sandbox.components.argocd.home import ARGOCD_API, ASK_REFRESH, awaits_refresh
from sandbox.core.conditions import Observation, failed, met, pending
from sandbox.gitops.cluster import TRACKING, Change
from sandbox.gitops.manifests import Key, difference, key_of, with_namespace
from sandbox.gitops.moment import Moment
from sandbox.gitops.predicates import Predicate
from sandbox.gitops.repositories import EnvironmentRepo
from sandbox.gitops.telling import last_action
from sandbox.kube.api import KubeApi
from sandbox.kube.rollout import rollout_waits_for
from sandbox.kube.watching import Watched

__all__ = ["Application"]

# Kinds whose extra objects would be missed if no commit ever named one: what people make by hand most.
_COMMON = (("v1", "ConfigMap"), ("v1", "Service"), ("apps/v1", "Deployment"))

_PROJECTLESS = "Application referencing project"


class Application:
    """One Application of a tenant, and the environment repository that it follows."""

    def __init__(self, api: KubeApi, name: str, environment: str, repository: EnvironmentRepo) -> None:
        self._api = api
        self._home = repository.argocd_namespace
        self.name = name
        self.namespace = name
        self.environment = environment
        self._repository = repository
        self._path = repository.overlay(environment)
        self._desired = functools.lru_cache(maxsize=16)(self._render)
        self._synced: set[tuple[str, Moment]] = set()
        self._told: dict[str, Any] | None = None

    def read(self) -> dict[str, Any] | None:
        """Give the Application as it is; None when there is none."""
        return self._api.get(ARGOCD_API, "Application", self.name, self._home)

    def hear(self, told: dict[str, Any]) -> None:
        """Take note of what a watch tells of the Application: while it says that nothing was done, nobody need ask."""
        self._told = told

    def _heard(self) -> dict[str, Any] | None:
        """Give what a watch told since this was last asked: it may be old by now, so that it proves nothing."""
        told, self._told = self._told, None
        return told

    def change(self, patch: dict[str, Any]) -> None:
        """Change the Application itself, as somebody with rights in Argo CD's namespace could."""
        self._api.merge(ARGOCD_API, "Application", self.name, self._home, patch)

    def finds_project(self) -> Observation:
        """Look whether Argo CD has found the project; where it met the Application first, have it look again.

        It hears of the two by watches of their own, and takes minutes to look again where it did not know the project
        (Argo CD 3.6, ``timeout.reconciliation``).
        """
        application = self._heard() or self.read() or {}
        conditions = application.get("status", {}).get("conditions") or ()
        lacking = [each["message"] for each in conditions if _PROJECTLESS in each["message"]]
        if not lacking:
            looked = bool(conditions or application.get("status", {}).get("reconciledAt"))
            return met("found") if looked else pending(f"Argo CD has not looked at {self.name} yet")
        if not awaits_refresh(application):
            self.change(ASK_REFRESH)
        return pending(lacking[0])

    @property
    def itself(self) -> Watched:
        """What to watch of it in Argo CD's namespace."""
        return ARGOCD_API, "Application", self._home, self.name

    @property
    def objects(self) -> list[Watched]:
        """Those of its objects whose changes may settle a verdict."""
        return [(api_version, kind, self.namespace, "") for api_version, kind in _COMMON]

    def _render(self, revision: str) -> list[dict[str, Any]]:
        manifests = self._repository.rendered(revision, self._path)
        cluster_kinds = {
            manifest["kind"]
            for manifest in manifests
            if not self._api.resource(manifest["apiVersion"], manifest["kind"]).namespaced
        }
        with_namespace(manifests, self.namespace, cluster_kinds)
        return manifests

    def desired(self, revision: str) -> list[dict[str, Any]]:
        """Give the objects that a commit says of this environment."""
        return self._desired(revision)

    # What can be demanded of it.

    def lives(self, revision: str, since: Moment | None = None) -> Predicate:
        """A commit lives: synced by an operation since the last action, and proved by content.

        Args:
            revision: The commit.
            since: When it was asked for; that of the story's last action when left out.
        """
        begun = since or last_action()
        return Predicate(
            f"{revision[:8]} to live in {self.environment}", lambda: self._lives(revision, begun), {"live": revision}
        )

    def is_as(self, revision: str) -> Predicate:
        """What lives equals what a commit renders to: nothing differs, lacks or is left over."""
        return Predicate(f"{self.environment} to be as {revision[:8]} says", lambda: self._content(revision))

    def heals(self, change: Change, revision: str, since: Moment | None = None) -> Predicate:
        """A change by hand is undone, by a sync since the last action, and nothing of it is left."""
        begun = since or last_action()
        return Predicate(
            f"{change.kind} {change.name}, {change.said}, to be as {revision[:8]} says again",
            lambda: self._healed(change, revision, begun),
            {"drift": f"{change.kind} {change.name} {change.said}", "healed_to": revision},
        )

    def refuses(self, revision: str) -> Predicate:
        """The API server has refused what a commit says, and Argo CD shows it."""
        return Predicate(f"{revision[:8]} to be refused", lambda: self._refuses(revision), {"refused": revision})

    def degrades(self, revision: str) -> Predicate:
        """The rollout of a commit has passed its deadline, and Argo CD shows it as Degraded."""
        wanted = f"the rollout of {revision[:8]} to pass its deadline"
        return Predicate(wanted, lambda: self._degrades(revision), {"degraded": revision})

    def crashes(self, revision: str) -> Predicate:
        """A container of what a commit says has ended badly and was started again (`CrashLoopBackOff`)."""
        return Predicate(f"{revision[:8]} to crash", lambda: self._crashes(revision), {"crashing": revision})

    def still_serves(self, revision: str) -> Predicate:
        """As many pods as an earlier commit asked for are still available, with its image."""
        return Predicate(f"the pods of {revision[:8]} to serve on", lambda: self._still_serves(revision))

    def has_deployed(self, revisions: Sequence[str]) -> Predicate:
        """Argo CD's own record says that these commits were deployed, in this order."""

        def look() -> Observation:
            told = [entry["revision"] for entry in self.history()]
            if [revision for revision in told if revision in revisions] != list(revisions):
                return pending(f"its history is {_shortened(told)}, deployed were {_shortened(revisions)}")
            return met(f"{len(told)} deployments")

        evidence = {"argocd": _shortened([entry["revision"] for entry in self.history()])}
        return Predicate("Argo CD to have deployed them in that order", look, evidence)

    # How each is seen.

    def _lives(self, revision: str, since: Moment) -> Observation:
        """Look whether a commit lives: synced by an operation since ``since``, and proved by content."""
        # That it was synced stays true when a newer operation runs, as after one more look at a drift already healed.
        synced, told = (revision, since) in self._synced, self._heard()
        if told and not synced and (waiting := _unsynced(told, revision, since)):
            return pending(waiting)
        application = self.read()
        if application is None:
            return pending(f"there is no Application {self.name}")
        if not synced:
            if waiting := _unsynced(application, revision, since):
                return pending(waiting)
            self._synced.add((revision, since))
        return self._content(revision)

    def _content(self, revision: str) -> Observation:
        """Look whether what lives equals what a commit renders to: nothing differs, lacks or is left over."""
        desired = self.desired(revision)
        live = self._live(desired)
        for manifest in desired:
            key = key_of(manifest)
            if key not in live:
                return pending(f"{key} does not exist")
            if found := difference(manifest, live[key]):
                return pending(f"{key}: {found}")
        known = {key_of(manifest) for manifest in desired}
        left_over = sorted(str(key) for key, found in live.items() if key not in known and self._claims(found, key))
        if left_over:
            return pending(f"not in the commit, but alive: {', '.join(left_over)}")
        for key, alive in live.items():
            if key in known and key.kind == "Deployment" and (waiting := rollout_waits_for(alive)):
                return pending(f"{key}: {waiting}")
        return met(f"{len(desired)} objects are as {revision[:8]} says")

    def _live(self, desired: list[dict[str, Any]]) -> dict[Key, dict[str, Any]]:
        kinds = dict.fromkeys([*((item["apiVersion"], item["kind"]) for item in desired), *_COMMON])
        found: dict[Key, dict[str, Any]] = {}
        for api_version, kind in kinds:
            namespaced = self._api.resource(api_version, kind).namespaced
            for item in self._api.list(api_version, kind, self.namespace if namespaced else None):
                found[key_of(item)] = item
        return found

    def _claims(self, live: dict[str, Any], key: Key) -> bool:
        """Whether an object says that it belongs to this Application, under its own name."""
        tracking = live["metadata"].get("annotations", {}).get(TRACKING, "")
        group = key.api_version.rpartition("/")[0]
        return bool(tracking == f"{self.name}:{group}/{key.kind}:{key.namespace}/{key.name}")

    def _healed(self, change: Change, revision: str, since: Moment) -> Observation:
        """Look whether a change by hand is undone: by a sync since then, and nothing of it is left."""
        now = self._api.get(change.api_version, change.kind, change.name, change.namespace)
        if change.said == "deleted by hand":
            if now is None:
                return pending(f"{change.kind} {change.name} is still missing")
            if now["metadata"]["uid"] == change.uid:
                return pending(f"{change.kind} {change.name} is still being deleted")
        elif now is not None and int(now["metadata"]["resourceVersion"]) <= change.resource_version:
            return pending(f"{change.kind} {change.name} is still {change.said}")
        return self._lives(revision, since)

    def _refuses(self, revision: str) -> Observation:
        """Look whether the API server has refused what a commit says, and Argo CD shows it."""
        application = self.read() or {}
        operation = application.get("status", {}).get("operationState") or {}
        result = operation.get("syncResult") or {}
        if result.get("revision") != revision:
            return pending(f"the last sync was of {str(result.get('revision'))[:8]}{_troubles(application)}")
        refused = [
            f"{entry['kind']} {entry['name']}: {entry.get('message', '')}"
            for entry in result.get("resources") or ()
            if entry.get("status") == "SyncFailed"
        ]
        if refused:
            return met(refused[0])
        if operation.get("phase") == "Succeeded":
            return failed(f"the sync of {revision[:8]} succeeded")
        return pending(f"the sync of {revision[:8]} is {operation.get('phase')}: {operation.get('message', '')}")

    def _degrades(self, revision: str) -> Observation:
        """Look whether the rollout of a commit has passed its deadline, and Argo CD shows it as Degraded."""
        application = self.read() or {}
        synced = (application.get("status", {}).get("operationState") or {}).get("syncResult") or {}
        if synced.get("revision") != revision:
            return pending(f"the last sync was of {str(synced.get('revision'))[:8]}{_troubles(application)}")
        for manifest in self.desired(revision):
            if manifest["kind"] != "Deployment":
                continue
            live = self._api.get("apps/v1", "Deployment", manifest["metadata"]["name"], self.namespace) or {}
            if not rollout_waits_for(live):
                return failed(f"the rollout of {revision[:8]} is complete")
            reasons = {entry["type"]: entry.get("reason") for entry in live.get("status", {}).get("conditions", ())}
            if reasons.get("Progressing") != "ProgressDeadlineExceeded":
                return pending(f"{manifest['metadata']['name']}: {rollout_waits_for(live)}")
        health = (application.get("status", {}).get("health") or {}).get("status")
        return met("ProgressDeadlineExceeded, Degraded") if health == "Degraded" else pending(f"Argo CD says {health}")

    def _crashes(self, revision: str) -> Observation:
        """Look whether a container of what a commit says has ended badly and was started again (`CrashLoopBackOff`)."""
        application = self.read() or {}
        synced = (application.get("status", {}).get("operationState") or {}).get("syncResult") or {}
        if synced.get("revision") != revision:
            return pending(f"the last sync was of {str(synced.get('revision'))[:8]}{_troubles(application)}")
        seen = [_ends(pod) for pod in self._api.list("v1", "Pod", self.namespace)]
        bad = [each for each in seen if each]
        return met(bad[0]) if bad else pending(f"no container of {len(seen)} pods has ended badly")

    def _still_serves(self, revision: str) -> Observation:
        """Look whether as many pods as an earlier commit asked for are still available, with its image."""
        wanted = next(item for item in self.desired(revision) if item["kind"] == "Deployment")
        image = wanted["spec"]["template"]["spec"]["containers"][0]["image"]
        pods = [
            pod
            for pod in self._api.list("v1", "Pod", self.namespace)
            if pod["spec"]["containers"][0]["image"] == image and _is_ready(pod)
        ]
        replicas = wanted["spec"]["replicas"]
        if len(pods) < replicas:
            return pending(f"{len(pods)} of {replicas} pods with the image of {revision[:8]} are ready")
        return met(f"{len(pods)} pods of {revision[:8]} are ready")

    def history(self) -> list[dict[str, Any]]:
        """Give Argo CD's record of what it has deployed, oldest first."""
        return list(((self.read() or {}).get("status", {})).get("history") or ())


def _shortened(revisions: Sequence[str]) -> list[str]:
    return [revision[:8] for revision in revisions]


def _unsynced(application: dict[str, Any], revision: str, since: Moment) -> str | None:
    """Say why the last operation is no completed sync of a commit since then; None when it is."""
    operation = application.get("status", {}).get("operationState") or {}
    synced = (operation.get("syncResult") or {}).get("revision")
    if synced != revision:
        return f"the last sync was of {str(synced)[:8]}{_troubles(application)}"
    if operation.get("phase") != "Succeeded":
        return f"the sync of {revision[:8]} is {operation.get('phase')}: {operation.get('message', '')}"
    # Its end, not its begin: an operation that is being retried takes up a newer commit and keeps its begin.
    if not since.precedes(operation.get("finishedAt")):
        return f"the sync of {revision[:8]} is older than the action, of {operation.get('finishedAt')}"
    return None


def _troubles(application: dict[str, Any]) -> str:
    """Say what Argo CD itself complains of."""
    status = application.get("status", {})
    messages = [entry["message"] for entry in status.get("conditions") or ()]
    operation = status.get("operationState") or {}
    if operation.get("phase") in ("Failed", "Error"):
        messages.append(operation.get("message", ""))
    return "; Argo CD says: " + "; ".join(messages)[:500] if messages else ""


def _ends(pod: dict[str, Any]) -> str:
    """Say how a container of a pod has ended, if one did so badly and was started again."""
    for container in pod.get("status", {}).get("containerStatuses") or ():
        ended = container.get("lastState", {}).get("terminated") or {}
        if container.get("restartCount") and ended.get("exitCode"):
            return f"{pod['metadata']['name']} ended with {ended['exitCode']}, {container['restartCount']} restarts"
    return ""


def _is_ready(pod: dict[str, Any]) -> bool:
    conditions = pod.get("status", {}).get("conditions") or ()
    return "deletionTimestamp" not in pod["metadata"] and any(
        entry["type"] == "Ready" and entry["status"] == "True" for entry in conditions
    )
