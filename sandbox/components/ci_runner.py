"""The CI runner: runs a source repository's own workflow when a commit is pushed to it, as a forge would.

It holds two credentials, Git push to environment repositories and registry push, and none for the
cluster.
"""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path

from sandbox.components import registry
from sandbox.components.base import Context, ProcessComponent
from sandbox.components.git_server import CI_SECRET, CI_USER, CI_WEBHOOK_SECRET
from sandbox.components.probes import http_ok
from sandbox.core.conditions import Deadline, Observation, met, pending, wait_for
from sandbox.core.errors import DeadlineError
from sandbox.core.files import write_json
from sandbox.core.folders import cache_root
from sandbox.core.trees import keep_tree, put_back_tree
from sandbox.servers.ci_runs import RunStore
from sandbox.toolchain import Tool

__all__ = ["CiRunner", "workflow_path"]

_INTERRUPT_SECONDS = 5.0


def workflow_path(tools: Mapping[str, Tool]) -> list[str]:
    """Give the folders that a workflow's steps find their programs in, before the system's own."""
    programs = [str(tools[name].binary().parent) for name in ("go", "kustomize", "crane")]
    # A workflow's python3 is ours: it holds GitPython, which nothing here could install.
    return [*programs, str(Path(sys.executable).parent)]


class CiRunner(ProcessComponent):
    """nektos/act behind a webhook receiver; see ``sandbox.servers.ci_runner``."""

    name = "ci-runner"
    requires = ()
    ports = ("ci-runner",)

    def prepare(self, context: Context) -> None:
        """Write its configuration."""
        configuration = {
            "port": context.ports["ci-runner"],
            "webhook_secret": context.secrets.value(CI_WEBHOOK_SECRET),
            "git": {
                "url": f"http://{context.address('git-server')}",
                "user": CI_USER,
                "password": context.secrets.value(CI_SECRET),
            },
            "registry": {
                "address": context.address("registry"),
                "user": registry.USER,
                "password": context.secrets.value(registry.SECRET),
            },
            "runs": str(context.dir("ci")),
            "tools_path": workflow_path(context.tools),
            "act": str(context.tools["act"].binary()),
            "cache": str(cache_root() / "workflows"),
        }
        write_json(context.dir("run", self.name) / "config.json", configuration)

    def argv(self, context: Context) -> tuple[str, ...]:
        """Serve with the configuration file."""
        return context.python("sandbox.servers.ci_runner", context.dir("run", self.name) / "config.json")

    def ready(self, context: Context) -> Observation:
        """It is ready when its health check answers."""
        return http_ok(context.address("ci-runner"), "/healthz")

    # Its part of a snapshot (sandbox.components.state).

    starts_empty = True

    def save(self, context: Context, into: Path) -> None:
        """Keep the records of the runs."""
        keep_tree(context.dir("ci"), into / "runs")

    def load(self, context: Context, saved: Path) -> int:
        """Put the records of the runs back; those that came later go."""
        return put_back_tree(saved / "runs", context.dir("ci"))

    @contextlib.contextmanager
    def held(self, context: Context, deadline: Deadline) -> Iterator[None]:
        """Wait until no run waits or goes on; a new one needs a push, which the Git server holds."""
        wait_for(
            lambda: pending(self.under_way(context)) if self.under_way(context) else met("no run goes on"),
            deadline,
            wanted="the CI runner to come to rest",
            hint="try again when it has ended",
        )
        yield

    def under_way(self, context: Context) -> str:
        """Name the runs that wait or go on."""
        going = [run for run in RunStore(context.dir("ci")).all() if not run.finished]
        return ", ".join(f"run {run.id} of {run.repository} is {run.status}" for run in going)

    def interrupt(self, context: Context) -> None:
        """Cancel every run that waits or goes on; a runner that does not see it is started anew, and sees it then."""
        store = RunStore(context.dir("ci"))
        for run in store.all():
            if not run.finished:
                store.cancel(run)
        try:
            self._rest(context)
        except DeadlineError:
            context.supervisor.stop(self.name)
            self.ensure(context)
            self._rest(context)

    def _rest(self, context: Context) -> None:
        with self.held(context, Deadline.after(_INTERRUPT_SECONDS)):
            pass
