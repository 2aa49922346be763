from __future__ import annotations

import os
import pty
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sandbox.servers.step_shells import answer, lay_out_shells, split_ending

PATH = "/usr/bin:/bin"


@pytest.fixture
def shells(tmp_path: Path) -> Path:
    folder = tmp_path / "shells"
    folder.mkdir()
    lay_out_shells(folder, PATH)
    return folder


@contextmanager
def started(
    shells: Path, command: str, environment: Mapping[str, str] | None = None
) -> Iterator[tuple[subprocess.Popen[bytes], int]]:
    """Run a command as act does, in a terminal of its own, and give the other end of that."""
    ours, theirs = pty.openpty()
    process = subprocess.Popen(
        [shells / "bash", "-e", "-c", command],
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
        env={"PATH": f"{shells}:{PATH}", **(environment or {})},
    )
    os.close(theirs)
    try:
        yield process, ours
    finally:
        process.kill()
        process.wait()
        os.close(ours)


def line(terminal: int) -> str:
    said = b""
    while not said.endswith(b"\n"):
        said += os.read(terminal, 1)
    return said.decode().rstrip("\r\n")


def test_a_shell_that_failed_stays_until_its_ending_was_seen(shells: Path) -> None:
    with started(shells, "echo boom; exit 3") as (process, terminal):
        assert line(terminal) == "boom"
        rest, shell = split_ending(line(terminal))
        assert (rest, shell) == ("", str(process.pid))
        # Whoever it waits for, it is not there yet; it would have ended long ago.
        with pytest.raises(subprocess.TimeoutExpired):
            process.wait(0.3)
        answer(shells, shell)
        assert process.wait(3) == 3


def test_a_shell_ends_with_its_failure_when_nobody_answers(shells: Path) -> None:
    with started(shells, "exit 4") as (process, _):
        assert process.wait(30) == 4


def test_a_shell_that_did_not_fail_says_nothing_and_waits_for_nobody(shells: Path) -> None:
    with started(shells, "echo one") as (process, terminal):
        assert line(terminal) == "one"
        assert process.wait(3) == 0
        with pytest.raises(OSError, match="Input/output error"):
            os.read(terminal, 1)


@pytest.mark.parametrize("place", ["{own}:{rest}", "{rest}:{own}", "/a:{own}:{rest}", "{rest}"])
def test_what_a_step_starts_finds_the_usual_programs_in_the_usual_places(shells: Path, place: str) -> None:
    path = place.format(own=shells, rest=PATH)
    with started(shells, 'echo "$PATH"; sh -c "exit 1" || type -P sh', {"PATH": path}) as (process, terminal):
        assert line(terminal) == path.replace(f":{shells}", "").replace(f"{shells}:", "")
        assert line(terminal) == "/usr/bin/sh"
        assert process.wait(3) == 0


def test_a_shell_hands_on_what_no_shell_could_have_named(shells: Path) -> None:
    with started(shells, "env -0 | tr '\\0' '\\n' | grep '^my'", {"my.name-": "x y"}) as (_, terminal):
        assert line(terminal) == "my.name-=x y"


def test_a_shell_that_is_not_on_the_host_is_not_found_among_these_either(shells: Path) -> None:
    assert (shells / "sh").exists()
    assert not (shells / "pwsh").exists()


def test_an_ending_that_a_step_made_up_harms_nothing(tmp_path: Path) -> None:
    other = tmp_path / "other"
    other.write_text("kept")
    os.mkfifo(tmp_path / "17")
    (tmp_path / "18").symlink_to(other)
    for shell in ("16", "17", "18"):
        answer(tmp_path, shell)
    assert other.read_text() == "kept"


@given(st.text())
def test_a_line_without_an_ending_is_as_it_was(text: str) -> None:
    assert split_ending(text) == (text, "")


@given(st.text(), st.integers(min_value=1, max_value=2**22))
def test_an_ending_is_taken_from_the_line_that_it_ends(text: str, process: int) -> None:
    assert split_ending(f"{text}[gitops-sandbox: shell {process} failed]") == (text, str(process))
