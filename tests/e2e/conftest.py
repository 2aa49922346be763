"""Sandboxes of real users: a state folder for each module, nothing left behind."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.e2e.support import User


@pytest.fixture(scope="module")
def user(tmp_path_factory: pytest.TempPathFactory) -> Iterator[User]:
    """Give a user whose sandboxes live as long as the module's tests: never two modules' at once."""
    one = User(tmp_path_factory.mktemp("u"))
    with pytest.MonkeyPatch.context() as patch, one.leaving_nothing():
        # For what a test asks of the library instead of the command line.
        patch.setenv("XDG_STATE_HOME", str(one.state))
        yield one
