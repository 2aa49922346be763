"""The driver with the real supervisor: what it says of components that can't start, and when that one is gone."""

from __future__ import annotations

import signal
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from sandbox.components.base import Component, Context, ProcessComponent
from sandbox.core.conditions import Deadline, Observation, met, pending
from sandbox.core.errors import ConditionFailedError
from sandbox.core.supervision import SupervisorClient
from sandbox.core.timeline import Timeline
from sandbox.engines import driver
from sandbox.engines.driver import bring_up
from sandbox.kube.watching import Watched
from tests.integration.components.conftest import Bring
from tests.integration.core.support import wait_gone


class Part(ProcessComponent):
    """A process of some lines of Python that never says that it is ready."""

    def __init__(self, name: str, code: str) -> None:
        self.name = name
        self._code = code

    def argv(self, context: Context) -> tuple[str, ...]:
        """Run the lines."""
        del context
        return (sys.executable, "-c", self._code)

    def ready(self, context: Context) -> Observation:
        """Wait for ever."""
        del context
        return pending("starting")


class Steady(Part):
    """A process that is ready as soon as it runs."""

    def ready(self, context: Context) -> Observation:
        """Do what a process component does by default."""
        return ProcessComponent.ready(self, context)


SLEEP = "import time; time.sleep(600)"


@pytest.fixture
def context(tmp_path: Path, run_id: str) -> Iterator[Context]:
    (tmp_path / "logs").mkdir()
    context = Context("box", run_id, tmp_path, {}, {}, 1, SupervisorClient(tmp_path))
    context.supervisor.start(run_id).keep()
    yield context
    context.supervisor.end(run_id, Deadline.after(10))


def bring(context: Context, *parts: Component) -> None:
    bring_up(context, parts, Deadline.after(30), Timeline())


def test_a_component_that_dies_again_and_again_ends_the_wait_with_its_last_words(context: Context) -> None:
    began = time.monotonic()
    with pytest.raises(ConditionFailedError, match="dier to be ready: can't come true") as caught:
        bring(context, Part("other", SLEEP), Part("dier", "raise SystemExit('error: unknown flag --nonsense')"))
    assert "it ended 4 times, last: exit code 1\n" in caught.value.why
    assert caught.value.why.endswith("error: unknown flag --nonsense\n")
    assert str(context.folder / "logs") in caught.value.hint
    assert time.monotonic() - began < 15


def test_a_program_that_does_not_exist_ends_the_wait_with_its_reason(context: Context) -> None:
    class Missing(Part):
        def argv(self, context: Context) -> tuple[str, ...]:
            return (str(context.folder / "no-such-program"),)

    with pytest.raises(ConditionFailedError, match="missing to be ready") as caught:
        bring(context, Missing("missing", ""))
    assert "No such file or directory" in caught.value.why


def test_deaths_of_an_earlier_time_do_not_count(context: Context) -> None:
    flag = context.folder / "flag"
    code = f"import pathlib, time\nif not pathlib.Path({str(flag)!r}).exists(): raise SystemExit(1)\ntime.sleep(600)"
    with pytest.raises(ConditionFailedError):
        bring(context, Part("dier", code))
    flag.touch()
    bring(context, Steady("dier", code))
    assert context.supervisor.components()["dier"].state == "running"


def test_a_supervisor_that_is_killed_ends_the_wait(context: Context) -> None:
    supervisor = context.supervisor.process()
    assert supervisor is not None
    killer = threading.Timer(0.3, supervisor.send, [signal.SIGKILL])
    killer.start()
    with pytest.raises(ConditionFailedError, match="sleeper to be ready") as caught:
        bring(context, Part("sleeper", SLEEP))
    killer.join()
    assert caught.value.why == "the sandbox's supervisor has ended, and all components with it"
    wait_gone(supervisor)


def test_a_component_is_stopped_when_it_is_removed_and_its_log_is_what_it_gives(
    context: Context, tmp_path: Path
) -> None:
    part = Steady("talker", "import time; print('hello', flush=True); time.sleep(600)")
    part.diagnose(context, tmp_path)
    bring(context, part)
    part.remove(context)
    assert context.supervisor.components()["talker"].state == "stopped"
    into = tmp_path / "diagnostics"
    into.mkdir()
    part.diagnose(context, into)
    assert [path.name for path in into.iterdir()] == ["talker.log"]


class Told:
    """A component that a ConfigMap tells of."""

    name = "told"
    requires: tuple[str, ...] = ()
    ports: tuple[str, ...] = ()

    def __init__(self) -> None:
        self.looked = threading.Event()

    def ensure(self, context: Context) -> None:
        """Do nothing."""

    def watched(self, context: Context) -> Sequence[Watched]:
        """Name the ConfigMap."""
        del context
        return [("v1", "ConfigMap", "default", "settings")]

    def ready(self, context: Context) -> Observation:
        """Look for it."""
        found = context.api().get("v1", "ConfigMap", "settings", "default")
        self.looked.set()
        return met("there") if found else pending("not there")

    def diagnose(self, context: Context, into: Path) -> None:
        """Have nothing to say."""

    def remove(self, context: Context) -> None:
        """Have nothing to remove."""


def test_a_component_that_objects_tell_of_is_looked_at_when_they_change(
    brought_up: Bring, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(driver, "_WATCHED_SECONDS", 600.0)
    settings = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "settings", "namespace": "default"}}
    part = Told()
    with (
        brought_up("etcd", "kube-apiserver-bootstrap", tools=("etcd", "kube-apiserver", "argocd")) as cluster,
        ThreadPoolExecutor(1) as pool,
    ):
        up = pool.submit(bring_up, cluster, [part], Deadline.after(20), Timeline())
        assert part.looked.wait(10)
        cluster.api().create(settings)
        up.result(timeout=20)
