from __future__ import annotations

import json
import xml.etree.ElementTree as ET
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sandbox.report.findings import Report
from sandbox.report.junit import as_junit
from sandbox.report.writing import written, written_reports
from tests.unit.report.samples import failing, killing, passing

# What junit-10.xsd of Jenkins' xUnit plug-in allows: children, attributes that must be there, others that may.
SCHEMA: dict[str, tuple[set[str], set[str], set[str]]] = {
    "testsuites": ({"testsuite"}, set(), {"name", "time", "tests", "failures", "disabled", "errors"}),
    "testsuite": (
        {"properties", "testcase", "system-out", "system-err", "testsuite"},
        {"name", "tests", "failures", "errors"},
        {"time", "skipped", "timestamp", "hostname", "id", "package", "file", "group"},
    ),
    "properties": ({"property"}, set(), set()),
    "property": (set(), {"name", "value"}, set()),
    "testcase": ({"skipped", "error", "failure", "system-out", "system-err"}, {"name", "classname"}, {"time", "group"}),
    "failure": (set(), set(), {"message", "type"}),
    "error": (set(), set(), {"message", "type"}),
    "skipped": (set(), set(), {"message", "type"}),
    "system-out": (set(), set(), set()),
}


def parsed(report: Report) -> ET.Element:
    return ET.fromstring(as_junit(report))  # noqa: S314  # written by us a moment ago


@pytest.mark.parametrize("sample", [passing, failing, killing])
def test_the_file_has_the_structure_that_the_schema_demands(sample: Callable[[], Report]) -> None:
    root = parsed(sample())
    assert root.tag == "testsuites"
    for element in root.iter():
        children, must, may = SCHEMA[element.tag]
        assert {child.tag for child in element} <= children
        assert must <= set(element.attrib) <= must | may
    (suite,) = root
    cases = suite.findall("testcase")
    assert int(suite.attrib["tests"]) == len(cases)
    for word, tag in (("failures", "failure"), ("errors", "error"), ("skipped", "skipped")):
        assert int(suite.attrib[word]) == len([case for case in cases if case.find(tag) is not None])
    assert all(float(case.attrib["time"]) >= 0 for case in cases)
    assert next(child.tag for child in suite) == "properties"


def test_the_failed_step_says_what_was_wanted_and_what_is_in_the_way() -> None:
    root = parsed(failing())
    (failure,) = root.iter("failure")
    assert failure.attrib["message"] == "the scaling to be undone: 5 replicas"
    assert failure.text is not None
    assert "in the way: finalizer example.com/hold: 5 replicas" in failure.text
    assert "differs: dev: Deployment greeter spec.replicas: Git renders 1, alive is 5 replicas" in failure.text


def test_an_action_that_broke_is_an_error_and_no_failure() -> None:
    report = failing()
    assert report.failure is not None
    root = parsed(replace(report, failure=replace(report.failure, by_verdict=False)))
    assert len(list(root.iter("error"))) == 1
    assert list(root.iter("failure")) == []


def test_engine_sandbox_and_revision_are_properties_and_proofs_the_output_of_their_step() -> None:
    root = parsed(passing())
    properties = {each.attrib["name"]: each.attrib["value"] for each in root.iter("property")}
    assert properties["engine"] == "embedded"
    assert properties["sandbox"] == "box"
    assert len(properties["revision"]) == 40
    assert properties["version.kubectl"] == "1.2.3"
    out = root.find("testsuite/testcase/system-out")
    assert out is not None
    assert out.text is not None
    assert "proved 5 replicas" in out.text


@settings(max_examples=30)
@given(st.text(alphabet=st.characters(codec="utf-8")))
def test_whatever_a_program_said_the_file_can_be_read(said: str) -> None:
    parsed(failing(f"\0\x1b[31m]]>&<{said}"))


def test_a_report_is_three_files_for_this_user_alone_and_the_newest_are_kept(tmp_path: Path) -> None:
    folder = tmp_path / "reports"
    made = [written(passing(), folder) for _ in range(53)]
    assert [files.html.exists() for files in made] == [False] * 3 + [True] * 50
    assert written_reports(folder) == made[:2:-1]
    assert {path.suffix for path in made[-1]} == {".html", ".xml", ".json"}
    assert all(path.stat().st_mode & 0o777 == 0o600 for path in made[-1])
    assert json.loads(made[-1].data.read_text())["verdict"] == passing().verdict
