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


@pytest.mark.parametrize("words", [["--help"], ["scenarios"], ["scenarios", "--json"]], ids=" ".join)
def test_a_reader_that_has_seen_enough_ends_the_program_without_a_traceback(words: list[str]) -> None:
    command = [sys.executable, "-m", "sandbox.cli", *words]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as program:
        assert program.stdout is not None
        program.stdout.close()
        _, said = program.communicate(timeout=60)
    assert (program.returncode, said) == (141, b"")


def test_a_pipe_to_somebody_else_that_breaks_is_not_taken_for_a_reader_that_has_seen_enough(
    capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object) -> None:
        raise BrokenPipeError

    monkeypatch.setattr("sandbox.cli.program._Program._run", broken)
    monkeypatch.setattr(sys, "argv", ["gitops-sandbox", "--help"])
    with pytest.raises(BrokenPipeError):
        main()
    assert capfd.readouterr().out == ""
