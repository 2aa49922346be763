"""The report of a telling: what it says of a story that held and of one that did not, and how a browser shows it."""

from __future__ import annotations

import asyncio
import json
import re
import xml.etree.ElementTree as ET
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from html import unescape
from pathlib import Path
from typing import Any

import pytest

from sandbox.cli.output import Output
from sandbox.cli.reports import tell_and_report
from sandbox.core.timeline import Timeline
from sandbox.engines import sandboxes
from sandbox.engines.access import Access
from sandbox.gitops.story import Sabotage, Story, story
from sandbox.gitops.tenant import Tenant
from sandbox.gitops.world import World
from sandbox.report.writing import ReportFiles
from scenarios import catalogue
from scenarios.core import first_deployment, scaled_by_hand
from tests.e2e.browser import PROGRAM, Page, opened
from tests.e2e.support import User, leaks

SABOTAGE = next(each for each in catalogue()["core"].sabotages if each.name == "self-heal-off-scale")
NARROW, WIDE = 390, 1100
DARK, BRIGHT = 60, 200
BROWSER_SECONDS = 60.0

pytestmark = pytest.mark.timeout(300)
in_a_browser = pytest.mark.skipif(PROGRAM is None, reason="Chromium is not installed: apt-get install chromium")

Show = Callable[[Callable[[Page], Awaitable[None]]], None]


@story(sabotages=(SABOTAGE,))
def drift(world: World) -> None:
    """A Deployment that was scaled by hand is scaled back."""
    first_deployment(world)
    scaled_by_hand(world, world.environment.head)


@dataclass(frozen=True)
class Told:
    """What was written of one telling."""

    files: ReportFiles

    @property
    def page(self) -> str:
        """The HTML file's text."""
        return self.files.html.read_text()

    @property
    def data(self) -> dict[str, Any]:
        """What the JSON file holds."""
        return dict(json.loads(self.files.data.read_text()))

    @property
    def suite(self) -> ET.Element:
        """The one suite of the JUnit file."""
        root = ET.parse(self.files.junit).getroot()  # noqa: S314  # this run wrote it
        return next(root.iter("testsuite"))


def told(access: Access, one: Story, tenant: str, sabotage: Sabotage | None = None) -> Told:
    result, report = tell_and_report(Output(as_json=True), access, one, Tenant(tenant), Timeline(), sabotage)
    assert report, "no report was written"
    assert result.passed == (sabotage is None), result.error
    html = Path(report)
    return Told(ReportFiles.of(html.parent, html.stem))


@pytest.fixture(scope="module")
def access(user: User) -> Access:
    del user
    return sandboxes.up("report", sandboxes.UpOptions(), Timeline())


@pytest.fixture(scope="module")
def held(access: Access) -> Told:
    return told(access, drift, "held")


@pytest.fixture(scope="module")
def broken(access: Access) -> Told:
    return told(access, drift, "broken", SABOTAGE)


@pytest.fixture
def seen(tmp_path: Path) -> Show:
    """Give what shows a page of a new browser to a coroutine."""

    def show(look: Callable[[Page], Awaitable[None]]) -> None:
        async def session() -> None:
            async with asyncio.timeout(BROWSER_SECONDS), opened(tmp_path / "profile") as page:
                await look(page)

        asyncio.run(session())

    return show


def test_the_page_says_what_was_not_met_and_what_was_seen_last_before_any_step(broken: Told) -> None:
    failure, page = broken.data["failure"], text_of(broken.page)
    assert failure["step"] == SABOTAGE.step
    steps = page.index(broken.data["steps"][0]["name"], page.index("Skip to the failure"))
    assert page.index(text_of(failure["wanted"])) < page.index(text_of(failure["last_seen"])) < steps


def test_the_page_names_the_field_that_differs_and_both_of_its_values(broken: Told) -> None:
    [difference] = broken.data["failure"]["differences"]
    assert (difference["environment"], difference["field"], difference["lives"]) == ("dev", "spec.replicas", "5")
    table = broken.page.partition("What Git renders and what lives</h3>")[2].partition("</table>")[0]
    for part in ("dev", "spec.replicas", difference["git"], "5"):
        assert f">{part}</td>" in table


def test_the_page_names_the_setting_that_stands_in_the_way(broken: Told) -> None:
    [blocker] = broken.data["failure"]["blockers"]
    assert (blocker["kind"], "selfHeal is false" in blocker["why"]) == ("setting", True)
    assert f"{blocker['kind']} {blocker['thing']} : {blocker['why']}" in text_of(broken.page)


def test_the_page_says_that_the_failure_was_wished_for(broken: Told, held: Told) -> None:
    assert f"sabotaged on purpose: {SABOTAGE.sentence}" in text_of(broken.page)
    assert "sabotaged on purpose" not in held.page


