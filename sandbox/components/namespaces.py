"""The namespaces that Applications fill, emptied before a story: how, hangs on whose cluster it is."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, Protocol

from sandbox.components.written import Revision, Written
from sandbox.core.conditions import Deadline, Observation, met, pending, wait_for
from sandbox.kube.api import KubeApi, KubeError, Resource

__all__ = ["Namespaces", "OwnNamespaces", "Owns", "nothing", "overtaken"]

Owns = Callable[[Mapping[str, Any]], bool]
"""Says of an object's metadata whether the object is the story's, wherever in the cluster it is."""


def nothing(_: Mapping[str, Any]) -> bool:
    """Say of every object that it is not the story's (``Owns``), of a story that can have made nothing yet."""
    return False


_CLEAR_SECONDS = 60.0
_GRACE = 0.5
"""Seconds that a finalizer's own controller has before the object is freed of it."""
_AT_ONCE = 4  # what the client's pool keeps open for a machine of two processors is twice that
_GONE, _CONFLICT = 404, 409
# The API server's own, which removes what is stored of a custom type: without it that would stay in etcd for ever.
_NEVER_FREED = frozenset({"customresourcecleanup.apiextensions.k8s.io"})
# They refuse what others ask for, and so go first.
_FIRST = ("validatingwebhookconfigurations", "mutatingwebhookconfigurations", "validatingadmissionpolicybindings")
# The same objects as Event of v1.
_SECOND_NAMES = ("events.k8s.io",)
_NAMESPACES = Resource("v1", "Namespace", "namespaces", namespaced=False)


class Namespaces(Protocol):
    """Whoever gives a story its namespaces."""

    def clear(self, api: KubeApi, names: Sequence[str], owns: Owns) -> Sequence[str]:
        """See that Applications can fill the namespaces, and that nothing of an earlier story is in the cluster.

        Args:
            api: Who speaks for the sandbox.
            names: The namespaces; no Application looks after them any more.
            owns: What else is the story's, as far as the sandbox may look in this cluster.

        Returns:
            What had to be freed of finalizers that nobody took off: each object, and what held it.

        Raises:
            UnavailableError: One can't be had; says why.
            DeadlineError: Something stays; names it and what holds it.
        """


class OwnNamespaces:
    """Those of a cluster that is the sandbox's own: they go as a whole, and with them all else that is the story's.

    Args:
        written: Tells of which kinds something was written since nothing of a story was there; without it every kind is
            looked at.
    """

    def __init__(self, written: Written | None = None) -> None:
        self._written = written
        self._clear_at: dict[tuple[str, ...], Revision] = {}

    def clear(self, api: KubeApi, names: Sequence[str], owns: Owns) -> Sequence[str]:
        """Delete the namespaces and every other object that is the story's, and wait until all are gone.

        Raises:
            DeadlineError: Something stays; names it and the finalizers that hold it.
        """
        written, story = self._written, tuple(names)
        before = self._clear_at.pop(story, None)
        begun = written.revision() if written else None

        def worth_a_look(kinds: Sequence[Resource]) -> Sequence[Resource]:
            return written.since(before, kinds) if written and before else kinds

        sweep = _Sweep(api, names, owns, worth_a_look)
        # What can have made nothing spares a look at every kind that there is.
        if owns is not nothing or sweep.spaces():
            wait_for(
                sweep.round, Deadline.after(_CLEAR_SECONDS), wanted="what an earlier story left to be gone", every=0.02
            )
        if begun:
            self._clear_at[story] = begun
        return list(sweep.freed)


@dataclass(frozen=True, slots=True)
class _Found:
    """One object that is the story's."""

    resource: Resource
    metadata: Mapping[str, Any]

    @property
    def name(self) -> str:
        return str(self.metadata["name"])

    @property
    def namespace(self) -> str | None:
        return self.metadata.get("namespace")

    @property
    def going(self) -> bool:
        return "deletionTimestamp" in self.metadata

    @property
    def finalizers(self) -> list[str]:
        return [each for each in self.metadata.get("finalizers") or () if each not in _NEVER_FREED]

    def __str__(self) -> str:
        place = f" in {self.namespace}" if self.namespace else ""
        held = f", held by {', '.join(self.finalizers)}" if self.finalizers else ""
        return f"{self.resource.kind} {self.name}{place}{held}"


