"""``./inv bench``: measure, write the raw data, and show p50 and p95 beside what is aimed at."""

from __future__ import annotations

import datetime as dt
import json
import math
import os
import platform
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from benchmarks import measures, on_kind, short_stories
from sandbox.core.timeline import Timeline
from sandbox.engines import rewinding, sandboxes
from sandbox.engines.kind import Kind
from sandbox.gitops.story import tell
from sandbox.gitops.tenant import Tenant
from sandbox.gitops.world import World
from sandbox.toolchain import version_set
from scenarios import catalogue

__all__ = ["AIMS", "PARTS", "USUAL", "Series", "run"]

NAME = "bench"
RESULTS = Path(__file__).parent / "results"

AIMS: dict[str, dict[str, float]] = {
    "up_to_first_application": {"p50": 6.0},
    "push_to_live": {"p50": 0.4, "p95": 1.0},
    "drift_to_healed": {"p50": 0.5, "p95": 1.0},
    "rollback_to_live": {"p95": 1.0},
    "demo": {"p50": 15.0},
    "down": {"p50": 2.0},
    "applications_200": {"p50": 45.0},
    "idle_memory_gib": {"p50": 1.2},
    "idle_cores": {"p50": 0.3},
    "reset": {"p95": 1.0},
    "snapshot": {"p95": 3.0},
    "restore": {"p95": 3.0},
    "story_own_cpu_seconds": {"p50": 0.05},
    "stories_two_jobs_by_one": {"p50": 0.667},
    "stories_50": {"p50": 120.0},
    "story_core_failed": {"p50": 0},
    "kind_up_to_answer": {"p50": 40.0},
    "kind_up_by_bare_cluster": {"p50": 2.5},
    "kind_push_to_answer": {"p50": 6.0},
    "kind_drift_to_healed": {"p95": 1.0},
    "kind_stop_and_start": {"p50": 15.0},
}
"""What is aimed at on an otherwise idle machine of two cores; seconds unless the name says otherwise."""


@dataclass(slots=True)
class Series:
    """The values of one measure, one a run."""

    name: str
    values: list[float] = field(default_factory=list)

    def percentile(self, share: float) -> float:
        """Give the nearest-rank percentile: a value that was measured, none in between."""
        ordered = sorted(self.values)
        return ordered[max(0, math.ceil(share * len(ordered)) - 1)]

    def to_json(self) -> dict[str, Any]:
        """Give the values, p50 and p95, and whether the aim was met."""
        figures = {"p50": round(self.percentile(0.5), 3), "p95": round(self.percentile(0.95), 3)}
        aim = AIMS.get(self.name, {})
        return {
            "name": self.name,
            "runs": len(self.values),
            **figures,
            "aim": aim,
            "met": all(figures[key] <= limit for key, limit in aim.items()),
            "values": [round(value, 4) for value in self.values],
        }


def _up_and_down(runs: int, say: Callable[[str], None]) -> list[Series]:
    up, down = Series("up_to_first_application"), Series("down")
    for number in range(runs):
        sandboxes.down(NAME)
        up.values.append(measures.command("benchmarks.first_application", NAME))
        down.values.append(measures.command("sandbox.cli", "down", "--name", NAME))
        say(f"up {number + 1}/{runs}: {up.values[-1]:.2f} s, down {down.values[-1]:.2f} s")
    return [up, down]


def _changes(runs: int, say: Callable[[str], None]) -> list[Series]:
    pushed, rolled_back, healed = Series("push_to_live"), Series("rollback_to_live"), Series("drift_to_healed")
    sandboxes.up(NAME, sandboxes.UpOptions(), Timeline())
    with measures.world(NAME) as world:
        for number in range(runs):
            there, back = measures.push_to_live(world, number)
            pushed.values.append(there)
            rolled_back.values.append(back)
        say(f"push to live: {pushed.percentile(0.5):.2f} s, rollback: {rolled_back.percentile(0.5):.2f} s")
        for number in range(runs):
            healed.values.append(measures.drift_to_healed(world, number))
        say(f"drift to healed: {healed.percentile(0.5):.2f} s")
    return [pushed, rolled_back, healed]


