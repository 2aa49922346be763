from __future__ import annotations

import base64
import json
import urllib.parse
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sandbox.report.findings import scrubbed
from sandbox.report.html import as_html
from sandbox.report.junit import as_junit
from sandbox.report.scrubbing import HIDDEN, Scrubber
from tests.unit.report.samples import failing, passing

CANARY = 'canary/"+value=of-a secret'


@pytest.fixture
def state(tmp_path: Path) -> Path:
    (tmp_path / "secrets").mkdir()
    (tmp_path / "secrets" / "git-ci").write_text(f"{CANARY}\n")
    (tmp_path / "pki").mkdir()
    body = base64.b64encode(b"the body of a private key, long enough for a line").decode()
    (tmp_path / "pki" / "ca.key").write_text(f"-----BEGIN PRIVATE KEY-----\n{body}\n-----END PRIVATE KEY-----\n")
    return tmp_path


def guises() -> list[str]:
    account = base64.b64encode(f"ci:{CANARY}".encode()).decode()
    return [
        CANARY,
        json.dumps(CANARY),
        urllib.parse.quote(CANARY, safe=""),
        base64.b64encode(CANARY.encode()).decode(),
        f"Authorization: Basic {account}",
        f'{{"auth": "{account}"}}',
        f"http://ci:{urllib.parse.quote(CANARY, safe='')}@127.0.0.1/x.git",
    ]


@pytest.mark.parametrize("guise", guises())
def test_a_secret_is_hidden_in_every_guise_in_which_programs_write_it(state: Path, guise: str) -> None:
    said = Scrubber.of(state).scrub(f"before {guise} after")
    assert HIDDEN in said
    assert said.startswith("before ")
    assert said.endswith(" after")
    # Of base64 a few characters at the ends may be left: fewer than three bytes.
    middle = [part for part in (guise, CANARY) for part in (part[8:20],) if part]
    assert not [part for part in middle if part in said and part not in "Authorization: Basic"]


def test_a_canary_is_in_no_part_of_any_report(state: Path) -> None:
    body = (state / "pki" / "ca.key").read_text().splitlines()[1]
    for canary in (CANARY, body):
        for sample in (passing, failing):
            report = scrubbed(sample(f"it is {canary}"), Scrubber.of(state))
            for written in (as_html(report), as_junit(report), json.dumps(report.to_json(), ensure_ascii=False)):
                assert HIDDEN in written
                for part in (canary, canary[4:18]):
                    assert part not in written


def test_private_keys_and_tokens_that_stand_in_no_file_are_hidden_too() -> None:
    key = "-----BEGIN EC PRIVATE KEY-----\nabc\n-----END EC PRIVATE KEY-----"
    text = f"{key}\nBearer abcdefghij.klm client-key-data: QUJDREVGRw=="
    assert Scrubber({}).scrub(text) == f"{HIDDEN}\nBearer {HIDDEN} client-key-data: {HIDDEN}"


@given(st.text(alphabet=st.characters(codec="utf-8"), min_size=6), st.text(), st.text())
def test_no_value_of_a_secret_outlives_scrubbing(secret: str, before: str, after: str) -> None:
    said = Scrubber({"one": secret}).scrub(f"{before}{secret}{after}")
    assert secret not in said.replace(HIDDEN, "\0")


@given(st.text(alphabet="abcdefghij 0123456789-/.\n"))
def test_what_holds_no_secret_stays_as_it_is(text: str) -> None:
    assert Scrubber({"one": "Zx-Zx-Zx-Zx"}).scrub(text) == text


def test_secrets_that_cannot_be_read_let_nothing_be_shown(tmp_path: Path) -> None:
    (tmp_path / "secrets").mkdir()
    (tmp_path / "secrets" / "loop").symlink_to("loop")
    (tmp_path / "secrets" / "fine").write_text("value-of-it")
    assert Scrubber.of(tmp_path).scrub("value-of-it") == HIDDEN
