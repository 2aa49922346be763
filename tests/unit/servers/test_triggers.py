from __future__ import annotations

import re
from pathlib import Path

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from sandbox.core.errors import UsageError
from sandbox.servers.triggers import Push, find_workflows, matches, runs_on


@pytest.mark.parametrize(
    ("pattern", "name", "expected"),
    [
        ("main", "main", True),
        ("main", "main2", False),
        ("*", "feature/x", False),
        ("**", "feature/x", True),
        ("releases/**", "releases/1/2", True),
        ("v[12].[0-9]+.[0-9]+", "v1.10.1", True),
        ("v[12].[0-9]+.[0-9]+", "v3.10.1", False),
        ("*.jsx?", "page.js", True),
        ("**.js", "src/js/index.js", True),
        ("**/docs/**", "docs/a.md", True),
        ("docs/*", "docs/a/b.md", False),
        ("a.b", "axb", False),
        ("a\\*", "a*", True),
    ],
)
def test_patterns_match_as_githubs_cheat_sheet_says(pattern: str, name: str, *, expected: bool) -> None:
    assert matches(pattern, name) is expected


@pytest.mark.parametrize(
    ("on", "ref", "expected"),
    [
        ("push", "refs/heads/main", True),
        ("push", "refs/heads/feature", False),
        ("[push, pull_request]", "refs/heads/main", True),
        ("pull_request", "refs/heads/main", False),
        ("{push: }", "refs/heads/main", True),
        ("{push: {branches: [main]}, pull_request: }", "refs/heads/main", True),
        ("{push: {branches: [main]}}", "refs/heads/other", False),
        ("{push: {branches: ['feature/**', '!feature/old']}}", "refs/heads/feature/a/b", True),
        ("{push: {branches: ['feature/**', '!feature/old']}}", "refs/heads/feature/old", False),
        ("{push: {branches-ignore: [main]}}", "refs/heads/main", False),
        ("{push: {branches-ignore: [main]}}", "refs/heads/other", True),
        ("{push: {branches: [main]}}", "refs/tags/v1", False),
        ("{push: {tags: ['v*']}}", "refs/tags/v1", True),
        ("{push: {tags: ['v*']}}", "refs/heads/main", False),
        ("push", "refs/tags/v1", False),
        ("{push: {branches: [main]}}", "refs/notes/x", False),
        ("{push: {branches: main}}", "refs/heads/main", True),
        ("{workflow_dispatch: }", "refs/heads/main", False),
    ],
)
def test_a_workflow_runs_on_the_refs_that_it_names(on: str, ref: str, *, expected: bool) -> None:
    assert runs_on(yaml.safe_load(f"on: {on}"), Push(ref, "main")) is expected


@pytest.mark.parametrize(
    ("filters", "files", "expected"),
    [
        ("paths: ['src/**']", {"src/a/b.py"}, True),
        ("paths: ['src/**']", {"README.md"}, False),
        ("paths: ['src/**']", set(), True),
        ("paths-ignore: ['**.md']", {"docs/a.md"}, False),
        ("paths-ignore: ['**.md']", {"docs/a.md", "b.py"}, True),
    ],
)
def test_paths_narrow_a_push_down_where_they_are_known(filters: str, files: set[str], *, expected: bool) -> None:
    workflow = yaml.safe_load(f"on: {{push: {{{filters}}}}}")
    assert runs_on(workflow, Push("refs/heads/main", "main", frozenset(files))) is expected


@given(st.text(), st.text())
def test_no_pattern_breaks_more_than_its_own_workflow(pattern: str, name: str) -> None:
    try:
        matches(pattern, name)
    except UsageError as error:
        assert "no filter pattern" in error.what  # noqa: PT017 - an error is one of two right answers


@given(st.text(st.characters(categories=["L", "N"]), min_size=1))
def test_a_name_without_special_characters_matches_itself_alone(name: str) -> None:
    assert matches(name, name)
    assert not matches(name, f"{name}x")
    assert re.escape(name) == name or matches(name, name)


def test_a_workflow_file_that_is_no_yaml_is_named(tmp_path: Path) -> None:
    folder = tmp_path / ".github/workflows"
    folder.mkdir(parents=True)
    (folder / "a.yaml").write_text("on: push\n")
    (folder / "notes.txt").write_text("on: push\n")
    push = Push("refs/heads/main", "main")
    assert find_workflows(tmp_path, push) == [folder / "a.yaml"]

    (folder / "broken.yml").write_text("on: [push\n")
    with pytest.raises(UsageError, match=re.escape("broken.yml can't be read")):
        find_workflows(tmp_path, push)


def test_a_push_event_gives_its_ref_and_files() -> None:
    push = Push.of(
        {
            "ref": "refs/heads/main",
            "repository": {"default_branch": "trunk"},
            "commits": [{"added": ["a"], "modified": ["b"], "removed": ["c"]}],
        }
    )

    assert push == Push("refs/heads/main", "trunk", frozenset("abc"))
    with pytest.raises(UsageError):
        Push.of({})
