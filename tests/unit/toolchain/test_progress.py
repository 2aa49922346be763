from __future__ import annotations

import io
from pathlib import Path

import pytest
from rich.console import Console

from sandbox.toolchain.inventory import HEADINGS, list_tools, tool_names, tools_json, tools_table
from sandbox.toolchain.progress import BarProgress, LineProgress, show_progress
from sandbox.toolchain.tool import Tool

TOOL = Tool("etcd", "3.6", "go", "Go module", Path("/cache/etcd"), "etcd", 3 << 20, 1.25)


def test_without_a_terminal_there_are_plain_lines() -> None:
    out = io.StringIO()
    with show_progress(Console(file=out, width=200)) as progress:
        assert isinstance(progress, LineProgress)
        progress.begin("etcd", "go", 43)
        progress.update("etcd", 0.5, "go.etcd.io/etcd/[server]")
        progress.end("etcd", 65.2)
    assert out.getvalue() == "etcd: from go, about 43 s\netcd: 1 min 5 s\n"


def test_long_work_gives_a_sign_of_life() -> None:
    out = io.StringIO()
    progress = LineProgress(Console(file=out, width=200), every=0)
    progress.update("etcd", 0.5, "compiling [raft]")
    progress.update("etcd", None, "waiting")
    assert out.getvalue() == "etcd: 50% compiling [raft]\netcd: waiting\n"


def test_on_a_terminal_there_is_a_bar_with_an_estimate() -> None:
    out = io.StringIO()
    with show_progress(Console(file=out, width=200, force_terminal=True)) as progress:
        assert isinstance(progress, BarProgress)
        progress.begin("etcd", "go", 43)
        progress.update("etcd", 0.5, "raft")
        progress.update("unknown", 0.5, "raft")
        progress.end("etcd", 2)
    assert "etcd (go)" in out.getvalue()
    assert "of about 43 s" in out.getvalue()


def test_a_row_has_a_cell_for_each_heading() -> None:
    (row,) = tools_table([TOOL])
    assert dict(zip(HEADINGS, row, strict=True)) == {
        "tool": "etcd",
        "version": "3.6",
        "provider": "go",
        "size": "3.0 MiB",
        "time": "1.2 s",
        "source": "Go module",
    }


def test_the_json_has_plain_numbers() -> None:
    (entry,) = tools_json([TOOL])
    assert entry["size"] == 3 << 20
    assert entry["seconds"] == 1.25
    assert entry["path"] == "/cache/etcd"


def test_the_list_of_tools_needs_none_of_them(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    rows = list_tools()
    assert [row.name for row in rows] == tool_names()
    assert rows[0].name == "go"
    assert all(row.providers for row in rows)
    assert all(row.tool is None for row in rows)
