from __future__ import annotations

import threading
from pathlib import Path

import pytest

from sandbox.containers.images import image_tags, kitchen
from sandbox.toolchain.tool import SilentProgress


@pytest.fixture(autouse=True)
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    return tmp_path / "gitops-sandbox" / "images"


def test_both_tags_tell_of_the_same_making() -> None:
    node, registry = image_tags()
    assert node.startswith("gitops-sandbox/node:")
    assert node.partition(":")[2] == registry.partition(":")[2]


def test_what_a_killed_assembly_left_is_removed_by_the_next_one(own_cache: Path) -> None:
    (own_cache / "making-old" / "debian").mkdir(parents=True)
    with kitchen(SilentProgress()) as folder:
        assert [path.name for path in own_cache.glob("making-*")] == [folder.name]
    assert list(own_cache.glob("making-*")) == []


def test_a_second_assembly_waits_for_the_first_and_says_so() -> None:
    told = threading.Event()
    order: list[str] = []

    class Telling(SilentProgress):
        def update(self, tool: str, done_fraction: float | None, note: str) -> None:
            del tool, done_fraction
            if "another process" in note:
                told.set()

    def second() -> None:
        with kitchen(Telling()):
            order.append("second")

    other = threading.Thread(target=second)
    with kitchen(SilentProgress()):
        other.start()
        assert told.wait(10)
        order.append("first")
    other.join(10)
    assert order == ["first", "second"]
