"""Every link from one page of the project to another leads somewhere."""

from __future__ import annotations

from pathlib import Path

import pytest
from markdown_it import MarkdownIt

from docs import generate

ROOT = generate.FOLDER.parents[1]
PAGES = sorted([ROOT / "README.md", *(ROOT / "docs").rglob("*.md")])


def targets(page: Path) -> set[str]:
    """Give what a page's links and pictures lead to."""
    inline = [child for token in MarkdownIt().parse(page.read_text()) for child in token.children or ()]
    found = {str(child.attrs.get("href") or child.attrs.get("src") or "") for child in inline}
    return {each for each in found if each}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_the_links_of_a_page_lead_to_files_that_there_are(page: Path) -> None:
    within = {each.partition("#")[0] for each in targets(page) if "://" not in each} - {""}
    assert [each for each in sorted(within) if not (page.parent / each).exists()] == []


def test_the_readme_links_to_other_pages() -> None:
    assert {"docs/verdicts.md", "docs/demo.svg"} <= targets(ROOT / "README.md")
