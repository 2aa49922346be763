"""Files in memory as the tar archives in which Docker takes them."""

from __future__ import annotations

import io
import tarfile
from collections.abc import Mapping
from typing import IO

__all__ = ["packed", "unpacked"]


def packed(files: Mapping[str, bytes], mode: int) -> bytes:
    """Give a tar archive of files, all root's.

    Args:
        files: Contents by path; what is absolute begins at the archive's root.
        mode: Their permission bits.
    """
    archive = io.BytesIO()
    with tarfile.open(fileobj=archive, mode="w") as tar:
        for name, content in files.items():
            member = tarfile.TarInfo(name.lstrip("/"))
            member.size = len(content)
            member.mode = mode
            tar.addfile(member, io.BytesIO(content))
    return archive.getvalue()


def unpacked(archive: IO[bytes]) -> bytes:
    """Give the content of the only file in a tar archive.

    Args:
        archive: The archive, read from where it is to its end.

    Raises:
        ValueError: There is another number of files in it.
    """
    with tarfile.open(fileobj=archive, mode="r|") as tar:
        contents = [held.read() for member in tar if (held := tar.extractfile(member)) is not None]
    if len(contents) != 1:
        raise ValueError(f"the archive holds {len(contents)} files, not one")
    return contents[0]
