from __future__ import annotations

from pathlib import Path

import pytest

from sandbox.core.errors import UsageError
from sandbox.gitops.loading import configured_stories, load_stories, named_story

TWO = '''
from sandbox.gitops.story import story
from scenarios.core import core

@story
def a_release(world):
    """A release goes live.

    And more.
    """

@story(sabotages=())
def rollback(world):
    """It goes back."""
'''


def written(folder: Path, name: str, text: str = TWO) -> Path:
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return path


def test_a_file_gives_the_stories_that_are_written_in_it_and_none_that_it_imports(tmp_path: Path) -> None:
    found = load_stories(written(tmp_path, "mine.py"))
    assert {name: story.summary for name, story in found.items()} == {
        "a-release": "A release goes live.",
        "rollback": "It goes back.",
    }


def test_a_file_may_import_what_lies_beside_it(tmp_path: Path) -> None:
    written(tmp_path, "gitops_sandbox_neighbour.py", "NAME = 'beside'\n")
    path = written(tmp_path, "mine.py", f"import gitops_sandbox_neighbour as n\nassert n.NAME == 'beside'\n{TWO}")
    assert "rollback" in load_stories(path)


def test_a_story_is_named_by_file_and_function(tmp_path: Path) -> None:
    path = written(tmp_path, "mine.py")
    assert [story.name for story in named_story(f"{path}::a_release")] == ["a-release"]
    assert [story.name for story in named_story(f"{path}::a-release")] == ["a-release"]
    assert [story.name for story in named_story(str(path))] == ["a-release", "rollback"]


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("import nothing_of_that_name\n", "line 1: ModuleNotFoundError: No module named 'nothing_of_that_name'"),
        ("x = 1\ny = x.z\n", "line 2: AttributeError"),
        ("def broken(:\n", "SyntaxError"),
        ("x = 1\n", "no function in it is marked by @story"),
    ],
)
def test_a_file_that_gives_no_story_says_why(tmp_path: Path, text: str, why: str) -> None:
    with pytest.raises(UsageError) as caught:
        load_stories(written(tmp_path, "mine.py", text))
    assert why in caught.value.why
    assert "mine.py" in caught.value.what


def test_a_file_or_a_story_that_there_is_not_says_so(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"there is no .*none\.py"):
        named_story(str(tmp_path / "none.py"))
    with pytest.raises(UsageError, match="did you mean 'rollback'"):
        named_story(f"{written(tmp_path, 'mine.py')}::rolback")


def test_a_project_says_where_its_stories_are(tmp_path: Path) -> None:
    written(tmp_path, "pyproject.toml", '[tool.gitops-sandbox]\nstories = ["stories", "tests/*_story.py"]\n')
    written(tmp_path, "stories/one.py")
    other = "from sandbox.gitops.story import story\n\n@story\ndef other(world):\n    'Another one.'\n"
    written(tmp_path, "tests/other_story.py", other)
    (tmp_path / "deep" / "down").mkdir(parents=True)
    assert set(configured_stories(tmp_path / "deep" / "down")) == {"a-release", "rollback", "other"}


@pytest.mark.parametrize(
    ("settings", "what"),
    [
        ('stories = "stories"', "no list of paths"),
        ("stories = [1]", "no list of paths"),
        ('stories = ["/etc"]', "no path within the project"),
        ('stories = ["nowhere"]', "nothing is called 'nowhere'"),
        ("stories = [", "can't be read"),
        ('stories = ["one.py", "two.py"]', "two stories that are called 'a-release'"),
    ],
)
def test_settings_that_can_not_be_name_the_file(tmp_path: Path, settings: str, what: str) -> None:
    written(tmp_path, "pyproject.toml", f"[tool.gitops-sandbox]\n{settings}\n")
    written(tmp_path, "one.py")
    written(tmp_path, "two.py")
    with pytest.raises(UsageError, match=what):
        configured_stories(tmp_path)


def test_a_project_without_settings_has_no_stories(tmp_path: Path) -> None:
    written(tmp_path, "pyproject.toml", "[project]\nname = 'x'\n")
    assert configured_stories(tmp_path) == {}
