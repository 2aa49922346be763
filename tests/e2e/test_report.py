"""The report of a real telling, in a real browser: read, narrow, dark, by keyboard, on paper, and alone."""

from __future__ import annotations

import asyncio
import datetime as dt
import itertools
import json
import re
import xml.etree.ElementTree as ET
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from sandbox.cli.output import Output
from sandbox.cli.reports import write_kill_table
from sandbox.core.timeline import Timeline
from sandbox.engines import sandboxes
from sandbox.engines.access import Access
from sandbox.gitops.reporting import tell_and_report
from sandbox.gitops.story import Sabotage, Story, story
from sandbox.gitops.tenant import Tenant
from sandbox.gitops.world import World
from sandbox.report.findings import KilledSabotage
from sandbox.report.scrubbing import Scrubber
from sandbox.report.writing import ReportFiles
from scenarios import catalogue
from scenarios.core import first_deployment, release, scaled_by_hand
from tests.e2e.browser import PROGRAM, Page, opened
from tests.e2e.support import User, leaks
from tests.unit.report.samples import PageReader

SABOTAGE = next(each for each in catalogue()["core"].sabotages if each.name == "self-heal-off-scale")
NAME = "report"
NARROW, WIDE = 390, 1280
READABLE = 4.5
"""The least contrast of WCAG 2.2, level AA."""
BROWSER_SECONDS = 60.0

pytestmark = pytest.mark.timeout(300)
in_a_browser = pytest.mark.skipif(PROGRAM is None, reason="Chromium is not installed: apt-get install chromium")

Show = Callable[[Callable[[Page], Awaitable[None]]], None]


@story(sabotages=(SABOTAGE,))
def drift(world: World) -> None:
    """A Deployment that was scaled by hand is scaled back."""
    first_deployment(world)
    release(world)
    scaled_by_hand(world, world.environment.head)


@dataclass(frozen=True)
class Told:
    """What was written of one telling."""

    files: ReportFiles

    @property
    def text(self) -> str:
        """What a reader sees of the HTML file, on one line."""
        reader = PageReader(self.files.html.read_text())
        assert reader.problems == []
        return reader.text

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
    result, report = tell_and_report(World(access, Tenant(tenant)), one, Timeline(), print, sabotage)
    assert report, "no report was written"
    assert result.passed == (sabotage is None), result.error
    html = Path(report)
    return Told(ReportFiles.of(html.parent, html.stem))


@pytest.fixture(scope="module")
def access(user: User) -> Access:
    del user
    return sandboxes.up(NAME, sandboxes.UpOptions(), Timeline())


@pytest.fixture(scope="module")
def held(access: Access) -> Told:
    return told(access, drift, "held")


@pytest.fixture(scope="module")
def broken(access: Access) -> Told:
    return told(access, drift, "broken", SABOTAGE)


@pytest.fixture(scope="module")
def kills(access: Access, held: Told, broken: Told) -> Told:
    del held
    row = KilledSabotage(SABOTAGE.name, SABOTAGE.step, SABOTAGE.sentence, True, report=broken.files.html.name)  # noqa: FBT003
    path = Path(write_kill_table(Output(as_json=True), access, drift, dt.datetime.now(dt.UTC), [row]))
    return Told(ReportFiles.of(path.parent, path.stem))


@pytest.fixture(scope="module")
def pages(held: Told, broken: Told, kills: Told) -> list[str]:
    return [each.files.html.as_uri() for each in (held, broken, kills)]


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
    failure, text = broken.data["failure"], broken.text
    assert failure["step"] == SABOTAGE.step
    places = [
        text.index(f"The condition that was not met (step {SABOTAGE.step}) {failure['wanted']}"),
        text.index(f"The last thing seen {failure['last_seen']}"),
        text.index("What happened in this step"),
        text.index(broken.data["steps"][0]["sentence"]),
    ]
    assert places == sorted(places)


