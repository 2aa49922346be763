"""Brings components up: as many at once as their requirements allow, each waited for until it is ready.

The one place that orders, waits and gives up. A component that dies again and again ends the wait
at once with its last words; nothing here retries without a deadline.
"""

from __future__ import annotations

import concurrent.futures
import contextlib
import threading
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from sandbox.components.base import Component, Context, Watching
from sandbox.core.conditions import Deadline, Observation, State, failed, pending, wait_for
from sandbox.core.errors import SandboxError
from sandbox.core.timeline import Timeline
from sandbox.kube.watching import Watch

__all__ = ["bring_up", "closure"]

_DEATHS = 4  # a component may lose a race for what it needs a few times; more says that it can't start
_LAST_WORDS = 800
_UNWATCHED_SECONDS = 0.025
# Looks take processor time from what is being waited for: a node that boots has none to spare.
_LATE = 0.02
# Also for what no object of the cluster tells: that a server answers, or that another component failed.
_WATCHED_SECONDS = 0.25
_ENDING_SECONDS = 5.0


def closure(components: Sequence[Component], names: Sequence[str]) -> list[Component]:
    """Give those components and all that they require, in the order of ``components``."""
    by_name = {component.name: component for component in components}
    wanted: set[str] = set()
    pile = list(names)
    while pile:
        name = pile.pop()
        if name not in wanted:
            wanted.add(name)
            pile.extend(by_name[name].requires)
    return [component for component in components if component.name in wanted]


class _Deaths:
    """Watches over the processes while they start: one question to the supervisor for all of them."""

    def __init__(self, context: Context) -> None:
        self._context = context
        self._supervised = context.supervisor.process() is not None
        self._gone = ""
        self._before = {name: status.restarts for name, status in context.supervisor.components().items()}
        self._seen: dict[str, str] = {}
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._watch, name="deaths", daemon=True)
        self._thread.start()

    def _watch(self) -> None:
        while not self._ended.wait(_WATCHED_SECONDS):
            if self._supervised and self._context.supervisor.process() is None:
                self._gone = "the sandbox's supervisor has ended, and all components with it"
                return
            try:
                statuses = self._context.supervisor.components()
            except SandboxError:
                # It runs and is slow to answer: the next look, or the component's own, says more.
                continue
            for name, status in statuses.items():
                if status.restarts - self._before.get(name, 0) >= _DEATHS and status.last_exit:
                    reason = f"it ended {status.restarts} times, last: {status.last_exit['reason']}"
                    self._seen[name] = f"{reason}\n{_last_words(Path(status.log))}"

    def of(self, name: str) -> str | None:
        return self._seen.get(name) or self._gone or None

    def end(self) -> None:
        self._ended.set()
        self._thread.join()


class _Readiness:
    """Which components are ready; who waits for one hears of it at once."""

    def __init__(self, components: Sequence[Component]) -> None:
        self._ready: set[str] = set()
        self._wakes = {component.name: threading.Event() for component in components}

    def missing(self, component: Component) -> list[str]:
        return [name for name in component.requires if name not in self._ready]

    def wake_of(self, component: Component) -> threading.Event:
        return self._wakes[component.name]

    def tell(self, *ready: str) -> None:
        self._ready.update(ready)
        for wake in self._wakes.values():
            wake.set()


def _last_words(log: Path) -> str:
    # Where the log could not even be opened, the reason says so.
    return log.read_text(errors="replace")[-_LAST_WORDS:] if log.exists() else ""


def bring_up(context: Context, components: Sequence[Component], deadline: Deadline, timeline: Timeline) -> None:
    """Ensure every component and wait until each is ready.

    Args:
        context: The sandbox.
        components: What to bring up; what they require must be among them.
        deadline: For all of them together.
        timeline: Gets an event when one starts, is ready, or fails.

    Raises:
        SandboxError: The first failure; the others are not waited for.
    """
    readiness = _Readiness(components)
    given_up = threading.Event()
    failures: list[BaseException] = []
    deaths = _Deaths(context)

    def observe(component: Component) -> Observation:
        if given_up.is_set():
            return failed("another component failed first")
        if reason := deaths.of(component.name):
            return failed(reason)
        return component.ready(context)

    def requirements_met(component: Component) -> Observation:
        if given_up.is_set():
            return failed("another component failed first")
        missing = readiness.missing(component)
        return pending(f"waits for {', '.join(missing)}") if missing else Observation(State.MET, "")

    def bring(component: Component) -> None:
        name = component.name
        try:
            wake = readiness.wake_of(component)
            _wait(lambda: requirements_met(component), deadline, f"{name} to get what it requires", wake=wake)
            timeline.record(name, "starting")
            component.ensure(context)
            with _woken(component, context) as watch:
                seen = _wait(lambda: observe(component), deadline, f"{name} to be ready", context, watch)
        except BaseException as error:
            # Noted before the others can see it: theirs follow from it, in whichever order they end.
            failures.append(error)
            given_up.set()
            readiness.tell()
            timeline.record(name, "failed")
            raise
        timeline.record(name, "ready", seen.seen)
        readiness.tell(name)

    try:
        _all(bring, components, given_up)
    finally:
        deaths.end()
    if failures:
        raise failures[0]


def _wait(
    condition: Callable[[], Observation],
    deadline: Deadline,
    wanted: str,
    context: Context | None = None,
    wake: threading.Event | None = None,
) -> Observation:
    hint = f"the logs are in {context.folder / 'logs'}" if context else ""
    every = _UNWATCHED_SECONDS if wake is None else _WATCHED_SECONDS
    return wait_for(condition, deadline, wanted=wanted, hint=hint, wake=wake, every=every, late=_LATE)


@contextlib.contextmanager
def _woken(component: Component, context: Context) -> Iterator[threading.Event | None]:
    """Give what wakes the wait for a component; None where nothing does."""
    if not isinstance(component, Watching):
        yield None
        return
    with Watch(context.api()) as watch:
        watch.add(component.watched(context))
        yield watch.changed


def _all(bring: Callable[[Component], None], components: Sequence[Component], given_up: threading.Event) -> None:
    """Run ``bring`` for all at once, until each has ended, well or badly."""
    pool = concurrent.futures.ThreadPoolExecutor(max_workers=max(1, len(components)))
    running: list[concurrent.futures.Future[None]] = []
    try:
        # Into a list that is there already: an interrupt between two must still find those that have begun.
        running.extend(pool.submit(bring, component) for component in components)
        concurrent.futures.wait(running)
    finally:
        # Also when the user interrupts: what is half done is ended first, or it would write into a folder that goes.
        given_up.set()
        concurrent.futures.wait(running, timeout=_ENDING_SECONDS)
        pool.shutdown(wait=False, cancel_futures=True)
