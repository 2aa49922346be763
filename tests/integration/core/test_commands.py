"""Programs run to their end, well or badly."""

from __future__ import annotations

import sys
import time
from pathlib import Path

import pytest

from sandbox.core.commands import CommandError, run
from sandbox.core.errors import DeadlineError, UnavailableError


def test_what_a_program_wrote_is_given(tmp_path: Path) -> None:
    assert run(["pwd"], timeout=10, cwd=tmp_path) == f"{tmp_path}\n"
    assert run(["cat"], timeout=10, stdin="wörds") == "wörds"
    assert run(["cat"], timeout=10) == ""
    assert run([sys.executable, "-c", "import os; print(os.environ.get('A'))"], timeout=10, env={"A": "1"}) == "1\n"


def test_a_program_that_fails_is_told_with_its_words_and_a_line_to_paste() -> None:
    with pytest.raises(CommandError) as caught:
        run(["sh", "-c", "echo out; echo err >&2; exit 3"], timeout=10)
    assert caught.value.what == "`sh -c 'echo out; echo err >&2; exit 3'` ended with exit code 3"
    assert caught.value.why == "err\nout"
    assert (caught.value.returncode, caught.value.exit_code) == (3, 3)
    with pytest.raises(CommandError) as caught:
        run(["false"], timeout=10)
    assert caught.value.why == "it said nothing"


def test_a_program_that_takes_too_long_is_ended() -> None:
    began = time.monotonic()
    with pytest.raises(DeadlineError, match=r"`sleep 600` did not end within 0\.1 s"):
        run(["sleep", "600"], timeout=0.1)
    assert time.monotonic() - began < 5


def test_a_program_that_is_not_there_is_told(tmp_path: Path) -> None:
    with pytest.raises(UnavailableError, match="can't run no-such-program") as caught:
        run(["no-such-program"], timeout=10)
    assert caught.value.why == "No such file or directory"
    (tmp_path / "data").write_text("")
    with pytest.raises(UnavailableError, match="can't run"):
        run([tmp_path / "data"], timeout=10)


def test_output_that_is_no_text_is_given_as_far_as_it_can_be_read() -> None:
    assert run([sys.executable, "-c", r"import sys; sys.stdout.buffer.write(b'a\xffb')"], timeout=10) == "a\ufffdb"