def test_the_page_names_what_differs_and_what_is_in_the_way(broken: Told) -> None:
    for part in (
        f"Did not hold: at step {SABOTAGE.step}",
        "spec.syncPolicy.automated.selfHeal is false, Git says true",
        "dev Deployment greeter spec.replicas 1 5",
        f"This telling was sabotaged on purpose: {SABOTAGE.sentence}",
        "Pods are played by KWOK",
    ):
        assert part in broken.text


def test_a_story_that_held_has_no_failure_and_a_picture_for_each_step(held: Told) -> None:
    assert held.data["passed"]
    assert "Why it failed" not in held.text
    assert "sabotaged on purpose" not in held.text
    for step in held.data["steps"]:
        assert f"Causal timeline of {step['sentence']}" in held.text


def test_the_timeline_leads_from_the_commit_to_the_verdict_by_names(held: Told) -> None:
    step = next(step for step in held.data["steps"] if step["name"] == "release")
    happenings = {each["key"]: each for each in step["happenings"]}
    places = {key: place for place, key in enumerate(happenings)}
    assert all(places[each["cause"]] < places[key] for key, each in happenings.items() if each["cause"] in places)
    chains = []
    for each in happenings.values():
        chain: list[str] = []
        link = each if each["lane"] == "Health" else {}
        while link:
            if link["lane"] not in chain[-1:]:
                chain.append(link["lane"])
            link = happenings.get(link["cause"], {})
        chains.append(chain)
    # A sync that Argo CD makes of its own accord has no commit behind it; the one of the release has.
    wanted = ["Sync", "Render", "Webhook", "Git"]
    assert any(chain[chain.index("Sync") :][:4] == wanted for chain in chains if "Sync" in chain), chains


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


def test_no_file_holds_a_secret_and_nobody_else_can_read_it(
    access: Access, held: Told, broken: Told, kills: Told
) -> None:
    files = [*held.files, *broken.files, *kills.files]
    assert not leaks(access.folder, {path.name: path.read_bytes() for path in files})
    assert {path.stat().st_mode & 0o777 for path in files} == {0o600}
    scrubber = Scrubber.of(access.folder)
    for path in files:
        text = path.read_text()
        # What is escaped for HTML may look like an account in a URL.
        assert scrubber.scrub(text) == text or path.suffix == ".html", path
        assert "PRIVATE KEY" not in text


def test_the_newest_report_is_found_again_and_kept_with_the_diagnostics(
    user: User, held: Told, broken: Told, kills: Told
) -> None:
    assert user.ok("report", "--name", NAME)["report"] == str(kills.files.html)
    assert user.ok("report", "drift-self-heal", "--name", NAME)["report"] == str(broken.files.html)
    listed = user.ok("report", "--all", "--name", NAME)["reports"]
    assert {each["report"] for each in listed} == {str(each.files.html) for each in (held, broken, kills)}
    assert (sandboxes.diagnose(NAME) / "report.html").read_bytes() == kills.files.html.read_bytes()


@in_a_browser
def test_a_page_asks_for_nothing_but_itself_and_its_policy_would_not_let_it(pages: list[str], seen: Show) -> None:
    async def look(page: Page) -> None:
        for url in pages:
            await page.visit(url)
        assert (page.requested, page.complaints) == (pages, [])
        await page.says("document.body.append(Object.assign(new Image(), {src: 'http://127.0.0.1:9/x.png'}))")
        # What the browser has to say of it comes before that of the next page.
        await page.visit(pages[0])
        assert any("Content Security Policy" in said and "x.png" in said for said in page.complaints), page.complaints

    seen(look)


def test_a_page_leads_nowhere_but_to_its_own_parts_and_to_the_reports_beside_it(
    held: Told, broken: Told, kills: Told
) -> None:
    for each in (held, broken, kills):
        links = PageReader(each.files.html.read_text()).links
        assert {link for link in links if not link.startswith("#")} <= {broken.files.html.name}


