"""The reference is what the code says now."""

from __future__ import annotations

import pytest

from docs import generate
from sandbox.cli.program import product


@pytest.mark.parametrize("page", generate.PAGES)
def test_a_page_of_the_reference_is_as_the_code_says(page: str) -> None:
    made = generate.PAGES[page](product())
    assert (generate.FOLDER / page).read_text() == made, "make it anew: ./inv docs"


def test_every_verb_of_the_product_is_in_the_reference_with_an_example() -> None:
    page = (generate.FOLDER / "commands.md").read_text()
    for name in product().task_names:
        assert f"## `{name}`" in page
        chapter = page.partition(f"## `{name}`")[2].partition("\n## ")[0]
        assert "Example" in chapter, name
