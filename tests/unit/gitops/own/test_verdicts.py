from __future__ import annotations

from dataclasses import replace

from sandbox.gitops.own.findings import STAGES, ApplicationVerdict, Finding, Level, Stage
from sandbox.gitops.own.repository import Checked


def verdict(**stages: Stage) -> ApplicationVerdict:
    found = ApplicationVerdict("web", "apps/web at main", "web")
    for name in STAGES:
        setattr(found, name, stages.get(name, Stage.YES))
    return found


def checked(*verdicts: ApplicationVerdict, findings: tuple[Finding, ...] = ()) -> Checked:
    return Checked("repo", "a" * 40, "a" * 40, 0, (), (), list(verdicts), list(findings))


def test_an_application_holds_only_if_every_question_is_answered_well() -> None:
    assert verdict().held
    assert verdict(healthy=Stage.LIMITED).held
    assert not any(verdict(**{name: Stage.NO}).held for name in STAGES)
    assert not any(verdict(**{name: Stage.UNSEEN}).held for name in STAGES)


def test_an_error_lets_no_application_hold_and_a_warning_does() -> None:
    wrong, doubtful = verdict(), verdict()
    wrong.found(Level.ERROR, "Deployment web", "it is wrong")
    doubtful.found(Level.WARNING, "Deployment web", "it is doubtful")
    assert not wrong.held
    assert doubtful.held


def test_what_was_found_twice_is_said_once() -> None:
    found = verdict()
    for _ in range(2):
        found.found(Level.NOTE, "x", "y")
    assert len(found.findings) == 1


def test_an_application_that_could_not_be_checked_fails_nothing_and_is_no_success_either() -> None:
    unseen = verdict(**dict.fromkeys(STAGES, Stage.UNSEEN))
    assert not unseen.checked
    assert not unseen.held
    assert checked(verdict(), unseen).held


def test_a_check_that_could_look_at_no_application_shows_nothing() -> None:
    assert not checked(verdict(**dict.fromkeys(STAGES, Stage.UNSEEN))).held
    assert not checked().held


def test_an_error_about_the_repository_alone_lets_a_check_fail() -> None:
    assert not checked(verdict(), findings=(Finding(Level.ERROR, "", "link", "it leads out"),)).held


def test_a_check_ran_out_of_time_only_if_nothing_else_is_wrong() -> None:
    late = verdict(healthy=Stage.NO)
    late.timed_out = True
    assert checked(verdict(), late).timed_out
    assert not checked(verdict(), late, verdict(synced=Stage.NO)).timed_out
    assert not checked(late, findings=(Finding(Level.ERROR, "", "x", "y"),)).timed_out
    assert not replace(checked(verdict())).timed_out
