from __future__ import annotations

import io
import os
from pathlib import Path

import pytest
from rich.console import Console

from sandbox.core.timeline import Event, Timeline
from sandbox.report import Narrator, open_console
from sandbox.report.lines import UNICODE, TerminalLines, narrated

FAILURE = (
    "the revert to live: not within 15 s\n"
    "  why:  last seen: \x1b[31mDeployment greeter\x1b[0m has 5 replicas and not 2, [red] as in Git\n"
    "  next: logs: /root/.local/state/gitops-sandbox/sandboxes/default/logs"
)
EVENTS = [
    Event(0.0, "seed", "starting", "made once for each set of versions"),
    Event(4.0, "seed", "ready"),
    Event(4.0, "etcd", "starting"),
    Event(4.1, "argocd-server", "starting"),
    Event(5.2, "etcd", "ready", "/readyz says 200"),
    Event(8.1, "argocd-server", "ready"),
    Event(9.0, "release", "starting", "A new version goes live by a commit"),
    Event(9.4, "release", "proved", "0123abcd to live in dev: all is as committed", {"seconds": 0.31}),
    Event(11.6, "release", "passed", "", {"revision": "0123abcd"}),
    Event(11.6, "crash-loop", "skipped", "this engine has no containers"),
    Event(12.0, "rollback", "starting", "git revert brings the good release back"),
    Event(12.4, "rollback", "proved", "the revert to be pushed: 4567cdef", {"seconds": 0.2}),
    Event(27.0, "rollback", "failed", FAILURE),
    Event(27.1, "rollback", "something-new", "that this version knows nothing of"),
]


def _told(events: list[Event], width: int = 100, *, live: bool = False, **options: bool) -> str:
    out = io.StringIO()
    with Narrator(Console(file=out, width=width, **options), live=live) as narrator:  # type: ignore[arg-type]
        for event in events:
            narrator.tell(event)
    return out.getvalue()


def test_a_log_says_what_starts_what_is_proved_and_how_it_ended() -> None:
    assert _told(EVENTS) == (
        "seed: made once for each set of versions\n"
        "✓ seed ready    4.0 s\n"
        "✓ etcd                                1.2 s\n"
        "✓ argocd-server                       4.0 s\n"
        "release: A new version goes live by a commit\n"
        "    proved 0123abcd to live in dev: all is as committed (0.3 s)\n"
        "✓ release passed    2.6 s\n"
        "– crash-loop skipped: this engine has no containers\n"  # noqa: RUF001  # an en dash is meant
        "rollback: git revert brings the good release back\n"
        "    proved the revert to be pushed: 4567cdef (0.2 s)\n"
        "✗ rollback failed   15.0 s\n"
        "    the revert to live: not within 15 s\n"
        "      why:  last seen: Deployment greeter has 5 replicas and not 2, [red] as in Git\n"
        "      next: logs: /root/.local/state/gitops-sandbox/sandboxes/default/logs\n"
    )


def test_a_terminal_keeps_one_line_of_each_thing_and_the_whole_reason_of_a_failure() -> None:
    lines = [line.plain for line in narrated(EVENTS, 80)]
    assert lines == [
        "✓ seed: made once for each set of versions" + " " * 33 + "4.0 s",
        "✓ etcd                                1.2 s",
        "✓ argocd-server                       4.0 s",
        "✓ A new version goes live by a commit" + " " * 38 + "2.6 s",
        "– crash-loop skipped: this engine has no containers",  # noqa: RUF001  # an en dash is meant
        "✗ git revert brings the good release back" + " " * 33 + "15.0 s",
        "    before that, proved: the revert to be pushed: 4567cdef",
        "    the revert to live: not within 15 s",
        "      why:  last seen: Deployment greeter has 5 replicas and not 2, [red] as in\n        Git",
        "      next: logs: /root/.local/state/gitops-sandbox/sandboxes/default/logs",
    ]


