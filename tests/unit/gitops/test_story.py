from __future__ import annotations

import contextlib
import datetime as dt
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self, cast

import pytest

from sandbox.core.conditions import Observation, met, pending
from sandbox.core.errors import ConditionFailedError, UnavailableError, UsageError
from sandbox.core.timeline import Timeline
from sandbox.gitops import telling
from sandbox.gitops.moment import Moment
from sandbox.gitops.predicates import Predicate, every
from sandbox.gitops.steps import Conduct, StepResult, StoryFailedError, TellingCancelledError
from sandbox.gitops.story import (
    Sabotage,
    StoryResult,
    consistently,
    eventually,
    evidence,
    expect,
    given,
    step,
    story,
    survived,
    tell,
    then,
    when,
)
from sandbox.gitops.telling import Telling, acting, last_action
from sandbox.gitops.world import World


@dataclass
class Way:
    """What a telling asks of the way into a sandbox."""

    engine: str = "embedded"
    capabilities: frozenset[str] = frozenset({"cluster"})
    folder: Path = Path("/nowhere")


@dataclass
class SmallWorld:
    """A world without a cluster: what happens in it stands in a list."""

    access: Way = field(default_factory=Way)
    changed: threading.Event = field(default_factory=threading.Event)
    happened: list[str] = field(default_factory=list)
    within: float = 0.02

    def __enter__(self) -> Self:
        """Begin."""
        self.happened.append("entered")
        return self

    def __exit__(self, *_: object) -> None:
        """End."""
        self.happened.append("left")


@pytest.fixture
def world(monkeypatch: pytest.MonkeyPatch) -> SmallWorld:
    monkeypatch.setattr(telling, "UNDER_SABOTAGE", 0.02)
    monkeypatch.setattr(telling, "LASTING", 0.0)
    return SmallWorld()


def doing(name: str, look: Callable[[], Observation] = met, act: Callable[[], None] = lambda: None) -> Any:
    """Make a step that says that it was taken, acts, and demands."""

    def taken(world: World) -> str:
        cast(SmallWorld, world).happened.append(name)
        act()
        eventually(Predicate(f"{name} to hold", look, {"proof": name}))
        return name

    taken.__name__ = name
    return step(f"It does {name}.")(taken)


def told(
    world: SmallWorld,
    *steps: Any,
    sabotage: Sabotage | None = None,
    timeline: Timeline | None = None,
    conduct: Conduct | None = None,
) -> StoryResult:
    @story(sabotages=())
    def some_story(world: World) -> None:
        """Tell of steps.

        And more.
        """
        for take in steps:
            take(world)

    assert (some_story.name, some_story.summary) == ("some-story", "Tell of steps.")
    return tell(some_story, cast(World, world), timeline or Timeline(), sabotage, conduct)


def wrecking(happened: list[str], before: str) -> Sabotage:
    @contextlib.contextmanager
    def wreck(world: World) -> Iterator[None]:
        del world
        happened.append("wrecked")
        try:
            yield
        finally:
            happened.append("mended")

    return Sabotage("wreck", before, "It is wrecked.", wreck)


def test_a_story_whose_steps_all_hold_passes_with_their_evidence(world: SmallWorld) -> None:
    timeline = Timeline()
    result = told(world, doing("one"), doing("two_more"), timeline=timeline)
    assert result.passed
    assert [(one.name, one.status, one.evidence) for one in result.steps] == [
        ("one", "passed", {"proof": "one"}),
        ("two-more", "passed", {"proof": "two_more"}),
    ]
    assert world.happened == ["entered", "one", "two_more", "left"]
    assert [event.what for event in timeline.events] == ["starting", "proved", "passed"] * 2
    assert result.to_json()["skipped"] == []


def test_a_story_ends_at_the_first_step_that_does_not_hold(world: SmallWorld) -> None:
    result = told(world, doing("one", lambda: pending("not at all")), doing("two"))
    assert not result.passed
    assert result.error is not None
    assert (result.error.step, result.error.by_verdict, result.error.exit_code) == ("one", True, 1)
    assert "one to hold" in result.error.what
    assert [one.status for one in result.steps] == ["failed"]
    assert world.happened == ["entered", "one", "left"]


def test_what_is_true_for_a_moment_only_does_not_hold(world: SmallWorld) -> None:
    looks = iter([met("there")])
    result = told(world, doing("one", lambda: next(looks, pending("gone again"))))
    assert result.error is not None
    assert "did not last" in result.error.what


