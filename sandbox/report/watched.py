"""From what a watch of the cluster showed to happenings: stamped when they were seen, finer than the objects' own."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from sandbox.report.causality import Draft
from sandbox.report.findings import Happening, Lane
from sandbox.report.sources import short

__all__ = ["Observer"]

Json = Mapping[str, Any]

_ARGOCD = ("argocd-controller", "argocd-application-controller")
_FINAL = {"Succeeded": True, "Failed": False, "Error": False}
_HEALTH = {"Healthy": True, "Degraded": False}
_REFRESH = "argocd.argoproj.io/refresh"
_MOST_FIELDS = 3


@dataclass(slots=True)
class Observer:
    """Turns the changes of watched objects into drafts; remembers each object as it last was.

    Attributes:
        names: How people call the Applications, by name, which is that of their namespace too.
        began: What was made before is not told as new.
    """

    names: Mapping[str, str]
    began: dt.datetime
    _last: dict[tuple[str, str, str], Json] = field(default_factory=dict)
    _count: int = 0

    def see(self, at: dt.datetime, change: str, item: Json) -> list[Draft]:
        """Take one watch event in.

        Args:
            at: When it came.
            change: ADDED, MODIFIED or DELETED.
            item: The object.
        """
        metadata, kind = item["metadata"], str(item["kind"])
        namespace, name = str(metadata.get("namespace", "")), str(metadata["name"])
        owner = name if kind == "Application" else namespace
        if owner not in self.names:
            return []
        key = (kind, namespace, name)
        before = self._last.get(key)
        if change == "DELETED":
            self._last.pop(key, None)
        else:
            self._last[key] = item
        if kind == "Application":
            return list(self._application(at, before or {}, item, change))
        return list(self._object(at, before, item, change))

    def _draft(
        self,
        at: dt.datetime,
        lane: Lane,
        what: str,
        good: bool | None = None,  # noqa: FBT001  # an outcome, not a switch
        **links: tuple[str, ...],
    ) -> Draft:
        self._count += 1
        return Draft(Happening(f"seen:{self._count}", at, lane, what, "a watch", good=good), **links)

    def _application(self, at: dt.datetime, before: Json, item: Json, change: str) -> Iterator[Draft]:
        name = str(item["metadata"]["name"])
        said = self.names[name]
        if change == "DELETED":
            yield self._draft(at, Lane.SYNC, f"{said}: the Application is gone")
            return
        if not before and self._is_new(item):
            yield self._draft(
                at, Lane.SYNC, f"{said}: the Application is there", makes=(f"created:{name}",), follows=("step",)
            )
        if before:
            yield from self._settings(at, name, before, item)
        old, new = before.get("status") or {}, item.get("status") or {}
        yield from self._operation(at, name, old.get("operationState") or {}, new.get("operationState") or {})
        one, other = (status.get("sync", {}).get("status") for status in (old, new))
        if before and other != one and other:
            revision = short(str(new["sync"].get("revision", "")))
            causes = (f"done:{name}",) if other == "Synced" else (f"drift:{name}", f"rendered:{name}")
            yield self._draft(
                at, Lane.SYNC, f"{said}: {other} with {revision}", makes=(f"compared:{name}",), answers=causes
            )
        one, other = ((status.get("health") or {}).get("status") for status in (old, new))
        if before and other != one and other:
            yield self._draft(
                at,
                Lane.HEALTH,
                f"{said}: {other}",
                _HEALTH.get(other),
                makes=("settled",),
                answers=(f"rollout:{name}", f"changed:{name}"),
                follows=(f"done:{name}",),
            )
        yield from self._conditions(at, said, old, new)

    def _settings(self, at: dt.datetime, name: str, before: Json, item: Json) -> Iterator[Draft]:
        """Tell what of an Application itself was changed: by a refresh that was asked for, or by hand."""
        said = self.names[name]
        old, new = ((each["metadata"].get("annotations") or {}) for each in (before, item))
        if new.get(_REFRESH) and not old.get(_REFRESH):
            yield self._draft(
                at,
                Lane.WEBHOOK,
                f"{said}: a refresh is asked for",
                makes=(f"refreshed:{name}",),
                follows=("told:Argo CD",),
            )
        # The stamp of the refresh stands beside it.
        without = [{key: value for key, value in each.items() if not key.startswith(_REFRESH)} for each in (old, new)]
        fields = _differing(without[0], without[1], "annotations") + _differing(before["spec"], item["spec"], "spec")
        if fields:
            by = ", ".join(_managers(before, item)) or "somebody"
            what = f"{said}: the Application's {'; '.join(fields[:_MOST_FIELDS])} (by {by})"
            yield self._draft(at, Lane.SYNC, what, makes=(f"set:{name}",), follows=("step",))

    def _conditions(self, at: dt.datetime, said: str, old: Json, new: Json) -> Iterator[Draft]:
        known = {entry["message"] for entry in old.get("conditions") or ()}
        for entry in new.get("conditions") or ():
            if entry["message"] not in known:
                yield self._draft(at, Lane.SYNC, f"{said}: {entry['type']}: {entry['message']}", good=False)

    def _operation(self, at: dt.datetime, name: str, old: Json, new: Json) -> Iterator[Draft]:
        said, began, phase = self.names[name], new.get("startedAt"), str(new.get("phase"))
        if not began or (began, phase) == (old.get("startedAt"), old.get("phase")):
            return
        sync = new.get("operation", {}).get("sync") or {}
        revision = str(sync.get("revision") or (new.get("syncResult") or {}).get("revision", ""))
        running = f"running:{name}:{began}"
        if began != old.get("startedAt"):
            partial = f" of {len(sync['resources'])} objects" if sync.get("resources") else ""
            yield self._draft(
                at,
                Lane.SYNC,
                f"{said}: sync{partial} to {short(revision)} begins",
                makes=(running, f"running:{name}"),
                answers=(f"rendered:{name}:{revision}", f"drift:{name}"),
                follows=(f"compared:{name}",),
            )
        if phase in _FINAL:
            message = "" if _FINAL[phase] else f": {new.get('message', '')}"
            yield self._draft(
                at,
                Lane.SYNC,
                f"{said}: sync to {short(revision)} {phase}{message}",
                _FINAL[phase],
                makes=(f"done:{name}", "settled"),
                answers=(running,),
            )

    def _object(self, at: dt.datetime, before: Json | None, item: Json, change: str) -> Iterator[Draft]:
        metadata = item["metadata"]
        namespace = str(metadata["namespace"])
        thing = f"{self.names[namespace]}: {item['kind']} {metadata['name']}"
        if change == "DELETED":
            # Nothing in an object says who deleted it.
            yield self._draft(
                at,
                Lane.OBJECTS,
                f"{thing} is gone",
                makes=(f"drift:{namespace}", "settled"),
                follows=(f"running:{namespace}", "step"),
            )
            return
        if before is None:
            if self._is_new(item):
                yield self._written(at, namespace, f"{thing} is made", _managers({}, item))
            return
        fields = _changed_fields(before, item)
        if fields:
            more = len(fields) - _MOST_FIELDS
            shown = ", ".join(fields[:_MOST_FIELDS]) + (f" and {more} more" if more > 0 else "")
            yield self._written(at, namespace, f"{thing}: {shown}", _managers(before, item))
        if item["kind"] == "Deployment" and (rollout := _rollout(item)) != _rollout(before):
            yield self._draft(
                at,
                Lane.OBJECTS,
                f"{thing}: {rollout}",
                makes=(f"rollout:{namespace}", "settled"),
                answers=(f"changed:{namespace}",),
            )

    def _written(self, at: dt.datetime, namespace: str, what: str, managers: list[str]) -> Draft:
        by = f" (by {', '.join(managers)})" if managers else ""
        names = (f"changed:{namespace}", "settled")
        if any(manager in _ARGOCD for manager in managers):
            return self._draft(at, Lane.OBJECTS, what + by, makes=names, answers=(f"running:{namespace}",))
        return self._draft(at, Lane.OBJECTS, what + by, makes=(*names, f"drift:{namespace}"), follows=("step",))

    def _is_new(self, item: Json) -> bool:
        # Its stamp is cut to the second.
        return bool(
            dt.datetime.fromisoformat(item["metadata"]["creationTimestamp"]) >= self.began.replace(microsecond=0)
        )


def _managers(before: Json, after: Json) -> list[str]:
    """Say who wrote a change, by what `managedFields` have that they had not."""

    def entries(item: Json) -> list[Json]:
        found = item.get("metadata", {}).get("managedFields") or ()
        return [entry for entry in found if entry.get("subresource") != "status"]

    known = entries(before)
    stamps = {(entry.get("manager"), entry.get("time")) for entry in known}
    changed = [entry for entry in entries(after) if entry not in known]
    # Whoever only lost a field to another keeps the stamp of the last writing.
    wrote = [entry for entry in changed if (entry.get("manager"), entry.get("time")) not in stamps] or changed
    return sorted({str(entry.get("manager")) for entry in wrote})


def _changed_fields(before: Json, after: Json) -> list[str]:
    """Name what of an object's content changed, with the values where they are short."""
    return [field for part in ("spec", "data") for field in _differing(before.get(part), after.get(part), part)]


