from __future__ import annotations

import base64
import json

from hypothesis import given
from hypothesis import strategies as st

from sandbox.servers.act_log import LogLine, Mask, StepResult, parse_line

SECRET = st.text(st.characters(categories=["L", "N"]), min_size=12)


def line(**fields: object) -> str:
    return json.dumps({"job": "ci/build", "level": "info", "msg": "", **fields}) + "\n"


def test_the_end_of_a_step_is_read_with_its_time() -> None:
    entry = line(
        stage="Main", step="Test", stepResult="failure", executionTime=4262452, msg="  ❌  Failure - Main Test"
    )

    assert parse_line(entry).step == StepResult("ci/build", "Test", "failed", 0.004262452)


def test_what_act_does_for_itself_is_no_step() -> None:
    assert parse_line(line(step="Set up job", stepResult="success")).step is None


def test_output_of_a_step_stands_apart_from_acts_own_words() -> None:
    assert parse_line(line(msg="hello\n", raw_output=True)).text == "[ci/build]   | hello"
    assert parse_line(line(msg="Run Main Test")).text == "[ci/build] Run Main Test"


def test_that_a_shell_has_ended_is_for_the_runner_alone_and_what_stands_before_it_is_for_readers() -> None:
    alone = parse_line(line(msg="[gitops-sandbox: shell 17 failed]\n", raw_output=True))
    behind = parse_line(line(msg="boom[gitops-sandbox: shell 17 failed]\n", raw_output=True))

    assert (alone.text, alone.shell) == (None, "17")
    assert (behind.text, behind.shell) == ("[ci/build]   | boom", "17")


def test_an_error_names_its_step() -> None:
    assert parse_line(line(level="error", step="Test", msg="exit status 3")).problem == "step 'Test': exit status 3"


@given(st.text())
def test_a_line_that_is_no_json_is_passed_on(text: str) -> None:
    assert isinstance(parse_line(text), LogLine)
    assert parse_line(f"Error: {text}").text == f"Error: {text}".rstrip("\n")


@given(
    st.dictionaries(
        st.sampled_from(["job", "msg", "step", "stage", "stepResult", "executionTime", "level"]),
        st.none() | st.integers() | st.text() | st.lists(st.text()),
    )
)
def test_a_field_of_another_type_breaks_nothing(fields: dict[str, object]) -> None:
    assert isinstance(parse_line(json.dumps(fields)), LogLine)


@given(SECRET, SECRET, st.text(), st.text())
def test_no_secret_is_left_in_a_text_plain_or_as_basic_authentication(
    user: str, password: str, before: str, after: str
) -> None:
    mask = Mask([user, password])
    basic = base64.b64encode(f"{user}:{password}".encode()).decode()
    masked = mask(f"{before} {password} {basic} {after}")

    assert f" {password} " not in masked
    assert basic not in masked
    assert "***" in masked


def test_what_is_too_short_to_be_a_secret_does_not_riddle_the_log() -> None:
    assert Mask(["ci", ""])("circuit") == "circuit"
