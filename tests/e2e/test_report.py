"""The report of a real telling, in a real browser: read, narrow, dark, by keyboard, on paper, and alone."""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from sandbox.engines import sandboxes
from sandbox.report.scrubbing import Scrubber
from tests.e2e.browser import PROGRAM, Page, opened
from tests.e2e.support import User
from tests.unit.report.samples import PageReader

NAME = "report"
WIDTHS = (390, 1280)
SCHEMES = ("light", "dark")

pytestmark = [
    pytest.mark.timeout(400),
    pytest.mark.skipif(PROGRAM is None, reason="there is no Chromium: apt-get install chromium"),
]


@dataclass(frozen=True)
class Told:
    """A story that held and one that was broken, by their reports."""

    failing: Path
    passing: Path
    kills: Path

    def each(self) -> list[Path]:
        """Give all pages."""
        return [self.failing, self.passing, self.kills]


@pytest.fixture(scope="module")
def told(user: User) -> Told:
    held = user.ok("scenario", "core", "--name", NAME)
    broken = user.ok("sabotage", "self-heal-off-scale", "--name", NAME)
    return Told(Path(broken["sabotages"][0]["report"]), Path(held["report"]), Path(broken["report"]))


def browse(tmp_path: Path, see: Callable[[Page], Awaitable[Any]]) -> Any:
    """Have something seen in a browser of its own."""

    async def main() -> Any:
        async with opened(tmp_path / "profile") as page:
            return await see(page)

    return asyncio.run(main())


def test_the_failing_story_says_what_was_not_met_what_differs_and_what_is_in_the_way(told: Told) -> None:
    reader = PageReader(told.failing.read_text())
    assert reader.problems == []
    for part in (
        "Did not hold: at step scaled-by-hand",
        "The condition that was not met (step scaled-by-hand)",
        "spec.syncPolicy.automated.selfHeal is false, Git says true",
        "dev Deployment greeter spec.replicas 1 5",
        "This telling was sabotaged on purpose: self-heal is off",
        "Pods are played by KWOK",
        "What happened in this step",
    ):
        assert part in reader.text, part


def test_the_timeline_leads_from_the_commit_to_the_verdict_by_names(told: Told) -> None:
    data = json.loads(told.passing.with_suffix(".json").read_text())
    step = next(step for step in data["steps"] if step["name"] == "release")
    happenings = {each["key"]: each for each in step["happenings"]}
    assert list(happenings) == [each["key"] for each in step["happenings"]]
    places = {key: place for place, key in enumerate(happenings)}
    assert all(places[each["cause"]] < places[key] for key, each in happenings.items() if each["cause"] in places)
    healthy = next(each for each in reversed(happenings.values()) if each["lane"] == "Health")
    chain = []
    while healthy:
        chain.append(healthy["lane"])
        healthy = happenings.get(healthy["cause"], {})
    # What lies before the commit depends on the story; from there each is caused by a name of the one before.
    lanes = [lane for place, lane in enumerate(chain) if chain[place - 1 : place] != [lane]]
    assert lanes[lanes.index("Sync") :][:4] == ["Sync", "Render", "Webhook", "Git"], lanes


def test_a_page_fits_its_screen_and_can_be_read_in_light_and_dark(told: Told, tmp_path: Path) -> None:
    async def see(page: Page) -> list[tuple[str, int, str, list[int], list[list[str]]]]:
        seen = []
        for path in told.each():
            for width in WIDTHS:
                for scheme in SCHEMES:
                    await page.look(width=width, scheme=scheme)
                    await page.visit(path.as_uri())
                    await page.says("document.querySelectorAll('details').forEach(each => each.open = true)")
                    sizes = await page.says("[document.documentElement.scrollWidth, innerWidth]")
                    colours = await page.says(COLOURS)
                    await page.picture(tmp_path / f"{path.stem}-{width}-{scheme}.png")
                    seen.append((path.stem, width, scheme, sizes, colours))
        return seen

    seen = browse(tmp_path, see)
    grounds = set()
    for stem, width, scheme, (across, inner), colours in seen:
        assert inner == width
        assert across <= width, f"{stem} is {across} wide on a screen of {width}"
        ground = colours[0][1]
        grounds.add((scheme, ground))
        for name, colour in colours:
            assert contrast(colour, ground) >= 4.5 or name == "ground", f"{name} of {stem}, {scheme}: {colour}"
    assert len(grounds) == 2


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


