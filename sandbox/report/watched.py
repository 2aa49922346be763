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
            shown = ", ".join(fields[:_MOST_FIELDS]) + (f" and {len(fields) - _MOST_FIELDS} more" * (len(fields) > 3))  # noqa: PLR2004
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
    return sorted({str(entry.get("manager")) for entry in entries(after) if entry not in known})


def _changed_fields(before: Json, after: Json) -> list[str]:
    """Name what of an object's content changed, with the values where they are short."""
    found: list[str] = []

    def walk(one: Any, other: Any, path: str) -> None:
        if one == other:
            return
        if isinstance(one, Mapping) and isinstance(other, Mapping):
            for key in sorted({*one, *other}):
                walk(one.get(key), other.get(key), f"{path}.{key}" if path else str(key))
        elif isinstance(one, list) and isinstance(other, list) and len(one) == len(other):
            for index, (left, right) in enumerate(zip(one, other, strict=True)):
                walk(left, right, f"{path}[{index}]")
        else:
            found.append(f"{path} from {_brief(one)} to {_brief(other)}")

    for part in ("spec", "data"):
        walk(before.get(part), after.get(part), part)
    return found


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
