"""Help for every verb, wherever the call for it stands."""

from __future__ import annotations

import subprocess
import sys

import pytest

from sandbox.cli.program import main, product


def said(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, *words: str) -> str:
    monkeypatch.setattr(sys, "argv", ["gitops-sandbox", *words])
    with pytest.raises(SystemExit) as ended:
        main()
    assert not ended.value.code
    return capsys.readouterr().out


@pytest.mark.parametrize("verb", product().task_names)
def test_a_verb_tells_its_help_whether_that_is_asked_before_it_or_behind(
    verb: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    before = said(capsys, monkeypatch, "--help", verb)
    assert "Example" in before
    assert said(capsys, monkeypatch, verb, "--help") == before
    assert said(capsys, monkeypatch, verb, "-h") == before


def test_a_reader_that_has_seen_enough_ends_the_program_without_a_traceback() -> None:
    command = [sys.executable, "-m", "sandbox.cli", "--help"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as program:
        assert program.stdout is not None
        program.stdout.close()
        _, said = program.communicate(timeout=60)
    assert (program.returncode, said) == (141, b"")
