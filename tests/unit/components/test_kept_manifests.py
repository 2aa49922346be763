"""What was worked out of manifests is worked out once for each thing that goes into it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from sandbox.components.kept_manifests import kept, official
from sandbox.core.folders import cache_root

MANIFEST: dict[str, Any] = {"kind": "ConfigMap", "metadata": {"name": "it"}}


@pytest.fixture(autouse=True)
def cache(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


class Maker:
    """Makes manifests, and counts how often."""

    def __init__(self) -> None:
        self.times = 0

    def __call__(self) -> list[dict[str, Any]]:
        """Make them."""
        self.times += 1
        return [MANIFEST]


def test_what_was_made_is_given_again_without_being_made() -> None:
    make = Maker()
    assert kept(["a", 1], make) == kept(["a", 1], make) == [MANIFEST]
    assert make.times == 1


def test_whatever_goes_in_otherwise_is_made_by_itself() -> None:
    make = Maker()
    for goes_in in (["a", 1], ["a", 2], ["b", 1]):
        kept(goes_in, make)
    assert make.times == 3


def test_what_was_damaged_is_made_anew_and_is_whole_from_then_on() -> None:
    make = Maker()
    kept(["a"], make)
    (path,) = (cache_root() / "manifests").iterdir()
    for text in ("{", "[]", "{}"):
        path.write_text(text)
        assert kept(["a"], make) == [MANIFEST]
    assert make.times == 4
    assert kept(["a"], make) == [MANIFEST]
    assert make.times == 4


def test_manifests_are_read_as_they_stand_and_anew_when_the_file_is_another(tmp_path: Path) -> None:
    path = tmp_path / "install.yaml"
    path.write_text("kind: A\n---\nkind: B\n")
    assert official(path) == [{"kind": "A"}, {"kind": "B"}]
    path.write_text("kind: C\n")
    assert official(path) == [{"kind": "C"}]