def test_an_action_that_breaks_is_no_verdict(world: SmallWorld) -> None:
    def act() -> None:
        raise UnavailableError("git is missing", why="somebody removed it")

    result = told(world, doing("one", act=act))
    assert result.error is not None
    assert not result.error.by_verdict
    assert result.error.why == "somebody removed it"
    # A verdict that held before does not make a later break one.
    result = told(world, doing("one"), doing("two", act=act))
    assert result.error is not None
    assert (result.error.step, result.error.by_verdict) == ("two", False)


def test_a_step_that_the_engine_can_not_show_is_skipped_and_counted(world: SmallWorld) -> None:
    @step("It needs containers.", needs=frozenset({"cluster", "containers"}))
    def needy(world: World) -> None:
        pytest.fail(f"taken in {world}")

    result = told(world, doing("one"), needy, doing("two"))
    assert result.passed
    assert [one.status for one in result.steps] == ["passed", "skipped", "passed"]
    assert result.to_json()["skipped"] == [{"name": "needy", "reason": "this engine has no containers"}]


def test_a_sabotage_wrecks_just_before_its_step_and_is_mended_at_the_end(world: SmallWorld) -> None:
    sabotage = wrecking(world.happened, before="two")
    result = told(world, doing("one"), doing("two", lambda: pending("wrecked")), doing("three"), sabotage=sabotage)
    assert world.happened == ["entered", "one", "wrecked", "two", "left", "mended"]
    assert survived(result, sabotage) is None


def test_a_story_that_does_not_notice_its_sabotage_is_found_out(world: SmallWorld) -> None:
    sabotage = wrecking(world.happened, before="one")
    assert survived(told(world, doing("one"), sabotage=sabotage), sabotage) == "the story passed all the same"
    late = told(world, doing("one"), doing("two", lambda: pending("late")), sabotage=sabotage)
    assert (survived(late, sabotage) or "").startswith("it failed at two instead")

    def act() -> None:
        raise ConditionFailedError("no way")

    broken = told(world, doing("one", act=act), sabotage=sabotage)
    assert (survived(broken, sabotage) or "").startswith("an action broke before any verdict was reached")


@pytest.mark.parametrize("error", [KeyboardInterrupt, ZeroDivisionError])
def test_an_interrupt_ends_the_story_and_mends_what_was_wrecked(world: SmallWorld, error: type[BaseException]) -> None:
    timeline = Timeline()

    def act() -> None:
        raise error

    with pytest.raises(error):
        told(world, doing("one", act=act), sabotage=wrecking(world.happened, before="one"), timeline=timeline)
    assert world.happened == ["entered", "wrecked", "one", "left", "mended"]
    assert timeline.events[-1].what == "failed"


def test_blocks_are_steps_with_their_sentences(world: SmallWorld) -> None:
    timeline = Timeline()

    def tells(world: World) -> None:
        with given("a beginning"):
            cast(SmallWorld, world).happened.append("begun")
        with when("Something is done!"):
            evidence(done="something")
        with then("it shows"):
            expect(Predicate("it to show", met))

    result = told(world, tells, timeline=timeline)
    assert [(one.name, one.sentence, one.evidence) for one in result.steps] == [
        ("a-beginning", "given a beginning", {}),
        ("something-is-done", "when Something is done!", {"done": "something"}),
        ("it-shows", "then it shows", {}),
    ]


def test_a_block_within_a_step_is_a_part_of_it(world: SmallWorld) -> None:
    @step("It does two things.")
    def two(world: World) -> None:
        del world
        with when("the first is done"):
            evidence(first=1)
        with then("the second shows"):
            expect(Predicate("it to show", met))

    result = told(world, two)
    assert [(one.name, one.evidence) for one in result.steps] == [("two", {"first": 1})]


def test_what_must_be_so_consistently_fails_as_soon_as_it_is_not(world: SmallWorld) -> None:
    looks = iter([met("there"), met("there")])

    def tells(world: World) -> None:
        del world
        with then("it stays"):
            consistently(Predicate("it to stay", lambda: next(looks, pending("gone"))), seconds=5)

    result = told(world, tells)
    assert result.error is not None
    assert (result.error.step, result.error.by_verdict) == ("it-stays", True)
    assert "it to stay: did not last for 5 s" in result.error.what


def test_what_is_final_is_looked_at_once(world: SmallWorld) -> None:
    looks = iter([met("passed")])

    def tells(world: World) -> None:
        del world
        with then("it passed"):
            eventually(Predicate("it to pass", lambda: next(looks), final=True))

    assert told(world, tells).passed


