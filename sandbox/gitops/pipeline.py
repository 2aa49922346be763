"""The pipeline as a story sees it: a push sets it off, a run of it passes or says why not."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from sandbox.core.conditions import Observation, failed, met, pending
from sandbox.gitops.predicates import Predicate
from sandbox.servers.ci_runs import Run, RunStore

__all__ = ["Pipeline"]

_TAIL = 1500


@dataclass(frozen=True, slots=True)
class Pipeline:
    """The runs that the CI runner has made of a source repository's workflow.

    Attributes:
        runs: The folder of the runs.
        repository: The source repository's name.
    """

    runs: Path
    repository: str

    def run_of(self, commit: str) -> Run | None:
        """Give the newest run for a commit; None when the push has not set one off yet."""
        found = [run for run in RunStore(self.runs).all() if (run.repository, run.commit) == (self.repository, commit)]
        return found[-1] if found else None

    def passes(self, commit: str) -> Predicate:
        """The run for a commit has passed; one that failed gives the step and the end of its log."""
        wanted = f"the pipeline of {commit[:8]} to pass"
        return Predicate(wanted, lambda: self._passes(commit), {"commit": commit}, final=True)

    def _passes(self, commit: str) -> Observation:
        run = self.run_of(commit)
        if run is None:
            return pending("no push event has reached the CI runner")
        if run.status in ("failed", "cancelled"):
            log = self.runs / run.id / "log.txt"
            tail = log.read_text(errors="replace")[-_TAIL:] if log.exists() else ""
            return failed(f"run {run.id} {run.status}: {run.reason}\n{tail}")
        if run.status != "passed":
            return pending(f"run {run.id} is {run.status}; steps ended: {len(run.steps)}; all runs: {self.runs}")
        return met(f"run {run.id}")
