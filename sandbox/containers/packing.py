"""Files in memory as the tar archives in which Docker takes them."""

from __future__ import annotations

import io
import tarfile
from collections.abc import Mapping

__all__ = ["packed"]


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
