from __future__ import annotations

from pathlib import Path

import pytest

from sandbox.engines.doctor import CHECKS, Check, Finding, examine, inotify, memory, works
from sandbox.engines.sandboxes import ENGINES


def check(name: str, status: str, *engines: str) -> Check:
    return Check(name, engines, lambda: Finding(status, f"{name} seen", "mend it"))


def test_only_what_matters_to_an_engine_is_looked_at() -> None:
    found = examine(["embedded"], [check("a", "ok", "embedded", "kind"), check("b", "wrong", "kind")])
    assert found == [
        {"name": "a", "engines": ["embedded", "kind"], "status": "ok", "seen": "a seen", "next": "mend it"}
    ]


def test_an_engine_works_unless_something_that_matters_to_it_is_wrong() -> None:
    found = examine(["embedded", "kind"], [check("a", "warning", "embedded", "kind"), check("b", "wrong", "kind")])
    assert works("embedded", found)
    assert not works("kind", found)


def test_every_check_is_for_engines_that_there_are_and_has_a_name_of_its_own() -> None:
    assert {engine for each in CHECKS for engine in each.engines} <= set(ENGINES)
    assert len({each.name for each in CHECKS}) == len(CHECKS)


@pytest.mark.parametrize(("kib", "status"), [(8 << 20, "ok"), (1 << 20, "warning")])
def test_memory_is_what_could_be_had_now(tmp_path: Path, kib: int, status: str) -> None:
    path = tmp_path / "meminfo"
    path.write_text(f"MemTotal: 99999999 kB\nMemAvailable: {kib} kB\n")
    found = memory("kind", path)
    assert (found.status, f"{kib >> 20}.0 GiB" in found.seen) == (status, True)


def test_a_low_limit_of_file_watches_says_how_to_raise_it(tmp_path: Path) -> None:
    (tmp_path / "max_user_instances").write_text("128\n")
    (tmp_path / "max_user_watches").write_text("1048576\n")
    found = inotify(tmp_path)
    assert found.status == "warning"
    assert found.next == "for several: sudo sysctl fs.inotify.max_user_instances=512"
    (tmp_path / "max_user_instances").write_text("512\n")
    assert inotify(tmp_path).status == "ok"