@in_a_browser
def test_a_page_fits_its_screen_and_can_be_read_in_light_and_dark(pages: list[str], seen: Show) -> None:
    async def look(page: Page) -> None:
        grounds = {}
        for url, width, scheme in itertools.product(pages, (NARROW, WIDE), ("light", "dark")):
            await page.look(width=width, scheme=scheme)
            await page.visit(url)
            await page.says("document.querySelectorAll('details').forEach(each => { each.open = true })")
            across, inner = await page.says("[document.documentElement.scrollWidth, innerWidth]")
            assert (inner, across <= width) == (width, True), f"{url} is {across} wide on a screen of {width}"
            (_, ground), *colours = await page.says(COLOURS)
            poor = [(name, colour) for name, colour in colours if contrast(colour, ground) < READABLE]
            assert not poor, f"{url} in {scheme}: {poor} on {ground}"
            grounds[scheme] = ground
        white, black = "rgb(255, 255, 255)", "rgb(0, 0, 0)"
        assert contrast(grounds["light"], black) > contrast(grounds["light"], white)
        assert contrast(grounds["dark"], white) > contrast(grounds["dark"], black)

    seen(look)


COLOURS = """(() => {
  const ground = ['ground', getComputedStyle(document.documentElement).backgroundColor];
  const parts = ['body', '.quiet', 'a', '.good', '.bad', '.state', 'dt', 'caption'];
  const found = parts.map(part => [part, document.querySelector(part)]).filter(each => each[1]);
  return [ground, ...found.map(each => [each[0], getComputedStyle(each[1]).color])];
})()"""


def contrast(one: str, other: str) -> float:
    """Give the contrast of two colours (WCAG 2.2, "contrast ratio")."""

    def luminance(colour: str) -> float:
        parts = [int(part) / 255 for part in re.findall(r"\d+", colour)[:3]]
        linear = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]
        return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]

    bright, dark = sorted((luminance(one), luminance(other)), reverse=True)
    return (bright + 0.05) / (dark + 0.05)


@in_a_browser
def test_a_page_can_be_used_by_keyboard_alone(broken: Told, seen: Show) -> None:
    async def look(page: Page) -> None:
        await page.look(width=WIDE)
        await page.visit(broken.files.html.as_uri())
        await page.press("Tab")
        assert await page.says("document.activeElement.textContent.trim()") == "Skip to the failure"
        assert await page.says("document.activeElement.getBoundingClientRect().left") >= 0
        assert await page.says("getComputedStyle(document.activeElement).outlineStyle") == "solid"
        await page.press("Enter")
        assert await page.says("document.activeElement.id") == "main"
        for _ in range(200):
            await page.press("Tab")
            if await page.says("document.activeElement.tagName") == "SUMMARY":
                break
        before = await page.says("document.activeElement.parentElement.open")
        await page.press("Enter")
        assert await page.says("document.activeElement.parentElement.open") is not before

    seen(look)


@in_a_browser
def test_a_screen_reader_finds_landmarks_headings_tables_and_the_names_of_pictures(broken: Told, seen: Show) -> None:
    async def look(page: Page) -> None:
        await page.look(width=WIDE)
        await page.visit(broken.files.html.as_uri())
        await page.says("document.querySelectorAll('details').forEach(each => { each.open = true })")
        names: dict[str, list[str]] = {}
        for node in (await page.call("Accessibility.getFullAXTree"))["nodes"]:
            if not node.get("ignored"):
                names.setdefault(node["role"]["value"], []).append(str(node.get("name", {}).get("value", "")))
        landmarks = {"banner", "navigation", "main", "contentinfo", "region"}
        assert landmarks | {"heading", "table", "columnheader"} <= set(names)
        pictures = names.get("image", []) + names.get("img", [])
        assert pictures
        assert all(name.startswith("Causal timeline of") for name in pictures)
        assert "Why it failed" in names["heading"]

    seen(look)


@in_a_browser
def test_a_page_can_be_printed(broken: Told, seen: Show) -> None:
    async def look(page: Page) -> None:
        await page.visit(broken.files.html.as_uri())
        assert len((await page.call("Page.printToPDF"))["data"]) > 10_000

    seen(look)
