"""Sandboxes of real users: a state folder for each module, nothing left behind."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.e2e.support import User

_LONGEST = ("sabotage", "snapshots", "life", "tutorial", "plugin", "soak", "bad_input", "interrupts", "ordinary_user")
"""The files that take more than two minutes."""


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Begin with the longest files, all else in random order: whoever begins one last works alone in the end."""
    here = Path(__file__).parent
    files = [here / f"test_{name}.py" for name in _LONGEST]
    items.sort(key=lambda item: files.index(item.path) if item.path in files else len(files))


@pytest.fixture(scope="module")
def user(tmp_path_factory: pytest.TempPathFactory) -> Iterator[User]:
    """Give a user whose sandboxes live as long as the module's tests: never two modules' at once."""
    one = User(tmp_path_factory.mktemp("u"))
    with pytest.MonkeyPatch.context() as patch, one.leaving_nothing():
        # For what a test asks of the library instead of the command line.
        patch.setenv("XDG_STATE_HOME", str(one.state))
        yield one
