"""Umasks and rights, as a shell or another user would have them."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

NOBODY = 65534


@pytest.fixture
def open_umask() -> Iterator[None]:
    """Have every file open to everybody unless the code says otherwise."""
    before = os.umask(0)
    yield
    os.umask(before)


@pytest.fixture
def read_only_folder() -> Iterator[Path]:
    """Give a folder that may be read and not written; root, who may write anywhere, becomes nobody meanwhile."""
    # Not below pytest's own folders, which nobody may not even enter.
    folder = Path(tempfile.mkdtemp())
    (folder / "kept").write_text("old")
    folder.chmod(0o555)
    user = os.geteuid()
    if user == 0:
        os.seteuid(NOBODY)
    yield folder
    os.seteuid(user)
    folder.chmod(0o700)
    shutil.rmtree(folder)