def _differing(one: Any, other: Any, path: str) -> list[str]:
    if one == other:
        return []
    if isinstance(one, Mapping) and isinstance(other, Mapping):
        keys = sorted({*one, *other})
        return [each for key in keys for each in _differing(one.get(key), other.get(key), f"{path}.{key}")]
    if isinstance(one, list) and isinstance(other, list) and len(one) == len(other):
        pairs = enumerate(zip(one, other, strict=True))
        return [each for index, pair in pairs for each in _differing(*pair, f"{path}[{index}]")]
    return [f"{path} from {_brief(one)} to {_brief(other)}"]


def _brief(value: Any) -> str:
    text = "nothing" if value is None else str(value)
    return text if len(text) <= 60 else f"{text[:28]}…{text[-28:]}"  # noqa: PLR2004


def _rollout(deployment: Json) -> str:
    status, wanted = deployment.get("status") or {}, deployment["spec"].get("replicas", 1)
    reasons = {entry["type"]: entry for entry in status.get("conditions") or ()}
    progress = reasons.get("Progressing") or {}
    if progress.get("status") == "False":
        return f"{progress.get('reason')}: {progress.get('message')}"
    available, updated = status.get("availableReplicas", 0), status.get("updatedReplicas", 0)
    return f"{available} of {wanted} replicas available, {updated} updated"
