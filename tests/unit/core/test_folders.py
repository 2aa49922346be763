from __future__ import annotations

import os
import pwd
from pathlib import Path

import pytest

from sandbox.core.folders import cache_root, data_root, home, sandbox_dir, state_root


@pytest.fixture
def bare(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Give an empty home folder, and an environment that names no other."""
    for variable in ("XDG_STATE_HOME", "XDG_CACHE_HOME"):
        monkeypatch.delenv(variable, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    return tmp_path


def test_folders_lie_in_the_home_folder_and_are_private(bare: Path) -> None:
    assert state_root() == bare / ".local/state/gitops-sandbox"
    assert cache_root() == bare / ".cache/gitops-sandbox"
    assert sandbox_dir("a") == bare / ".local/state/gitops-sandbox/a"
    assert state_root().stat().st_mode & 0o777 == 0o700
    assert cache_root().stat().st_mode & 0o777 == 0o700


def test_xdg_folders_are_used(bare: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(bare / "s p"))
    monkeypatch.setenv("XDG_CACHE_HOME", str(bare / "c"))
    assert state_root() == bare / "s p" / "gitops-sandbox"
    assert cache_root() == bare / "c" / "gitops-sandbox"


@pytest.mark.parametrize("relative", ["", "state", "./state", "~/state", "../state"])
def test_a_relative_xdg_folder_is_ignored(bare: Path, monkeypatch: pytest.MonkeyPatch, relative: str) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", relative)
    assert state_root() == bare / ".local/state/gitops-sandbox"


@pytest.mark.usefixtures("bare")
def test_without_home_the_user_database_says_where_home_is(monkeypatch: pytest.MonkeyPatch) -> None:
    expected = Path(pwd.getpwuid(os.getuid()).pw_dir)
    monkeypatch.delenv("HOME")
    assert home() == expected
    monkeypatch.setenv("HOME", "")
    assert home() == expected


def test_the_data_that_ships_with_the_product_is_found() -> None:
    assert (data_root() / "versions.toml").is_file()
    assert (data_root() / "fixtures").is_dir()
