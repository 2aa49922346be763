"""The tutorial, done as it stands by somebody who has nothing but Python and Git."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.e2e.pages import follow, unmet
from tests.e2e.support import ROOT, User

SECONDS = 900.0
PAGE = ROOT / "docs" / "tutorial.md"

pytestmark = pytest.mark.timeout(SECONDS + 60)


@pytest.fixture
def wheels(tmp_path: Path) -> Path:
    """Give a folder with the wheel of this checkout, for pip to find."""
    folder = tmp_path / "wheels"
    words = [sys.executable, "-m", "hatchling", "build", "--target", "wheel", "--directory", str(folder)]
    subprocess.run(words, cwd=ROOT, check=True, capture_output=True)
    return folder


@pytest.fixture
def constraints(tmp_path: Path) -> Path:
    """Give the versions that the lock names, without the hashes, which a wheel that was just built can't have."""
    path = tmp_path / "constraints.txt"
    path.write_text(
        "\n".join(re.findall(r"^[^\s#=]+==[^\s;\\]+", (ROOT / "requirements.lock").read_text(), re.MULTILINE))
    )
    return path


@pytest.mark.nightly
def test_the_tutorial_works_and_shows_what_it_says(user: User, wheels: Path, constraints: Path, tmp_path: Path) -> None:
    environment = {
        **user.environment(),
        "PATH": os.pathsep.join([str(Path(sys.base_prefix) / "bin"), os.defpath]),
        "PIP_FIND_LINKS": str(wheels),
        "PIP_CONSTRAINT": str(constraints),
        "PIP_DISABLE_PIP_VERSION_CHECK": "1",
        "COLUMNS": "200",
    }
    seen = follow(PAGE, tmp_path, environment, seconds=SECONDS)
    assert unmet(PAGE, seen) == []


def test_what_is_not_seen_is_named(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text("```sh\necho one 1.5 s\necho two\n```\n\n```text\none … s\nthree\n```\n")
    seen = follow(page, tmp_path, dict(os.environ), seconds=10)
    assert unmet(page, seen) == ["line 6: three"]


def test_a_command_that_fails_ends_the_page(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text("```sh\nfalse\ntouch reached\n```\n")
    with pytest.raises(AssertionError, match="ended with 1"):
        follow(page, tmp_path, dict(os.environ), seconds=10)
    assert not (tmp_path / "reached").exists()
