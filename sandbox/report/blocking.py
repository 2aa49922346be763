"""Naming what stands in the way: a finalizer, a hook, a resource, a setting, a webhook, a commit that never came."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from sandbox.report.findings import Blocker

__all__ = ["of_application", "of_deliveries", "of_objects"]

Json = Mapping[str, Any]

_SKIP = "argocd.argoproj.io/skip-reconcile"


def of_application(application: Json, said: Json) -> Iterator[Blocker]:
    """Look at an Application: its operation, its hooks, what it complains of, and settings that differ from Git.

    Args:
        application: As it lives.
        said: As the environment repository describes it.
    """
    name, status = str(application["metadata"]["name"]), application.get("status") or {}
    yield from _held(application)
    if (application["metadata"].get("annotations") or {}).get(_SKIP) == "true":
        yield Blocker("setting", f"Application {name}", f"the annotation {_SKIP} keeps Argo CD from looking at it")
    policy = application.get("spec", {}).get("syncPolicy") or {}
    wanted = said.get("spec", {}).get("syncPolicy") or {}
    for key, value in (wanted.get("automated") or {}).items():
        now = (policy.get("automated") or {}).get(key)
        if now != value:
            place = f"spec.syncPolicy.automated.{key}"
            yield Blocker("setting", f"Application {name}", f"{place} is {_word(now)}, Git says {_word(value)}")
    for entry in status.get("conditions") or ():
        yield Blocker("Application", name, f"{entry['type']}: {entry['message']}")
    yield from _of_operation(name, status.get("operationState") or {})
    for entry in status.get("resources") or ():
        health = entry.get("health") or {}
        if health.get("status") in ("Degraded", "Missing"):
            yield Blocker("resource", f"{entry['kind']} {entry['name']}", health.get("message") or health["status"])


def _of_operation(name: str, operation: Json) -> Iterator[Blocker]:
    if operation.get("phase") in ("Running", "Failed", "Error") and operation.get("message"):
        yield Blocker("sync", f"Application {name}", f"{operation['phase']}: {operation['message']}")
    for entry in (operation.get("syncResult") or {}).get("resources") or ():
        thing = f"{entry['kind']} {entry['name']}"
        if entry.get("hookType") and entry.get("hookPhase") in ("Running", "Failed", "Error"):
            yield Blocker("hook", thing, f"{entry['hookType']} {entry['hookPhase']}: {entry.get('message', '')}")
        elif entry.get("status") == "SyncFailed":
            yield Blocker("resource", thing, entry.get("message", "the sync of it failed"))


def of_objects(objects: Iterable[Json]) -> Iterator[Blocker]:
    """Look at live objects: deletions that a finalizer holds, rollouts that don't end, pods that don't run."""
    for item in objects:
        yield from _held(item)
        thing, status = f"{item['kind']} {item['metadata']['name']}", item.get("status") or {}
        for entry in status.get("conditions") or ():
            stuck = entry["status"] == "False" and entry["type"] in ("Progressing", "PodScheduled")
            if stuck or (entry["status"] == "True" and entry["type"] == "ReplicaFailure"):
                yield Blocker("resource", thing, f"{entry.get('reason')}: {entry.get('message')}")
        for container in status.get("containerStatuses") or ():
            waiting = (container.get("state") or {}).get("waiting") or {}
            if waiting.get("reason") not in (None, "ContainerCreating", "PodInitializing"):
                yield Blocker("container", thing, f"{waiting['reason']}: {waiting.get('message', '')}")


def of_deliveries(entries: Iterable[Json], receivers: Mapping[str, str]) -> Iterator[Blocker]:
    """Look at webhook deliveries: those that were refused or never arrived.

    Args:
        entries: The lines of ``deliveries.jsonl``.
        receivers: The name of each receiver by what its URL begins with.
    """
    for entry in entries:
        if not entry["delivered"]:
            to = next((name for begin, name in receivers.items() if entry["url"].startswith(begin)), entry["url"])
            said = f"it answered {entry['status']}" if entry["status"] else str(entry["error"])
            yield Blocker("webhook", to, f"was not told of {str(entry['after'])[:8]}: {said}")


def _held(item: Json) -> Iterator[Blocker]:
    metadata = item["metadata"]
    if metadata.get("deletionTimestamp"):
        holders = [*(metadata.get("finalizers") or ()), *((item.get("spec") or {}).get("finalizers") or ())]
        thing = f"{item['kind']} {metadata['name']}"
        for holder in holders:
            yield Blocker(
                "finalizer", holder, f"holds {thing}, which is to be deleted since {metadata['deletionTimestamp']}"
            )


def _word(value: object) -> str:
    return "not set" if value is None else str(value).lower()