def _demo(runs: int, say: Callable[[str], None]) -> list[Series]:
    demo = Series("demo")
    for number in range(runs):
        sandboxes.down(NAME)
        demo.values.append(measures.command("sandbox.cli", "demo", "--name", NAME, "--json"))
        say(f"demo {number + 1}/{runs}: {demo.values[-1]:.2f} s")
    return [demo]


def _many(runs: int, say: Callable[[str], None]) -> list[Series]:
    many = Series("applications_200")
    for number in range(min(runs, 3)):
        sandboxes.down(NAME)
        access = sandboxes.up(NAME, sandboxes.UpOptions(), Timeline())
        many.values.append(measures.many_applications(access, 200))
        say(f"200 Applications {number + 1}: {many.values[-1]:.1f} s")
    return [many]


def _idle(runs: int, say: Callable[[str], None]) -> list[Series]:
    del runs
    sandboxes.down(NAME)
    sandboxes.up(NAME, sandboxes.UpOptions(), Timeline())
    with measures.world(NAME):
        quiet = threading.Event()
        quiet.wait(20.0)  # the start's own work is not what is measured
        found = measures.idle(NAME, 30.0, quiet.wait)
    say(f"idle: {found['memory_gib']} GiB, {found['cores']} cores")
    return [Series("idle_memory_gib", [found["memory_gib"]]), Series("idle_cores", [found["cores"]])]


def _stories(runs: int, say: Callable[[str], None]) -> list[Series]:
    access = sandboxes.up(NAME, sandboxes.UpOptions(), Timeline())
    own = Series("story_own_cpu_seconds")
    short_stories.own_overhead(access, 0)  # what is imported at first use is no story's
    own.values += [short_stories.own_overhead(access, number) for number in range(runs)]
    say(f"a story's own time: {own.percentile(0.5):.3f} s")
    gain, fifty = Series("stories_two_jobs_by_one"), Series("stories_50")
    for number in range(min(runs, 3)):
        one, two = (short_stories.many_stories(access, 12, at_once) for at_once in (1, 2))
        gain.values.append(two / one)
        fifty.values.append(short_stories.many_stories(access, 50, 2))
        say(f"stories {number + 1}: 12 one by one {one:.1f} s, by twos {two:.1f} s; 50 {fifty.values[-1]:.1f} s")
    return [own, gain, fifty]


def _soak(runs: int, say: Callable[[str], None]) -> list[Series]:
    told, flakes = Series("story_core"), 0
    access = sandboxes.up(NAME, sandboxes.UpOptions(), Timeline())
    for number in range(runs):
        result = tell(catalogue()["core"], World(access, Tenant("soak")), Timeline())
        told.values.append(result.seconds)
        flakes += not result.passed
        if not result.passed or number % 10 == 0:  # now and then, to show that it goes on
            say(f"story {number + 1}/{runs}: {result.seconds:.1f} s; {flakes} failed {result.error or ''}")
    return [told, Series("story_core_failed", [flakes])]


def _up_on_kind(runs: int, say: Callable[[str], None]) -> list[Series]:
    bare, up, down = Series("kind_bare_cluster"), Series("kind_up_to_answer"), Series("kind_down")
    for number in range(min(runs, 5)):
        bare.values.append(on_kind.bare_cluster())
        sandboxes.down(NAME)
        up.values.append(measures.command("benchmarks.first_answer", NAME))
        down.values.append(measures.command("sandbox.cli", "down", "--name", NAME))
        say(
            f"kind {number + 1}: bare cluster {bare.values[-1]:.1f} s,"
            f" up to an answer {up.values[-1]:.1f} s, down {down.values[-1]:.1f} s"
        )
    ratio = [each / alone for each, alone in zip(up.values, bare.values, strict=True)]
    return [bare, up, Series("kind_up_by_bare_cluster", ratio), down]