@pytest.mark.parametrize("word", [eventually, expect, consistently])
def test_a_verdict_outside_of_any_step_says_where_it_belongs(word: Callable[[Predicate], Observation]) -> None:
    with pytest.raises(UsageError, match="no story is being told here"):
        word(Predicate("anything", met))


def test_a_verdict_between_two_steps_says_where_it_belongs(world: SmallWorld) -> None:
    def tells(world: World) -> None:
        del world
        expect(Predicate("anything", met))

    with pytest.raises(UsageError, match=r"could be a verdict of"):
        told(world, tells)


def test_several_things_at_once_are_so_when_each_is(world: SmallWorld) -> None:
    del world
    one, two = Predicate("one", lambda: met("1"), {"a": 1}), Predicate("two", lambda: met("2"), {"b": 2})
    both = every([one, two])
    assert (both.sentence, both(), both.evidence) == ("one and two", met("1; 2"), {"a": 1, "b": 2})
    assert every([one, Predicate("three", lambda: pending("not yet"))])() == pending("three: not yet")


def test_the_moment_of_the_last_action_is_that_of_the_step_until_something_is_done(
    world: SmallWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    moments = iter(range(100))
    monkeypatch.setattr(Moment, "now", lambda: Moment(dt.datetime.fromtimestamp(next(moments), dt.UTC)))
    seen: list[Moment] = []

    def tells(world: World) -> None:
        del world
        with when("something is done"):
            seen.append(last_action())
            acting()
            seen.append(last_action())
            seen.append(last_action())

    told(world, tells)
    assert seen[0] != seen[1] == seen[2]


def test_a_story_is_asked_before_each_step_and_when_one_has_failed(world: SmallWorld) -> None:
    conduct = Conduct(
        before=lambda step: world.happened.append(f"before {step.name}"),
        failed=lambda step: world.happened.append(f"{step.name} {step.status}"),
    )
    sabotage = wrecking(world.happened, before="two")
    steps = (doing("one"), doing("two", lambda: pending("wrecked")))
    told(world, *steps, sabotage=sabotage, conduct=conduct)
    # The failure is told before anything is mended or left.
    assert world.happened == [
        *("entered", "before one", "one", "before two", "wrecked", "two"),
        *("two failed", "left", "mended"),
    ]


def test_a_story_that_is_cancelled_ends_within_its_wait_and_mends_what_was_wrecked(world: SmallWorld) -> None:
    conduct = Conduct()

    def look() -> Observation:
        conduct.cancelled.set()
        return pending("not yet")

    with pytest.raises(TellingCancelledError):
        told(world, doing("one", look), sabotage=wrecking(world.happened, before="one"), conduct=conduct)
    assert world.happened == ["entered", "wrecked", "one", "left", "mended"]
    with pytest.raises(TellingCancelledError):
        told(world, doing("two"), conduct=conduct)


def test_a_whole_telling_may_be_one_step_with_others_in_it() -> None:
    timeline = Timeline()
    telling = Telling(timeline, {}, contextlib.ExitStack())
    whole = StepResult("test", "a test")
    with telling.told(), telling.whole(whole):
        expect(Predicate("it to be so", met, {"first": 1}))
        with when("something is done"):
            expect(Predicate("that to be so", met, {"second": 2}))
        evidence(third=3)
    assert [(step.name, step.status, step.evidence) for step in telling.steps] == [
        ("test", "passed", {"first": 1, "third": 3}),
        ("something-is-done", "passed", {"second": 2}),
    ]


def test_what_fails_in_a_step_fails_the_whole_and_is_told_once() -> None:
    timeline = Timeline()
    telling = Telling(timeline, {}, contextlib.ExitStack())
    whole = StepResult("test", "a test")
    with (
        pytest.raises(StoryFailedError, match="that-shows: it to show"),
        telling.told(),
        telling.whole(whole),
        then("that shows"),
    ):
        expect(Predicate("it to show", lambda: pending("nothing")))
    assert whole.status == "failed"
    assert [event.subject for event in timeline.events if event.what == "failed"] == ["that-shows"]


def test_a_story_may_be_told_as_a_part_of_another(world: SmallWorld) -> None:
    @story
    def inner(world: World) -> None:
        """Does one thing."""
        doing("one")(world)

    result = told(world, inner, doing("two"))
    assert [step.name for step in result.steps] == ["one", "two"]
