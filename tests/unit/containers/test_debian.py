from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from sandbox.containers.debian import check_can_bootstrap, strip
from sandbox.core.errors import UnavailableError

NOBODY = 65534


@pytest.fixture
def ordinary_user() -> Iterator[None]:
    before = os.geteuid()
    if before == 0:
        os.seteuid(NOBODY)
    yield
    os.seteuid(before)


@pytest.mark.usefixtures("ordinary_user")
def test_an_ordinary_user_is_told_what_assembling_takes_and_what_goes_without() -> None:
    with pytest.raises(UnavailableError) as told:
        check_can_bootstrap()
    assert "root" in told.value.why
    assert "--engine embedded" in told.value.hint


def test_stripping_leaves_licences_and_takes_what_is_of_this_machine(tmp_path: Path) -> None:
    for folder in ("usr/share/man", "usr/share/locale", "usr/share/info", "var/lib/apt/lists", "var/cache/apt", "dev"):
        (tmp_path / folder).mkdir(parents=True)
        (tmp_path / folder / "x").write_text("x")
    (tmp_path / "var/log").mkdir()
    (tmp_path / "usr/share/doc/git/examples").mkdir(parents=True)
    (tmp_path / "usr/share/doc/git/copyright").write_text("licence")
    (tmp_path / "usr/share/doc/other").symlink_to("git")
    (tmp_path / "etc").mkdir()
    (tmp_path / "etc/hostname").write_text("this-machine")
    (tmp_path / "etc/passwd").write_text("root")
    strip(tmp_path)
    left = {str(path.relative_to(tmp_path)) for path in tmp_path.rglob("*") if not path.is_dir() or path.is_symlink()}
    assert left == {"usr/share/doc/git/copyright", "usr/share/doc/other", "etc/passwd"}
    assert (tmp_path / "var/cache").is_dir()