def test_a_story_that_held_has_no_failure_and_a_picture_for_each_step(held: Told) -> None:
    assert held.data["passed"]
    assert "Why it failed" not in held.page
    assert held.page.count("Causal timeline of") == 2 * len(held.data["steps"])


def test_the_scaling_is_told_as_the_cause_of_the_sync_that_undoes_it(held: Told) -> None:
    happenings = {each["key"]: each for step in held.data["steps"] for each in step["happenings"]}
    causes = [
        happenings[each["cause"]]["what"]
        for each in happenings.values()
        if each["lane"] == "Sync" and " begins" in each["what"] and each["cause"]
    ]
    assert any("spec.replicas" in cause or "OutOfSync" in cause for cause in causes), causes


def test_junit_has_a_case_for_each_step_and_the_failure_where_it_was(held: Told, broken: Told) -> None:
    for each in (held, broken):
        assert [case.get("name") for case in each.suite.iter("testcase")] == [s["name"] for s in each.data["steps"]]
    assert not list(held.suite.iter("failure"))
    [case] = [case for case in broken.suite.iter("testcase") if case.find("failure") is not None]
    failure = case.find("failure")
    assert failure is not None
    assert (case.get("name"), broken.suite.get("failures")) == (SABOTAGE.step, "1")
    assert failure.get("message") == broken.data["failure"]["wanted"]
    assert "spec.replicas" in (failure.text or "")


def test_no_file_holds_a_secret_and_nobody_else_can_read_it(access: Access, held: Told, broken: Told) -> None:
    files = [*held.files, *broken.files]
    assert not leaks(access.folder, {path.name: path.read_bytes() for path in files})
    assert {path.stat().st_mode & 0o777 for path in files} == {0o600}


@in_a_browser
def test_a_browser_that_opens_the_page_asks_for_nothing_else(held: Told, broken: Told, seen: Show) -> None:
    urls = [each.files.html.as_uri() for each in (held, broken)]

    async def look(page: Page) -> None:
        for url in urls:
            await page.visit(url)
        assert page.requested == urls
        assert page.complaints == []
        # The policy itself, and not only that there was nothing to ask for.
        await page.says("document.body.append(Object.assign(new Image(), {src: 'http://127.0.0.1:9/'}))")
        await page.visit(urls[0])
        assert any("Content Security Policy" in each for each in page.complaints), page.complaints

    seen(look)
    for each in (held, broken):
        links = re.findall(r"<[^>]*\s(?:src|href)\s*=\s*[\"']?([^\"'\s>]*)", each.page)
        assert links
        assert all(link.startswith("#") for link in links)


@in_a_browser
@pytest.mark.parametrize("width", [NARROW, WIDE])
def test_the_page_fits_the_screen_with_everything_unfolded(held: Told, broken: Told, width: int, seen: Show) -> None:
    async def look(page: Page) -> None:
        await page.look(width=width)
        for each in (held, broken):
            await page.visit(each.files.html.as_uri())
            await page.says("document.querySelectorAll('details').forEach(each => { each.open = true })")
            assert await page.says("document.documentElement.scrollWidth") <= width

    seen(look)


@in_a_browser
def test_the_page_is_dark_where_dark_is_preferred(broken: Told, seen: Show) -> None:
    async def brightness(page: Page, scheme: str) -> list[int]:
        await page.look(width=WIDE, scheme=scheme)
        await page.visit(broken.files.html.as_uri())
        style = "getComputedStyle(document.documentElement)"
        colours = await page.says(f"[{style}.backgroundColor, {style}.color]")
        return [sum(map(int, re.findall(r"\d+", colour)[:3])) // 3 for colour in colours]

    async def look(page: Page) -> None:
        ground, text = await brightness(page, "light")
        assert (ground > BRIGHT, text < DARK) == (True, True)
        ground, text = await brightness(page, "dark")
        assert (ground < DARK, text > BRIGHT) == (True, True)

    seen(look)


@in_a_browser
def test_the_failure_is_reached_by_keyboard_alone(broken: Told, seen: Show) -> None:
    async def look(page: Page) -> None:
        await page.look(width=WIDE)
        await page.visit(broken.files.html.as_uri())
        await page.press("Tab")
        assert await page.says("document.activeElement.textContent") == "Skip to the failure"
        await page.press("Enter")
        assert await page.says("document.activeElement.id") == "main"

    seen(look)


def text_of(page: str) -> str:
    """Give what a reader sees of a page's text, on one line."""
    return " ".join(unescape(re.sub(r"<[^>]*>", " ", re.sub(r"(?s)<style>.*?</style>", "", page))).split())
