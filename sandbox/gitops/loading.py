"""Stories of the user's own: loaded from Python files, wherever these lie."""

from __future__ import annotations

import hashlib
import importlib.util
import sys
import tomllib
import traceback
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

from sandbox.core.errors import UsageError
from sandbox.core.names import check_choice
from sandbox.gitops.story import Story

__all__ = ["configured_stories", "load_stories", "named_story", "project_file"]

_SECTION = "gitops-sandbox"
_SEPARATOR = "::"


def load_stories(path: Path) -> dict[str, Story]:
    """Load the stories of a Python file, or of all Python files right in a folder, by name.

    What a file imports from elsewhere is none of its stories. Its folder can be imported from, as Python has it
    for a script.

    Raises:
        UsageError: There is no such file, it can't be loaded, or it holds no story; says where it broke.
    """
    if not path.exists():
        raise UsageError(f"there is no {path}", hint="scenario PATH/TO/FILE.py, or PATH/TO/FILE.py::NAME")
    files = sorted(path.glob("*.py")) if path.is_dir() else [path]
    found: dict[str, Story] = {}
    for file in files:
        for story in _stories_in(file):
            if story.name in found:
                raise UsageError(f"{path} holds two stories that are called {story.name!r}", hint="rename one")
            found[story.name] = story
    if not found:
        raise UsageError(
            f"{path} holds no story", why="no function in it is marked by @story", hint="see scenarios/core.py"
        )
    return found


def named_story(word: str) -> list[Story]:
    """Give the stories that ``FILE.py`` or ``FILE.py::NAME`` names.

    Raises:
        UsageError: There is no such file or story.
    """
    file, _, name = word.partition(_SEPARATOR)
    stories = load_stories(Path(file).expanduser())
    if not name:
        return list(stories.values())
    # A function's own name is as good as the story's.
    return [stories[check_choice("story", name.replace("_", "-"), stories)]]


def configured_stories(start: Path) -> dict[str, Story]:
    """Give the stories that ``[tool.gitops-sandbox] stories`` names in the project's pyproject.toml, by name.

    Args:
        start: A folder of the project.

    Raises:
        UsageError: What is written there can't be; names the file.
    """
    project = project_file(start)
    if project is None:
        return {}
    found: dict[str, Story] = {}
    for pattern in _patterns(project):
        paths = sorted(project.parent.glob(pattern))
        if not paths:
            raise UsageError(f"{project}: nothing is called {pattern!r}", why="[tool.gitops-sandbox] stories names it")
        for path in paths:
            for name, story in load_stories(path).items():
                if name in found:
                    raise UsageError(f"{project} leads to two stories that are called {name!r}", hint="rename one")
                found[name] = story
    return found


def project_file(start: Path) -> Path | None:
    """Give the nearest pyproject.toml, here or in a folder above; None where there is none."""
    folders = (start.resolve(), *start.resolve().parents)
    return next((folder / "pyproject.toml" for folder in folders if (folder / "pyproject.toml").is_file()), None)


def _patterns(project: Path) -> list[str]:
    try:
        section = tomllib.loads(project.read_text()).get("tool", {}).get(_SECTION, {})
    except (tomllib.TOMLDecodeError, UnicodeDecodeError, OSError) as error:
        raise UsageError(f"{project} can't be read", why=str(error)) from error
    patterns = section.get("stories", []) if isinstance(section, dict) else None
    if not isinstance(patterns, list) or not all(isinstance(each, str) and each for each in patterns):
        raise UsageError(f"{project}: [tool.gitops-sandbox] stories is no list of paths", hint='stories = ["stories"]')
    for each in patterns:
        if Path(each).is_absolute():
            raise UsageError(f"{project}: {each} is no path within the project", hint='stories = ["stories"]')
    return patterns


def _stories_in(file: Path) -> Iterator[Story]:
    module = _loaded(file)
    for value in vars(module).values():
        if isinstance(value, Story) and value.play.__module__ == module.__name__:
            yield value


def _loaded(file: Path) -> ModuleType:
    file = file.resolve()
    # Two files of one name are two modules; one file that is asked for twice is one.
    name = f"gitops_sandbox_stories_{hashlib.sha256(bytes(file)).hexdigest()[:12]}"
    if name in sys.modules:
        return sys.modules[name]
    spec = importlib.util.spec_from_file_location(name, file)
    if spec is None or spec.loader is None:
        raise UsageError(f"{file} is no Python file", hint="scenario PATH/TO/FILE.py::NAME")
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    if str(file.parent) not in sys.path:
        sys.path.insert(0, str(file.parent))
    try:
        spec.loader.exec_module(module)
    except Exception as error:
        del sys.modules[name]
        raise UsageError(f"{file} can't be loaded", why=_said(error, file), hint=f"python {file}") from error
    return module


def _said(error: Exception, file: Path) -> str:
    """Give the error's own words, with the line of the user's file at which it broke."""
    lines = [frame.lineno for frame in traceback.extract_tb(error.__traceback__) if frame.filename == str(file)]
    at = f"line {lines[-1]}: " if lines else ""
    return at + "".join(traceback.format_exception_only(error)).strip()