def _changes_on_kind(runs: int, say: Callable[[str], None]) -> list[Series]:
    built, pushed = Series("kind_source_to_answer"), Series("kind_push_to_answer")
    healed, restarted = Series("kind_drift_to_healed"), Series("kind_stop_and_start")
    sandboxes.down(NAME)
    sandboxes.up(NAME, sandboxes.UpOptions(engine=Kind.name), Timeline())
    with on_kind.answering_world(NAME) as world:
        releases = []
        for number in range(max(2, min(runs, 5))):  # a push of what lives already would change nothing
            seconds, image = on_kind.source_to_answer(world, number)
            built.values.append(seconds)
            releases.append((image, world.source.version, world.source.head))
        for number in range(runs):
            pushed.values.append(on_kind.push_to_answer(world, *releases[number % len(releases)]))
        say(f"push to an answer: {pushed.percentile(0.5):.2f} s, of the source: {built.percentile(0.5):.2f} s")
        for number in range(runs):
            on_kind.rest(world)
            healed.values.append(measures.drift_to_healed(world, number))
        say(f"drift to healed: {healed.percentile(0.5):.2f} s")
        _, version, commit = releases[(runs - 1) % len(releases)]
        for _ in range(min(runs, 5)):
            restarted.values.append(on_kind.stop_and_start(world, NAME, version, commit))
        say(f"stop and start: {restarted.percentile(0.5):.1f} s")
    return [built, pushed, healed, restarted]


def _reset(runs: int, say: Callable[[str], None]) -> list[Series]:
    reset, kept, restored = Series("reset"), Series("snapshot"), Series("restore")
    sandboxes.down(NAME)
    sandboxes.up(NAME, sandboxes.UpOptions(), Timeline())
    for number in range(runs):
        # Each after a story's beginning: three Applications that live, in namespaces of their own.
        with measures.world(NAME) as world:
            kept.values.append(measures.seconds_of(lambda: rewinding.snapshot(NAME, "bench")))
            measures.push_to_live(world, number)
            restored.values.append(measures.seconds_of(lambda: rewinding.restore(NAME, "bench")))
        reset.values.append(measures.seconds_of(lambda: rewinding.reset(NAME)))
        rewinding.remove_snapshot(NAME, "bench")
        say(f"{number + 1}/{runs}: {', '.join(f'{s.name} {s.values[-1]:.2f} s' for s in (kept, restored, reset))}")
    return [reset, kept, restored]


PARTS: dict[str, Callable[[int, Callable[[str], None]], list[Series]]] = {
    "up": _up_and_down,
    "changes": _changes,
    "demo": _demo,
    "many": _many,
    "idle": _idle,
    "reset": _reset,
    "soak": _soak,
    "stories": _stories,
    "kind-up": _up_on_kind,
    "kind-changes": _changes_on_kind,
}
"""What can be measured by itself."""

USUAL = [name for name in PARTS if name != "soak" and not name.startswith(Kind.name)]
"""What is measured unless it is said: what takes minutes, on a machine without Docker."""


def run(parts: list[str], runs: int, say: Callable[[str], None]) -> tuple[Path, dict[str, Any]]:
    """Measure and write the raw data.

    Args:
        parts: Which of ``PARTS``.
        runs: How many runs each.
        say: Told what comes out on the way.

    Returns:
        The file that was written, and what it holds.
    """
    began, series = time.time(), []
    try:
        for part in parts:
            series += PARTS[part](runs, say)
    finally:
        sandboxes.down(NAME)
    report = {
        "date": dt.datetime.fromtimestamp(began, dt.UTC).isoformat(timespec="seconds"),
        "command": f"./inv bench --parts {','.join(parts)} --runs {runs}",
        "machine": {
            "cores": os.cpu_count(),
            "memory_gib": round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 1024**3, 1),
            "kernel": platform.release(),
            "python": platform.python_version(),
            "load_before": round(os.getloadavg()[0], 2),
        },
        "versions": version_set(),
        "series": [each.to_json() for each in series],
    }
    RESULTS.mkdir(exist_ok=True)
    path = RESULTS / f"{dt.datetime.fromtimestamp(began, dt.UTC):%Y-%m-%dT%H%M%S}.json"
    path.write_text(json.dumps(report, indent=2) + "\n")
    return path, report
