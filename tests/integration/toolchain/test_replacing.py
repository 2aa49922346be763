"""Replacing a text of a module's source for its build, with the real Go toolchain and a module proxy of files."""

from __future__ import annotations

import dataclasses
import zipfile
from pathlib import Path

import pytest

from sandbox.core.commands import run
from sandbox.core.errors import UsageError
from sandbox.toolchain import ensure_tools
from sandbox.toolchain.golang import GoToolchain
from sandbox.toolchain.sources import SourceError
from sandbox.toolchain.versions import GoModule, GoSource, Replacement

MODULE = "example.invalid/hello"
MAIN = """package main

import (
\t_ "embed"
\t"fmt"

\t"example.invalid/hello/words"
)

//go:embed name.txt
var name string

func main() { fmt.Print(words.Greeting, name) }
"""
FILES = {
    "go.mod": f"module {MODULE}\n\ngo 1.21\n",
    "cmd/hello/main.go": MAIN,
    "cmd/hello/name.txt": "Ann",
    "words/words.go": 'package words\n\nconst Greeting = "listens on everywhere for "\n',
}


@pytest.fixture
def toolchain() -> GoToolchain:
    """Give the pinned toolchain from the user's cache."""
    return GoToolchain(ensure_tools(["go"])["go"].file("goroot"))


@pytest.fixture
def source(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, toolchain: GoToolchain) -> GoSource:
    """Publish a tiny module through a proxy that is a folder, and lock it with its checksums."""
    versions = tmp_path / "proxy" / MODULE / "@v"
    versions.mkdir(parents=True)
    (versions / "v1.2.3.info").write_text('{"Version": "v1.2.3"}')
    (versions / "v1.2.3.mod").write_text(FILES["go.mod"])
    with zipfile.ZipFile(versions / "v1.2.3.zip", "w") as archive:
        for name, text in FILES.items():
            archive.writestr(f"{MODULE}@v1.2.3/{name}", text)
    monkeypatch.setenv("GOPROXY", f"file://{tmp_path / 'proxy'}")
    monkeypatch.setenv("GONOSUMDB", MODULE)
    monkeypatch.setenv("GOMODCACHE", str(tmp_path / "modules"))
    monkeypatch.setenv("GOFLAGS", "-modcacherw")
    lock = tmp_path / "lock"
    lock.mkdir()
    (lock / "go.mod").write_text(f"module lock.invalid/hello\n\ngo 1.21\n\nrequire {MODULE} v1.2.3\n")
    run([toolchain._go, "mod", "download", MODULE], timeout=60, cwd=lock, env=toolchain.environment())
    assert f"{MODULE} v1.2.3 h1:" in (lock / "go.sum").read_text()
    return GoSource(GoModule("hello", MODULE, "1.2.3", (), (), lock), "cmd/hello", "1", 1.0)


def _replacing(source: GoSource, *replacements: Replacement) -> GoSource:
    return dataclasses.replace(source, replacements=replacements)


def test_a_replacement_is_in_the_program_and_nowhere_else(
    tmp_path: Path, toolchain: GoToolchain, source: GoSource
) -> None:
    plain, changed = tmp_path / "plain", tmp_path / "changed"
    toolchain.build(source, plain, lambda *_: None)
    loopback = Replacement("words/words.go", '"listens on everywhere for', '"listens on 127.0.0.1 for')
    made = toolchain.build(_replacing(source, loopback), changed, lambda *_: None)
    assert made.source.endswith("package cmd/hello, with replacements")
    assert run([plain], timeout=10) == "listens on everywhere for Ann"
    assert run([changed], timeout=10) == "listens on 127.0.0.1 for Ann"
    assert (tmp_path / "modules" / f"{MODULE}@v1.2.3" / "words" / "words.go").read_text() == FILES["words/words.go"]
    assert "everywhere" not in (source.module.lock / "go.mod").read_text()


def test_the_same_replacements_give_the_same_bytes(tmp_path: Path, toolchain: GoToolchain, source: GoSource) -> None:
    twice = (
        Replacement("words/words.go", "listens", "waits"),
        Replacement("words/words.go", "waits on everywhere", "rests"),
    )
    for name in ("one", "two"):
        toolchain.build(_replacing(source, *twice), tmp_path / name, lambda *_: None)
    assert run([tmp_path / "one"], timeout=10) == "rests for Ann"
    assert (tmp_path / "one").read_bytes() == (tmp_path / "two").read_bytes()
    assert str(tmp_path).encode() not in (tmp_path / "one").read_bytes()


def test_a_text_that_does_not_occur_ends_the_build_and_says_where(
    tmp_path: Path, toolchain: GoToolchain, source: GoSource
) -> None:
    with pytest.raises(UsageError) as caught:
        toolchain.build(
            _replacing(source, Replacement("words/words.go", "[::]", "x")), tmp_path / "no", lambda *_: None
        )
    assert f"words/words.go that {MODULE} v1.2.3 does not have" in caught.value.what
    assert caught.value.why == "it holds '[::]' 0 times and not once"
    assert not (tmp_path / "no").exists()


def test_a_module_that_was_tampered_with_is_not_built_with_replacements_either(
    tmp_path: Path, toolchain: GoToolchain, source: GoSource
) -> None:
    text = (source.module.lock / "go.sum").read_text()
    first = text.splitlines()[0]
    (source.module.lock / "go.sum").write_text(text.replace(first, f"{first[:-6]}AAAAA="))
    loopback = Replacement("words/words.go", "everywhere", "127.0.0.1")
    with pytest.raises(SourceError) as caught:
        toolchain.build(_replacing(source, loopback), tmp_path / "no", lambda *_: None)
    assert "checksum mismatch" in caught.value.why