def test_a_page_asks_for_nothing_but_itself_and_the_browser_has_nothing_to_complain_of(
    told: Told, tmp_path: Path
) -> None:
    async def see(page: Page) -> tuple[list[str], list[str]]:
        await page.look(width=1280)
        for path in told.each():
            await page.visit(path.as_uri())
            # Its policy would not let it, even if it wanted to.
            await page.says("document.body.append(Object.assign(new Image(), {src: 'http://127.0.0.1:9/x.png'}))")
            await page.says("1")
        return page.requested, page.complaints

    requested, complaints = browse(tmp_path, see)
    assert [url for url in requested if not url.startswith("file:")] in ([], ["http://127.0.0.1:9/x.png"] * 3)
    assert [url for url in requested if url.startswith("file:")] == [path.as_uri() for path in told.each()]
    assert all("Content Security Policy" in said and "x.png" in said for said in complaints)
    assert len(complaints) == 3


def test_a_page_can_be_used_by_keyboard_alone(told: Told, tmp_path: Path) -> None:
    focused = "document.activeElement.textContent.trim()"

    async def see(page: Page) -> dict[str, Any]:
        await page.look(width=1280)
        await page.visit(told.failing.as_uri())
        await page.press("Tab")
        found = {
            "first": await page.says(focused),
            "left": await page.says("document.activeElement.getBoundingClientRect().left"),
            "outline": await page.says("getComputedStyle(document.activeElement).outlineStyle"),
        }
        await page.press("Enter")
        found["after"] = await page.says("document.activeElement.id")
        for _ in range(200):
            await page.press("Tab")
            if await page.says("document.activeElement.tagName") == "SUMMARY":
                break
        before = await page.says("document.activeElement.parentElement.open")
        await page.press("Enter")
        found["toggled"] = before != await page.says("document.activeElement.parentElement.open")
        return found

    found = browse(tmp_path, see)
    assert found["first"] == "Skip to the failure"
    assert found["left"] >= 0
    assert found["outline"] == "solid"
    assert found["after"] == "main"
    assert found["toggled"]


def test_a_screen_reader_finds_landmarks_headings_tables_and_the_names_of_pictures(told: Told, tmp_path: Path) -> None:
    async def see(page: Page) -> list[dict[str, Any]]:
        await page.look(width=1280)
        await page.visit(told.failing.as_uri())
        await page.says("document.querySelectorAll('details').forEach(each => each.open = true)")
        nodes = (await page.call("Accessibility.getFullAXTree"))["nodes"]
        return [node for node in nodes if not node.get("ignored")]

    nodes = browse(tmp_path, see)
    names: dict[str, list[str]] = {}
    for node in nodes:
        names.setdefault(node["role"]["value"], []).append(str(node.get("name", {}).get("value", "")))
    assert {"banner", "navigation", "main", "contentinfo", "region", "heading", "table", "columnheader"} <= set(names)
    pictures = names.get("image", []) + names.get("img", [])
    assert pictures
    assert all(name.startswith("Causal timeline of") for name in pictures)
    assert "Why it failed" in names["heading"]


def test_a_page_can_be_printed(told: Told, tmp_path: Path) -> None:
    async def see(page: Page) -> str:
        await page.visit(told.failing.as_uri())
        return str((await page.call("Page.printToPDF"))["data"])

    assert len(browse(tmp_path, see)) > 10_000


@pytest.mark.usefixtures("told")
def test_no_secret_of_the_sandbox_is_in_any_file_of_a_report(user: User) -> None:
    folder = user.folder / NAME
    files = [path for path in (folder / "reports").iterdir() if path.is_file()]
    assert len(files) == 9
    secrets = [path.read_text().strip() for path in (folder / "secrets").iterdir()]
    assert secrets
    scrubber = Scrubber.of(folder)
    for path in files:
        text = path.read_text()
        assert not [secret for secret in secrets if secret in text], path
        assert scrubber.scrub(text) == text or path.suffix == ".html", path
        assert "PRIVATE KEY" not in text


def test_the_newest_report_is_found_again_and_kept_with_the_diagnostics(told: Told, user: User) -> None:
    newest = user.ok("report", "--name", NAME)
    assert newest["report"] == str(told.kills)
    assert user.ok("report", "core-self-heal", "--name", NAME)["report"] == str(told.failing)
    assert len(user.ok("report", "--all", "--name", NAME)["reports"]) == 3
    kept = sandboxes.diagnose(NAME) / "report.html"
    assert kept.read_bytes() == told.kills.read_bytes()
