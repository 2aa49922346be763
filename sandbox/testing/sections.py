"""What pytest shows of a test that failed: its own lines, the sentence, and sections with all that may tell why."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType

from sandbox.core.errors import SandboxError
from sandbox.gitops.steps import StepResult, StoryFailedError
from sandbox.report.findings import Failure, Report, ReportStep

__all__ = ["failure_of", "own_lines", "said_of_steps", "sections"]

_PRODUCT = str(Path(__file__).resolve().parents[1])
_HIDDEN = (_PRODUCT + "/", str(Path(contextlib.__file__)))
_HAPPENINGS = 25
_LOG_LINES = 5
_LINES = 20
_WHOLE = 200


def own_lines(error: BaseException) -> TracebackType | None:
    """Give an error's traceback without the product's own lines: they say nothing to the test's author."""
    outer = list(_own(error.__traceback__))
    inner = list(_own(error.__cause__.__traceback__)) if error.__cause__ else []
    if outer and inner and outer[-1].tb_frame is inner[0].tb_frame:
        # The same frame, once at its `with` and once at the line within that broke.
        outer.pop()
    made: TracebackType | None = None
    for each in reversed([*outer, *inner]):
        made = TracebackType(made, each.tb_frame, each.tb_lasti, each.tb_lineno)
    return made


def _own(trace: TracebackType | None) -> Iterator[TracebackType]:
    while trace is not None:
        if not trace.tb_frame.f_code.co_filename.startswith(_HIDDEN):
            yield trace
        trace = trace.tb_next


def failure_of(error: BaseException, step: str) -> StoryFailedError:
    """Give a test's failure as a story's: what the test itself asserts is a verdict too."""
    if isinstance(error, StoryFailedError):
        return error
    said = str(error).partition("\n")[0]
    wrapped = SandboxError(f"{type(error).__name__}: {said}" if said else type(error).__name__)
    return StoryFailedError(step, wrapped, by_verdict=isinstance(error, AssertionError))


def said_of_steps(steps: list[StepResult]) -> str:
    """Give what became of each step, in a line."""
    return "; ".join(f"{step.name}: {step.status}" for step in steps)


def sections(report: Report, html: Path | None) -> Iterator[tuple[str, str]]:
    """Give the sections of a failed test: title and text.

    Args:
        report: What is known of it, without any secret.
        html: Where its report is; None where none could be written.
    """
    yield "gitops: the story", "\n".join(line for step in report.steps for line in _step(step))
    if report.failure is not None:
        for title, lines in _failure(report.failure):
            if lines:
                more = [f"… and {len(lines) - _LINES} more, in the report"] if len(lines) > _LINES else []
                yield f"gitops: {title}", "\n".join([*lines[:_LINES], *more])
    if html is not None:
        yield "gitops: the report", str(html)


def _step(step: ReportStep) -> Iterator[str]:
    yield f"{step.status:7} {step.sentence}  {step.seconds:.1f} s"
    for proof in step.proofs:
        yield f"        proved {proof}"
    if step.status == "failed":
        for each in step.happenings[-_HAPPENINGS:]:
            yield f"        {each.at:%H:%M:%S.%f} {each.lane.value:8} {each.what}"[:_WHOLE]


def _failure(failure: Failure) -> Iterator[tuple[str, list[str]]]:
    yield "in the way", [f"{each.kind} {each.thing}: {each.why}" for each in failure.blockers]
    yield (
        f"what differs from {failure.revision[:8] or 'Git'}",
        [
            f"{each.environment}: {each.thing} {each.field}: Git renders {each.git}, alive is {each.lives}"
            for each in failure.differences
        ],
    )
    yield "events", [f"{each.at:%H:%M:%S} {each.thing}: {each.reason}: {each.message}" for each in failure.events]
    logs = []
    for log in failure.logs:
        # Complaints are what is looked for; where there are none, the end is all that can be said.
        lines = log.warnings or log.lines
        logs += [f"{log.component}: {line}"[:_WHOLE] for line in lines[-_LOG_LINES:]]
    yield "logs of that time", logs
    yield "what could not be seen", list(failure.unknown)
