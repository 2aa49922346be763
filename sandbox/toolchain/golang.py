"""Building programs from Go modules, with the pinned toolchain and the checksums of the repository's go.sum."""

from __future__ import annotations

import fnmatch
import json
import os
import shutil
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from sandbox.core.commands import CommandError, run
from sandbox.core.errors import UnavailableError
from sandbox.core.files import make_private_dir, writing_errors
from sandbox.core.folders import cache_root
from sandbox.core.hooks import without_repository
from sandbox.toolchain.followed import run_followed
from sandbox.toolchain.replacing import lay_over, replaced
from sandbox.toolchain.sources import SourceError
from sandbox.toolchain.store import Made
from sandbox.toolchain.versions import FileSet, GoModule, GoSource, architecture

__all__ = ["GoToolchain", "Note"]

Note = Callable[[float | None, str], None]

_BUILD_SECONDS = 3600.0
_DOWNLOAD_SECONDS = 900.0
_PROGRAM = 0o755
_DATA = 0o644
# A user's setting of these would change what is built, or with which toolchain.
_NOT_INHERITED = ("GOEXPERIMENT", "GODEBUG", "GOBIN", "GOTOOLDIR")


class GoToolchain:
    """The pinned Go toolchain.

    Args:
        goroot: Its folder, with bin/go in it.
    """

    def __init__(self, goroot: Path) -> None:
        self._goroot = goroot.resolve()
        self._go = self._goroot / "bin" / "go"

    def build(self, source: GoSource, output: Path, note: Note) -> Made:
        """Build one program.

        Args:
            source: The module at its version, and the program's package in it.
            output: The file to write.
            note: Told about every half second how far it is, by the estimate, and what is compiled.

        Raises:
            SourceError: The modules can't be had, their checksums differ, or they do not compile.
            UnavailableError: There is no space.
            UsageError: A replacement does not fit the module.
            DeadlineError: It took more than an hour.
        """
        module = source.module
        package = f"{module.path}/{source.package}".rstrip("/")
        argv = [str(self._go), "build", "-v", "-mod=readonly", "-trimpath", "-buildvcs=false"]
        argv += ["-ldflags", " ".join(("-s -w", *module.ldflags)), "-tags", ",".join(module.tags)]
        argv += ["-o", str(output), package]
        with tempfile.TemporaryDirectory(prefix="gitops-sandbox-go-") as scratch:
            lock = _copy_lock(module, Path(scratch))
            if source.replacements:
                original = self._module_folder(module, lock)
                edited = replaced(module, original, source.replacements)
                argv[2:2] = ["-overlay", str(lay_over(module, original, edited, lock))]
            self._checked(lambda: self._run_build(argv, lock, source.seconds, note))
        output.chmod(_PROGRAM)
        changed = ", with replacements" if source.replacements else ""
        return Made(f"Go module {module.path}@v{module.version}, package {source.package or '.'}{changed}")

    def add_files(self, files: FileSet, folder: Path) -> None:
        """Copy files of a module, whose checksum go.sum holds, into a tool's folder.

        Raises:
            SourceError: The module can't be had, or has no such file.
            UnavailableError: There is no space.
        """
        with tempfile.TemporaryDirectory(prefix="gitops-sandbox-go-") as scratch:
            top = self._module_folder(files.module, _copy_lock(files.module, Path(scratch))) / files.below
        names = [str(path.relative_to(top)) for path in sorted(top.rglob("*")) if path.is_file()]
        chosen = [name for name in names if _matches(name, files.include) and not _matches(name, files.exclude)]
        if not chosen:
            raise SourceError(f"module {files.module.path} has no {', '.join(files.include)} below {files.below}")
        mode = _PROGRAM if files.to == "bin" else _DATA
        for name in chosen:
            target = folder / files.to / name
            with writing_errors(target):
                target.parent.mkdir(parents=True, exist_ok=True)
                shutil.copyfile(top / name, target)
                target.chmod(mode)

    def _module_folder(self, module: GoModule, lock: Path) -> Path:
        """Give the module's folder in the module cache, downloaded and compared with go.sum."""
        argv: list[str | Path] = [self._go, "mod", "download", "-json", module.path]
        answer = self._checked(lambda: run(argv, timeout=_DOWNLOAD_SECONDS, cwd=lock, env=self.environment()))
        return Path(json.loads(answer)["Dir"])

    def environment(self) -> dict[str, str]:
        """Give the environment of the go command: the user's own settings of proxy and checksum database stay."""
        inherited = without_repository(os.environ)
        environment = {name: value for name, value in inherited.items() if name not in _NOT_INHERITED}
        cache = cache_root()
        environment |= {
            "CGO_ENABLED": "0",
            "GO111MODULE": "on",
            "GOAMD64": "v1",
            "GOARCH": architecture(),
            "GOARM64": "v8.0",
            "GOCACHE": str(make_private_dir(cache / "go-build")),
            "GOOS": "linux",
            "GOROOT": str(self._goroot),
            "GOTOOLCHAIN": "local",
            "GOWORK": "off",
        }
        if not environment.get("HOME") and not environment.get("GOPATH"):
            # go finds its module cache through HOME, and refuses to run where it can't.
            environment["GOPATH"] = str(make_private_dir(cache / "go-path"))
        return environment

    def _checked(self, work: Callable[[], str]) -> str:
        try:
            return work()
        except CommandError as error:
            if "no space left on device" in error.output:
                raise UnavailableError(
                    "there is no space left to build in",
                    why=error.output.strip()[-500:],
                    hint=f"free some in {cache_root()} and {tempfile.gettempdir()}, or set XDG_CACHE_HOME and TMPDIR",
                ) from error
            raise SourceError(error.what, why=error.why) from error

    def _run_build(self, argv: list[str], folder: Path, estimate: float, note: Note) -> str:
        begun = time.monotonic()

        def follow(line: str) -> None:
            note(min(0.99, (time.monotonic() - begun) / estimate), line.strip())

        wanted = f"`go build` of {argv[-1]}"
        run_followed(argv, follow, seconds=_BUILD_SECONDS, wanted=wanted, env=self.environment(), cwd=folder)
        return ""


def _copy_lock(module: GoModule, folder: Path) -> Path:
    """Copy go.mod and go.sum to where go may lock and rewrite them: the originals may be read-only."""
    for name in ("go.mod", "go.sum"):
        shutil.copyfile(module.lock / name, folder / name)
    return folder


def _matches(name: str, patterns: tuple[str, ...]) -> bool:
    return any(fnmatch.fnmatchcase(name, pattern) for pattern in patterns)
