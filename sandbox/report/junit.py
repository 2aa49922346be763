"""A report as JUnit XML, as CI servers read it: one test case for each step."""

from __future__ import annotations

import re
import xml.etree.ElementTree as ET

from sandbox.report.findings import Failure, Report, ReportStep

__all__ = ["as_junit"]

# What XML 1.0 can't hold, not even escaped (section 2.2).
_UNSPEAKABLE = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


def as_junit(report: Report) -> str:
    """Write a report as JUnit XML, after the schema that Jenkins' xUnit plug-in publishes (``junit-10.xsd``).

    A suite has its properties first, then its cases; a verdict that did not hold is a ``failure``, an action that
    could not be done an ``error``. Under a sabotage the story's failure is what is wished for: the case of a
    sabotage fails when it was not noticed.

    Args:
        report: Without secrets; see ``findings.scrubbed``.
    """
    suites = ET.Element("testsuites")
    suite = ET.SubElement(suites, "testsuite", _suite(report))
    _properties(suite, report)
    for step in report.steps:
        _case(suite, report, step)
    for each in report.sabotages:
        case = ET.SubElement(suite, "testcase", _named(report, each.name, 0.0))
        if not each.noticed:
            _add(case, "failure", each.reason, message=f"survived: {each.breaks}", type="survived")
    ET.indent(suites)
    return ET.tostring(suites, encoding="unicode", xml_declaration=True) + "\n"


def _suite(report: Report) -> dict[str, str]:
    failed, by_verdict = report.counted("failed"), report.failure is None or report.failure.by_verdict
    survived = sum(not each.noticed for each in report.sabotages)
    return {
        "name": _spoken(f"{report.scenario} on {report.engine}"),
        "tests": str(len(report.steps) + len(report.sabotages)),
        "failures": str((failed if by_verdict else 0) + survived),
        "errors": str(0 if by_verdict else failed),
        "skipped": str(report.counted("skipped")),
        "time": f"{report.seconds:.3f}",
        "timestamp": report.began.strftime("%Y-%m-%dT%H:%M:%S"),
    }


def _properties(suite: ET.Element, report: Report) -> None:
    known = {
        "engine": report.engine,
        "fidelity": report.fidelity,
        "sandbox": report.sandbox,
        "revision": report.revision,
        "sabotage": report.sabotage,
        **{f"version.{name}": version for name, version in report.versions.items()},
    }
    properties = ET.SubElement(suite, "properties")
    for name, value in known.items():
        if value:
            ET.SubElement(properties, "property", {"name": _spoken(name), "value": _spoken(value)})


def _case(suite: ET.Element, report: Report, step: ReportStep) -> None:
    case = ET.SubElement(suite, "testcase", _named(report, step.name, step.seconds))
    if step.status == "skipped":
        ET.SubElement(case, "skipped", {"message": _spoken(step.reason)})
    elif step.status == "failed":
        failure = report.failure if report.failure and report.failure.step == step.name else None
        kind = "failure" if failure is None or failure.by_verdict else "error"
        message = failure.wanted if failure else step.reason.partition("\n")[0]
        _add(case, kind, _why(step, failure), message=message, type="verdict" if kind == "failure" else "action")
    said = [step.sentence, *(f"proved {proof}" for proof in step.proofs)]
    said += [f"{name}: {value}" for name, value in step.evidence.items()]
    _add(case, "system-out", "\n".join(said))


def _why(step: ReportStep, failure: Failure | None) -> str:
    if failure is None:
        return step.reason
    lines = [f"{failure.wanted}", f"last seen: {failure.last_seen}"]
    lines += [f"in the way: {each.kind} {each.thing}: {each.why}" for each in failure.blockers]
    lines += [
        f"differs: {each.environment}: {each.thing} {each.field}: Git renders {each.git}, alive is {each.lives}"
        for each in failure.differences
    ]
    return "\n".join(lines)


def _named(report: Report, name: str, seconds: float) -> dict[str, str]:
    return {"name": _spoken(name), "classname": _spoken(report.scenario), "time": f"{seconds:.3f}"}


def _add(parent: ET.Element, tag: str, text: str, **attributes: str) -> None:
    element = ET.SubElement(parent, tag, {name: _spoken(value) for name, value in attributes.items()})
    element.text = _spoken(text)


def _spoken(text: str) -> str:
    return _UNSPEAKABLE.sub("\N{REPLACEMENT CHARACTER}", text)
