"""Which stories there are for the verbs: those of the product, of the user's project, and of files that are named."""

from __future__ import annotations

from pathlib import Path

import scenarios
from sandbox.core.errors import UsageError
from sandbox.core.names import check_choice
from sandbox.gitops.loading import configured_stories, named_story
from sandbox.gitops.story import Story

__all__ = ["known_stories", "stories_named"]

_LISTING = "scenarios"
_FILE = ".py"


def known_stories() -> dict[str, Story]:
    """Give the product's stories and those of the project around the working folder, by name.

    Raises:
        UsageError: The project's settings can't be, or two stories have one name.
    """
    ours, own = scenarios.catalogue(), configured_stories(Path.cwd())
    if twice := sorted(ours.keys() & own.keys()):
        raise UsageError(
            f"your project has a story that is called {twice[0]!r}",
            why="one of gitops-sandbox is called so",
            hint="rename the function",
        )
    return ours | own


def stories_named(words: list[str]) -> list[Story]:
    """Give stories by their names, or by ``FILE.py`` or ``FILE.py::NAME``.

    Raises:
        UsageError: There is no such story or file.
    """
    found: list[Story] = []
    for word in words:
        if _FILE in word:
            found += named_story(word)
        else:
            known = known_stories()
            found.append(known[check_choice("scenario", word, known, listing=_LISTING)])
    names = [story.name for story in found]
    if twice := [name for name in names if names.count(name) > 1]:
        raise UsageError(
            f"scenario {twice[0]!r} was named twice", hint="name each once; they share their tenant's name"
        )
    return found
