from __future__ import annotations

import base64
import hashlib
import re
from collections.abc import Callable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sandbox.report.findings import Report
from sandbox.report.html import as_html
from tests.unit.report.samples import PageReader, failing, killing, passing

REPORTS: list[Callable[[], Report]] = [passing, failing, killing]


@pytest.fixture(params=REPORTS, ids=["passing", "failing", "killing"])
def page(request: pytest.FixtureRequest) -> str:
    return as_html(request.param())


def test_a_failure_comes_first_and_says_what_was_wanted_seen_in_the_way_and_different() -> None:
    text = PageReader(as_html(failing())).text
    told = [
        "Did not hold: at step scaled-by-hand",
        "The condition that was not met (step scaled-by-hand) the scaling to be undone: 5 replicas",
        "The last thing seen 5 replicas",
        "finalizer example.com/hold : 5 replicas",
        "dev Deployment greeter spec.replicas 1 5 replicas",
        "What happened in this step",
        "Warning: FailedScheduling",
        "kwok: 5 lines",
        "What could not be had",
        "passed A new version goes live",
    ]
    places = [text.find(each) for each in told]
    assert -1 not in places, dict(zip(told, places, strict=True))
    assert places == sorted(places)


def test_what_an_engine_cannot_show_is_said_and_counted() -> None:
    text = PageReader(as_html(passing())).text
    assert "What this engine shows. No container runs." in text
    assert "1 could not be shown on this engine" in text
    assert "1 passed, 0 failed, 1 skipped" in text


def test_the_kill_table_names_a_survivor_and_leads_to_each_telling() -> None:
    reader = PageReader(as_html(killing()))
    assert "✗ survived: the story passed all the same" in reader.text
    assert "The story core noticed 1 of 2 sabotages; 1 survived: a check is broken." in reader.text
    assert "one.html" in reader.links


def test_the_page_is_whole_and_every_name_in_it_leads_somewhere(page: str) -> None:
    reader = PageReader(page)
    assert reader.problems == []
    assert len(reader.ids) == len(set(reader.ids))
    assert reader.wanted_ids <= set(reader.ids)
    inside = {link.removeprefix("#") for link in reader.links if link.startswith("#")}
    assert inside <= set(reader.ids)
    assert reader.headings[0] == 1
    assert all(after <= before + 1 for before, after in zip(reader.headings, reader.headings[1:], strict=False))
    assert {"header", "nav", "main", "footer"} <= set(reader.tags)


def test_the_page_asks_nobody_for_anything_and_its_policy_allows_its_own_style_only(page: str) -> None:
    reader = PageReader(page)
    assert not {"script", "img", "iframe", "link", "object", "base", "form"} & set(reader.tags)
    assert "style" not in reader.attributes
    assert not [name for name in reader.attributes if name.startswith("on")]
    assert not [link for link in reader.links if ":" in link or link.startswith("/")]
    style = re.search(r"<style>(.*?)</style>", page, re.DOTALL)
    assert style is not None
    assert "url(" not in style[1]
    assert "@import" not in style[1]
    digest = base64.b64encode(hashlib.sha256(style[1].encode()).digest()).decode()
    policy = f"default-src 'none'; style-src 'sha256-{digest}'; base-uri 'none'; form-action 'none'"
    assert f'content="{policy}"' in page


@settings(max_examples=15)
@given(st.text(max_size=60).map(lambda text: f"<script>alert(1)</script>\"'{text}"))
def test_no_text_of_a_run_becomes_a_part_of_the_page(said: str) -> None:
    plain, told = PageReader(as_html(failing())), PageReader(as_html(failing(said)))
    assert told.problems == []
    assert set(told.tags) == set(plain.tags)
    assert told.attributes == plain.attributes


def test_the_same_report_gives_the_same_page() -> None:
    assert as_html(failing()) == as_html(failing())
