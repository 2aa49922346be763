"""A running supervisor."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from sandbox.core.conditions import Deadline
from tests.integration.core.support import Box


@pytest.fixture
def box(tmp_path: Path, run_id: str) -> Iterator[Box]:
    """Give a sandbox with a supervisor that stays, in a folder whose path has spaces and is very long."""
    folder = tmp_path / "a state folder with spaces" / ("long" * 25) / "box"
    assert len(str(folder)) > 108
    box = Box.make(folder, run_id)
    box.client.start(run_id).keep()
    yield box
    box.client.end(run_id, Deadline.after(10))


@pytest.fixture
def idle_box(tmp_path: Path, run_id: str) -> Box:
    """Give a sandbox without a supervisor; the test ends what it starts."""
    return Box.make(tmp_path / "box", run_id)