def test_a_narrow_terminal_breaks_between_words_and_leaves_paths_whole() -> None:
    sentence = "A manifest that the API server refuses is seen as refused, and changes nothing that lives"
    events = [Event(0, "refused", "starting", sentence), Event(1, "refused", "failed", FAILURE)]
    lines = [part for line in narrated(events, 60) for part in line.plain.splitlines()]
    path = "/root/.local/state/gitops-sandbox/sandboxes/default/logs"
    assert all(len(line) <= 60 or path in line for line in lines)
    assert lines[0] == "✗ A manifest that the API server refuses is seen as"
    assert lines[1] == "  refused, and changes nothing that lives" + " " * 14 + "1.0 s"


def test_only_the_first_component_to_fail_is_called_failed() -> None:
    events = [
        Event(0.0, "etcd", "starting"),
        Event(0.0, "redis", "starting"),
        Event(1.0, "etcd", "failed"),
        Event(1.0, "kube-apiserver", "failed"),
        Event(1.1, "redis", "failed"),
    ]
    assert [line.plain for line in narrated(events, 80)] == [
        "✗ etcd                                1.0 s",
        "– redis was still starting    1.1 s",  # noqa: RUF001  # an en dash is meant
    ]


def test_on_a_terminal_the_bottom_line_names_what_is_waited_for() -> None:
    out = io.StringIO()
    console = Console(file=out, width=60, force_terminal=True)
    with Narrator(console, live=True, expected=18) as narrator:
        for event in EVENTS[2:5]:
            narrator.tell(event)
        assert "1 of 18 ready · waiting for argocd-server" in narrator._bottom_line().plain
        for event in EVENTS[5:8]:
            narrator.tell(event)
        line = narrator._bottom_line().plain
    assert "A new version goes live by a commit" in line
    assert len(line) < 60
    assert out.getvalue().count("\x1b[?25h") == 1  # the cursor is there again


def test_a_log_that_was_asked_to_be_live_has_no_escape_sequences() -> None:
    assert "\x1b" not in _told(EVENTS, live=True)


def test_without_colours_none_are_sent(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NO_COLOR", "1")
    assert "\x1b[31m" not in _told(EVENTS, force_terminal=True)
    monkeypatch.delenv("NO_COLOR")
    assert "\x1b[31m" in _told(EVENTS, force_terminal=True)


def test_a_stream_without_unicode_gets_plain_signs(tmp_path: Path) -> None:
    with (tmp_path / "log").open("w", encoding="ascii") as out:
        with Narrator(open_console(out), live=False) as narrator:
            narrator.tell(Event(0, "etcd", "starting"))
            narrator.tell(Event(1, "etcd", "ready"))
        out.flush()
    assert (tmp_path / "log").read_text() == "ok etcd                                1.0 s\n"


def test_a_reader_who_leaves_does_not_end_the_run() -> None:
    reading, writing = os.pipe()
    os.close(reading)
    timeline = Timeline()
    out = os.fdopen(writing, "w")
    with Narrator(Console(file=out), live=False) as narrator:
        narrator.follow(timeline)
        timeline.record("etcd", "starting")
        timeline.record("etcd", "ready")
        timeline.record("redis", "starting")
        timeline.record("redis", "ready")
    assert len(timeline.events) == 4
    with pytest.raises(BrokenPipeError):
        out.close()


def test_a_closed_stream_does_not_end_the_run() -> None:
    out = io.StringIO()
    console = Console(file=out)
    with Narrator(console, live=False) as narrator:
        out.close()
        for event in EVENTS:
            narrator.tell(event)


def test_a_step_that_died_unseen_and_one_that_never_started_are_told_by_name() -> None:
    lines = TerminalLines(80, UNICODE)
    assert lines.of(Event(0, "etcd", "died", "killed by SIGKILL"))[0].plain == "✗ etcd died: killed by SIGKILL"
    assert lines.of(Event(0, "release", "passed"))[0].plain.startswith("✓ release")
