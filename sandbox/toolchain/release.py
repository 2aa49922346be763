"""Downloading a publisher's binary: nothing is made of it before its SHA-256 is the expected one."""

from __future__ import annotations

import hashlib
import re
import shutil
import tarfile
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import unquote, urlsplit

import requests

from sandbox.core.errors import UnavailableError
from sandbox.core.files import writing_errors
from sandbox.toolchain.sources import SourceError
from sandbox.toolchain.store import Made
from sandbox.toolchain.versions import ReleaseSource, ToolDescription, architecture

__all__ = ["ChecksumError", "Downloader", "expected_sum"]

_CHUNK = 1 << 18
_PROGRAM = 0o755
_SUM = re.compile(r"(?:^|\s)([0-9a-fA-F]{64})(?=\s|$)")
_SUM_FILE_LIMIT = 1 << 20

Note = Callable[[float | None, str], None]


class ChecksumError(UnavailableError):
    """What was downloaded is not what was locked. No other source is tried: this must be looked at."""


def expected_sum(text: str, name: str) -> str:
    """Find a file's SHA-256 in a publisher's checksum file.

    Args:
        text: Lines of a sum and a file's name as sha256sum writes them, or one sum alone.
        name: The file's name without folders.

    Raises:
        SourceError: The sum is not in it, or more than one differs.
    """
    sums: set[str] = set()
    for line in text.splitlines():
        words = line.split()
        if len(words) == 1 or (words and words[-1].lstrip("*").rpartition("/")[2] == name):
            sums.update(found.lower() for found in _SUM.findall(line))
    if len(sums) != 1:
        raise SourceError(f"the publisher's checksum file has {len(sums)} sums of {name}")
    return sums.pop()


@dataclass(frozen=True, slots=True)
class Downloader:
    """Downloads releases.

    Attributes:
        connect_seconds: How long a server has to accept a connection.
        stall_seconds: How long a server may send nothing.
        cancelled: Set to end all downloads under way.
    """

    connect_seconds: float = 5.0
    stall_seconds: float = 20.0
    cancelled: threading.Event = field(default_factory=threading.Event)

    def fill(self, tool: ToolDescription, source: ReleaseSource, folder: Path, note: Note) -> Made:
        """Put a release's program into ``folder``.

        Raises:
            SourceError: The server does not answer, does not have it, stalls, or sends a part only.
            ChecksumError: It is not what was locked.
            UnavailableError: The folder can't be written.
        """
        arch = architecture()
        url = source.fill(source.url, tool.version, arch)
        name = unquote(urlsplit(url).path).rpartition("/")[2]
        wanted = source.sha256.get(arch, "").lower()
        if not wanted and not source.checksums:
            raise SourceError(f"no checksum of {name} is locked for {arch}")
        if not wanted:
            wanted = expected_sum(self._text(source.fill(source.checksums, tool.version, arch)), name)
        package = folder / "download"
        got = self._download(url, package, note)
        if got != wanted:
            raise ChecksumError(
                f"{url} is not what was locked",
                why=f"its SHA-256 is {got}, and {wanted} was expected",
                hint="try again; if it stays so, tell the project, and build it meanwhile: --provider go",
            )
        program = folder / "bin" / tool.binary
        with writing_errors(program):
            if source.member:
                _extract(package, source.fill(source.member, tool.version, arch), program)
                package.unlink()
            else:
                package.rename(program)
            program.chmod(_PROGRAM)
        return Made(url)

    def _open(self, url: str) -> requests.Response:
        try:
            response = requests.get(
                url,
                stream=True,
                timeout=(self.connect_seconds, self.stall_seconds),
                # A compressed answer would have another length than the one that it announces.
                headers={"Accept-Encoding": "identity"},
            )
        except requests.RequestException as error:
            raise SourceError(f"{url} can't be read: {error}") from error
        if url.startswith("https:") and not response.url.startswith("https:"):
            response.close()
            raise SourceError(f"{url} leads away from HTTPS")
        if response.status_code != requests.codes.ok:
            response.close()
            raise SourceError(f"{url} answers {response.status_code} {response.reason}")
        return response

    def _text(self, url: str) -> str:
        with self._open(url) as response:
            try:
                return next(response.iter_content(_SUM_FILE_LIMIT), b"").decode(errors="replace")
            except requests.RequestException as error:
                raise SourceError(f"{url} can't be read: {error}") from error

    def _download(self, url: str, target: Path, note: Note) -> str:
        """Write a URL's content to a file and give its SHA-256."""
        with self._open(url) as response:
            total = int(response.headers.get("Content-Length", "0"))
            free = shutil.disk_usage(target.parent).free
            if total > free:
                raise UnavailableError(
                    f"there is no space for {url}",
                    why=f"it has {total:,} bytes, and {free:,} are free in {target.parent.parent}",
                    hint="free some space, or give another folder by XDG_CACHE_HOME",
                )
            summed = hashlib.sha256()
            size = 0
            with writing_errors(target), target.open("wb") as file:
                for chunk in _chunks(response, url):
                    if self.cancelled.is_set():
                        raise SourceError(f"the download of {url} was cancelled")
                    file.write(chunk)
                    summed.update(chunk)
                    size += len(chunk)
                    note(size / total if total else None, f"{size >> 20} MiB")
        if total and size != total:
            raise SourceError(f"{url} ended after {size:,} of {total:,} bytes")
        return summed.hexdigest()


def _chunks(response: requests.Response, url: str) -> Iterator[bytes]:
    # requests' errors are OSErrors: turned here, so that they are not taken for a disk that can't be written.
    try:
        yield from response.iter_content(_CHUNK)
    except requests.RequestException as error:
        raise SourceError(f"{url} broke off: {error}") from error


def _extract(archive: Path, member: str, target: Path) -> None:
    """Take one file out of a tar archive; whatever else is in it is never written."""
    try:
        with tarfile.open(archive) as tar:
            found = tar.getmember(member)
            if not found.isfile():
                raise SourceError(f"{member} is no plain file in {archive.name}")
            tar.extract(found.replace(name=target.name), path=target.parent, filter="data")
    except (KeyError, tarfile.TarError) as error:
        raise SourceError(f"{member} can't be taken from the archive: {error}") from error
