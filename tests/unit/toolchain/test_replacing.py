from __future__ import annotations

import dataclasses
import json
import re
from pathlib import Path
from typing import Any

import pytest

from sandbox.core.errors import UsageError
from sandbox.toolchain import load_versions
from sandbox.toolchain.inventory import tools_json, tools_table
from sandbox.toolchain.replacing import lay_over, replaced
from sandbox.toolchain.store import Store
from sandbox.toolchain.tool import Tool
from sandbox.toolchain.versions import GoModule, GoSource, Replacement, parse_versions, read_lock

EVERYWHERE = "0.0.0.0"  # noqa: S104  # looked for, not listened on
MODULE = GoModule("hello", "example.invalid/hello", "1.2.3", (), (), Path("/lock"))


@pytest.fixture
def original(tmp_path: Path) -> Path:
    """Give a module's folder as it lies in the module cache."""
    folder = tmp_path / "original"
    (folder / "words").mkdir(parents=True)
    (folder / "words" / "words.go").write_text('const A = "0.0.0.0"\nconst B = "0.0.0.0:%d"\n')
    (folder / "go.mod").write_text("module example.invalid/hello\n")
    (folder / "picture").write_bytes(b"\xff\xfe")
    return folder


def test_replacements_of_one_file_follow_each_other(original: Path) -> None:
    edited = replaced(
        MODULE, original, [Replacement("words/words.go", "0.0.0.0:", "a"), Replacement("words/words.go", '"a%d"', "b")]
    )
    assert edited == {"words/words.go": 'const A = "0.0.0.0"\nconst B = b\n'}


@pytest.mark.parametrize(
    ("file", "old", "why"),
    [
        ("words/words.go", "::", "it holds '::' 0 times and not once"),
        ("words/words.go", EVERYWHERE, "it holds '0.0.0.0' 2 times and not once"),
        ("words/none.go", EVERYWHERE, "the file can't be read"),
        ("picture", EVERYWHERE, "the file can't be read"),
    ],
)
def test_a_replacement_that_does_not_fit_names_the_file_and_why(original: Path, file: str, old: str, why: str) -> None:
    with pytest.raises(UsageError) as caught:
        replaced(MODULE, original, [Replacement(file, old, "x")])
    assert file in caught.value.what
    assert why in caught.value.why
    assert "versions.toml" in caught.value.hint


def test_the_overlay_holds_the_whole_module_and_the_edited_file_in_its_place(original: Path, tmp_path: Path) -> None:
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    (scratch / "go.mod").write_text("module lock.invalid/hello\n")
    overlay = json.loads(lay_over(MODULE, original, {"words/words.go": "new"}, scratch).read_text())["Replace"]
    assert overlay[str(scratch / "module" / "go.mod")] == str(original / "go.mod")
    assert Path(overlay[str(scratch / "module" / "words" / "words.go")]).read_text() == "new"
    assert len(overlay) == 3
    assert "\nreplace example.invalid/hello => ./module\n" in (scratch / "go.mod").read_text()


def test_what_is_replaced_decides_the_entry_and_a_note_does_not(tmp_path: Path) -> None:
    store = Store(tmp_path)
    tool = load_versions()["argocd"]
    source = next(source for source in tool.sources if isinstance(source, GoSource))
    assert source.replacements
    entries = {
        store.entry(tool, each).name
        for each in (
            source,
            dataclasses.replace(source, replacements=()),
            dataclasses.replace(source, replacements=source.replacements[:1]),
        )
    }
    assert len(entries) == 3
    assert store.entry(tool, dataclasses.replace(source, note="new", seconds=1.0)).name in entries


def test_every_listener_of_argocd_that_takes_no_address_is_put_on_loopback() -> None:
    source = next(source for source in load_versions()["argocd"].sources if isinstance(source, GoSource))
    assert {each.file.split("/")[0] for each in source.replacements} == {"controller", "cmd"}
    assert all(EVERYWHERE in each.old and "127.0.0.1" in each.new for each in source.replacements)


def _lock_with(replacement: dict[str, Any]) -> dict[str, Any]:
    lock = read_lock()
    source = next(source for source in lock["tools"]["argocd"]["sources"] if source["provider"] == "go")
    source["replace"] = [replacement]
    return lock


@pytest.mark.parametrize(
    ("replacement", "complaint"),
    [
        ({"file": "a", "old": "b"}, "new is missing"),
        ({"file": "a", "old": "", "new": "c"}, "old must not be empty"),
        ({"file": "a", "old": "b", "new": "c", "all": True}, "unknown key all"),
    ],
)
def test_a_mistake_in_a_replacement_names_its_place(replacement: dict[str, Any], complaint: str) -> None:
    with pytest.raises(UsageError, match=re.escape(complaint)) as caught:
        parse_versions(_lock_with(replacement))
    assert "replace 1" in caught.value.what


def test_a_note_is_shown_with_its_tool() -> None:
    tool = Tool("argocd", "3", "release", "https://a/b", Path("/cache"), "argocd", 1, 1.0, "metrics on every address")
    assert tools_table([tool])[0][-1] == "https://a/b\nNote: metrics on every address"
    assert tools_json([tool])[0]["note"] == "metrics on every address"
