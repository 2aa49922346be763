"""What was found about a user's repository as a report: a step for the repository, and one for each Application."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator

from sandbox.engines.access import Access
from sandbox.gitops.evidence import FIDELITY
from sandbox.gitops.own.findings import STAGES, ApplicationVerdict, Finding, Level, worst
from sandbox.gitops.own.repository import Checked
from sandbox.report.findings import Blocker, Failure, Report, ReportStep, scrubbed
from sandbox.report.scrubbing import Scrubber

__all__ = ["report_of"]

_REPOSITORY = "repository"


def report_of(checked: Checked, access: Access, began: dt.datetime) -> Report:
    """Make the report.

    Args:
        checked: What was found.
        access: The way into the sandbox in which it was.
        began: When.

    Raises:
        OSError: The sandbox's secrets can't be read, so that they can't be left out.
    """
    report = Report(
        scenario="check",
        summary=f"what becomes of {checked.repository}",
        sandbox=access.name,
        engine=access.engine,
        fidelity=FIDELITY.get(access.engine, ""),
        began=began,
        seconds=checked.seconds,
        passed=checked.held,
        revision=checked.revision,
        versions={name: tool.version for name, tool in sorted(access.tools.items())},
        steps=(_of_repository(checked), *map(_of_application, checked.verdicts)),
        failure=_failure(checked),
    )
    return scrubbed(report, Scrubber.of(access.folder))


def _of_repository(checked: Checked) -> ReportStep:
    wrong = [each for each in checked.findings if each.level is Level.ERROR]
    return ReportStep(
        _REPOSITORY,
        f"{checked.repository} is mirrored, and its Applications are created",
        "failed" if wrong else "passed",
        0.0,
        _told(checked.findings),
        {
            "commit": checked.head,
            "mirrored as": checked.revision,
            "not committed": checked.uncommitted,
            "files that name the mirror": list(checked.rewritten),
            "notes": list(checked.notes),
        },
    )


def _of_application(verdict: ApplicationVerdict) -> ReportStep:
    status = "skipped" if not verdict.checked else "passed" if verdict.held else "failed"
    proved = f"{verdict.objects} objects live as {verdict.revision[:8]} renders them"
    return ReportStep(
        verdict.name,
        f"{verdict.source} renders, is accepted, syncs, is proved and gets healthy in {verdict.namespace}",
        status,
        verdict.seconds,
        _told(verdict.findings) or ("" if verdict.held else "see the evidence"),
        {
            **{stage: getattr(verdict, stage).value for stage in STAGES},
            "made by": verdict.made_by,
            "revision": verdict.revision,
            "objects": verdict.objects,
        },
        (proved,) if verdict.proved.value == "yes" else (),
    )


def _told(findings: list[Finding]) -> str:
    return "\n".join(f"{each.level.value}: {each}" for each in worst(findings))


def _failure(checked: Checked) -> Failure | None:
    if checked.held:
        return None
    wrong = [each for each in checked.verdicts if each.checked and not each.held]
    errors = [each for each in checked.findings if each.level is Level.ERROR]
    first = wrong[0] if wrong and not errors else None
    findings = worst([*errors, *(found for each in wrong for found in each.findings)])
    return Failure(
        step=first.name if first else _REPOSITORY,
        wanted="every Application to render, be accepted, sync, live as rendered and get healthy",
        last_seen=_counted(checked),
        hint=next((each.hint for each in findings if each.hint), ""),
        by_verdict=True,
        revision=checked.revision,
        blockers=tuple(_blockers(findings)),
        compared=sum(each.objects for each in checked.verdicts),
    )


def _counted(checked: Checked) -> str:
    held = sum(each.held for each in checked.verdicts)
    unseen = sum(not each.checked for each in checked.verdicts)
    aside = f", {unseen} could not be checked" if unseen else ""
    return f"{held} of {len(checked.verdicts)} Applications hold{aside}"


def _blockers(findings: list[Finding]) -> Iterator[Blocker]:
    for each in findings:
        thing = ": ".join(filter(None, (each.application, each.thing)))
        parts = [each.what, f"why: {each.why}" if each.why else "", f"next: {each.hint}" if each.hint else ""]
        yield Blocker(each.level.value, thing, "; ".join(filter(None, parts)))
