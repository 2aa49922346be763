"""Watches: whoever waits is woken when something changes, and looks for itself."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable, Sequence
from typing import Any, Self

from sandbox.core.errors import SandboxError
from sandbox.kube.api import KubeApi
from sandbox.kube.resources import Resource, Target
from sandbox.kube.streams import Ending

__all__ = ["Heard", "Watch", "Watched"]

_AGAIN_AFTER = 0.2

Watched = tuple[str, str, str | None, str]
"""What to watch: apiVersion, kind, namespace (None for all), and the only object's name (empty for all)."""

Heard = Callable[[Resource, dict[str, Any]], None]
"""What is told of each event of a watch: of which kind, and the event."""


class Watch:
    """Wakes a wait when anything of the watched kinds changes: ``wait_for(..., wake=watch.changed)``.

    It carries no state: each look asks the API server itself, so that a missed event costs some
    milliseconds and never a verdict.

    Args:
        api: Speaks to the cluster.
        heard: Called with each event, in the thread that watches its kind.
    """

    def __init__(self, api: KubeApi, heard: Heard | None = None) -> None:
        self.changed = threading.Event()
        self._ending = Ending()
        self._api = api
        self._heard = heard

    def add(self, kinds: Sequence[Watched]) -> None:
        """Watch more; what is there already is heard of first, as ADDED.

        Raises:
            KubeError: The API server does not serve such a kind.
            UnavailableError: It does not answer.
        """
        for api_version, kind, namespace, only in kinds:
            target = Target(self._api.resource(api_version, kind), namespace, only)
            name = f"watch-{target.resource.plural}"
            threading.Thread(target=self._follow, args=(target,), name=name, daemon=True).start()

    def _follow(self, target: Target) -> None:
        while not self._ending.over():
            # A watch ends now and then by design; the waits look by themselves in between.
            with contextlib.suppress(SandboxError):
                for event in self._api.events(target, self._ending):
                    if self._ending.over():
                        return
                    if self._heard is not None:
                        self._heard(target.resource, event)
                    self.changed.set()
            self._ending.pause(_AGAIN_AFTER)

    def __enter__(self) -> Self:
        """Give the watch itself."""
        return self

    def __exit__(self, *_: object) -> None:
        """End the streams, and the threads with them."""
        self._ending.end()
