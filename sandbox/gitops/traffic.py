"""Requests to a deployed application, as its users send them: what it answers, and how many get no answer.

They go through the API server's proxy to the Service (Kubernetes, "Access Services Running on
Clusters"), which any cluster has, wherever it runs.
"""

from __future__ import annotations

import json
import threading
from dataclasses import dataclass, field
from typing import Any, Self

from sandbox.core.conditions import Observation, met, pending
from sandbox.core.errors import SandboxError
from sandbox.gitops.predicates import Predicate
from sandbox.gitops.telling import evidence
from sandbox.kube.api import KubeApi

__all__ = ["Service", "Traffic"]

_PAUSE = 0.02  # seconds between two requests: fifty a second are many to a service of one or two pods


@dataclass(frozen=True, slots=True)
class Service:
    """A Service of an Application, as its users see it.

    Attributes:
        api: Who asks.
        namespace: Where the Service is.
        name: Its name.
        port: The name of its port.
    """

    api: KubeApi
    namespace: str
    name: str
    port: str = "http"

    def get(self, path: str) -> Any:
        """Send one GET request; return the answer's JSON.

        Raises:
            SandboxError: There was no answer, or none of success.
        """
        root = f"/api/v1/namespaces/{self.namespace}/services/{self.name}:{self.port}/proxy"
        return self.api.request("GET", root + path)

    def says(self, version: str, revision: str) -> Predicate:
        """The application answers that it is this version, built from this source commit."""
        told = {"version": version, "revision": revision}
        return Predicate(f"{version} to answer", lambda: self._says(told), {"answer": told})

    def _says(self, told: dict[str, str]) -> Observation:
        try:
            answer = self.get("/version")
        except SandboxError as error:
            return pending(f"{error.what}: {error.why}")
        return met(f"GET /version says {json.dumps(answer)}") if answer == told else pending(f"it says {answer}")


@dataclass(slots=True)
class Traffic:
    """A client that asks again and again while something happens; used as a context.

    Attributes:
        service: Whom it asks.
        answers: How many requests were answered, by the version that answered.
        lost: What became of each request that was not answered well.
    """

    service: Service
    answers: dict[str, int] = field(default_factory=dict)
    lost: list[str] = field(default_factory=list)
    _ended: threading.Event = field(default_factory=threading.Event)
    _thread: threading.Thread | None = None

    def _ask(self) -> None:
        while not self._ended.wait(_PAUSE):
            try:
                version = str(self.service.get("/version")["version"])
            except (SandboxError, KeyError, TypeError) as error:
                self.lost.append(str(error))
            else:
                self.answers[version] = self.answers.get(version, 0) + 1

    def __enter__(self) -> Self:
        """Begin to ask."""
        self._thread = threading.Thread(target=self._ask, name="traffic", daemon=True)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        """Ask no more, and give the figures as evidence."""
        self._ended.set()
        if self._thread is not None:
            self._thread.join()
        evidence(requests=self.answers, lost=len(self.lost))

    def lossless(self, *versions: str) -> Predicate:
        """Every request was answered, and each of these versions was seen."""
        return Predicate("no request to be lost", lambda: self._lossless(versions))

    def _lossless(self, versions: tuple[str, ...]) -> Observation:
        if self.lost:
            return pending(f"{len(self.lost)} of {self.total} requests were lost; the first: {self.lost[0]}")
        unseen = [version for version in versions if version not in self.answers]
        if unseen:
            return pending(f"never answered by {', '.join(unseen)}, only by {self.answers}")
        return met(f"{self.total} requests, none lost: {self.answers}")

    @property
    def total(self) -> int:
        """How many requests were sent."""
        return sum(self.answers.values()) + len(self.lost)