class _Sweep:
    """Rounds of looking at everything and deleting what is the story's, until one finds nothing.

    Attributes:
        freed: What was freed of finalizers, in words; a dict for its order.
    """

    def __init__(
        self,
        api: KubeApi,
        names: Sequence[str],
        owns: Owns,
        worth_a_look: Callable[[Sequence[Resource]], Sequence[Resource]],
    ) -> None:
        self._api = api
        self._names = set(names)
        self._owns = owns
        self._worth_a_look = worth_a_look
        self._seen_going: dict[str, float] = {}
        self._emptied = False
        self.freed: dict[str, None] = {}

    def round(self) -> Observation:
        """Take one round."""
        spaces = self.spaces()
        if self._emptied and not spaces:
            return met("gone")
        self._names |= {each.name for each in spaces}
        closed = all(each.going for each in spaces)
        for each in spaces:
            if not each.going:
                self._delete(each)
        left = self._others()
        # What was seen with every namespace closed to new objects need not be seen once more.
        self._emptied = closed and not left
        self._end(left)
        inside = {each.namespace for each in left}
        for each in spaces:
            if each.going and each.name not in inside:
                self._finalize(each)
        rest = [*spaces, *left]
        return pending("; ".join(map(str, rest[:10]))) if rest else met("gone")

    def spaces(self) -> list[_Found]:
        """Find the namespaces that are the story's."""
        listed = self._api.metadata(_NAMESPACES)
        return [_Found(_NAMESPACES, each) for each in listed if each["name"] in self._names or self._owns(each)]

    def _others(self) -> list[_Found]:
        """Find all that is the story's but namespaces, of every kind that there is."""
        kinds = [
            kind
            for kind in self._worth_a_look(self._api.kinds())
            if {"list", "delete"} <= kind.verbs
            and kind.kind != "Namespace"
            and kind.api_version.partition("/")[0] not in _SECOND_NAMES
        ]
        with ThreadPoolExecutor(_AT_ONCE) as pool:
            return [each for found in pool.map(self._of_the_story, kinds) for each in found]

    def _of_the_story(self, kind: Resource) -> list[_Found]:
        names, owns = self._names, self._owns
        try:
            listed = self._api.metadata(kind)
        except KubeError as error:
            # A custom type may go between two requests.
            if error.status == _GONE:
                return []
            raise
        return [_Found(kind, each) for each in listed if each.get("namespace") in names or owns(each)]

    def _end(self, left: Sequence[_Found]) -> None:
        """Delete objects without any grace, in its own namespaces all of a kind at once, and free what is held."""
        first = [each for each in left if each.resource.plural in _FIRST]
        standing = [each for each in left if not each.going and each not in first]
        single = [each for each in standing if not self._goes_with_its_kind(each)]
        whole = {each.resource.path(each.namespace) for each in standing if each not in single}
        for each in first:
            self._delete(each)
        with ThreadPoolExecutor(_AT_ONCE) as pool:
            # The lists take the results, so that what one of them raised is raised here.
            list(pool.map(self._request_deletion, whole))
            list(pool.map(self._delete, single))
        for each in left:
            if each.going and each.finalizers:
                self._free_in_time(each)

    def _goes_with_its_kind(self, found: _Found) -> bool:
        return found.namespace in self._names and "deletecollection" in found.resource.verbs

    def _free_in_time(self, found: _Found) -> None:
        """Free an object of its finalizers once those who should take them off have had time to."""
        uid, now = str(found.metadata["uid"]), time.monotonic()
        if now - self._seen_going.setdefault(uid, now) < _GRACE:
            return
        self.freed[str(found)] = None
        kept = [each for each in found.metadata["finalizers"] if each in _NEVER_FREED]
        patch = {"metadata": {"finalizers": kept or None}}
        with overtaken():
            self._api.merge(found.resource.api_version, found.resource.kind, found.name, found.namespace, patch)

    def _delete(self, found: _Found) -> None:
        self._request_deletion(found.resource.path(found.namespace, found.name))

    def _request_deletion(self, path: str) -> None:
        options = {"kind": "DeleteOptions", "gracePeriodSeconds": 0, "propagationPolicy": "Background"}
        with overtaken():
            self._api.request("DELETE", path, body=options)

    def _finalize(self, namespace: _Found) -> None:
        """Say of a namespace in which nothing is left that it is done.

        The namespace controller first looks after five seconds, and sixteen later again. What it would say is shown
        already: since the round before nothing new can come into it, and every kind was looked at after that.
        """
        path = namespace.resource.path(name=namespace.name)
        with overtaken():
            live = self._api.request("GET", path)
            if "deletionTimestamp" in live["metadata"]:
                live["spec"]["finalizers"] = []
                self._api.request("PUT", f"{path}/finalize", body=live)


@contextlib.contextmanager
def overtaken() -> Iterator[None]:
    """Let pass that an object is gone, or was changed since it was looked at: the next round tells."""
    try:
        yield
    except KubeError as error:
        if error.status not in (_GONE, _CONFLICT):
            raise
