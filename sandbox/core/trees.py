"""Folders kept and put back by hard links: nothing is copied, however large the files are.

For folders whose files are never changed in place, only written anew and renamed, or removed: what
a link keeps then stays as it was. So do Git's objects and refs (lockfile.c, and gitrepository-layout(5)),
and Distribution's blobs and links (its filesystem driver, ``PutContent``).
"""

from __future__ import annotations

import contextlib
import errno
import os
import secrets
import shutil
from pathlib import Path

from sandbox.core.files import PRIVATE_DIR, make_private_dir, remove_tree, writing_errors

__all__ = ["keep_tree", "put_back_tree"]


def keep_tree(source: Path, into: Path) -> None:
    """Keep what a folder holds now; one that is not there is kept as an empty one.

    What stands later in the alphabet is kept first, and put back last: so of two folders, one that names
    things in the other is never kept with a name of what is not kept.

    Args:
        source: The folder. What vanishes from it meanwhile is left out.
        into: Made for this user alone.

    Raises:
        UnavailableError: It can't be written; says why.
    """
    with writing_errors(into):
        make_private_dir(into)
        if source.is_dir():
            _link_new(source, into)


def put_back_tree(kept: Path, target: Path) -> int:
    """Have a folder hold exactly what was kept of it; what is as it was is left alone.

    First comes what lacks, in the order of the alphabet, then goes what is too much, in the other one.

    Args:
        kept: Where ``keep_tree`` has kept it; where there is nothing, the folder is emptied.
        target: The folder.

    Returns:
        How many files and folders were put back or removed.

    Raises:
        UnavailableError: It can't be written; says why.
    """
    with writing_errors(target):
        make_private_dir(target)
        return _link_missing(kept, target) + _remove_extra(kept, target)


def _names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir()) if folder.is_dir() else []


def _link_new(source: Path, into: Path) -> None:
    for name in reversed(_names(source)):
        one = source / name
        with contextlib.suppress(FileNotFoundError):
            if one.is_dir() and not one.is_symlink():
                (into / name).mkdir(mode=PRIVATE_DIR)
                _link_new(one, into / name)
            else:
                _link(one, into / name)


def _link_missing(kept: Path, target: Path) -> int:
    changes = 0
    for name in _names(kept):
        wanted, there = kept / name, target / name
        if wanted.is_dir() and not wanted.is_symlink():
            if there.is_symlink() or not there.is_dir():
                _remove(there)
                there.mkdir(mode=PRIVATE_DIR)
                changes += 1
            changes += _link_missing(wanted, there)
        elif not _is_same(wanted, there):
            if there.is_dir() and not there.is_symlink():
                _remove(there)
            # Beside it first, then in its place: who reads it meanwhile sees the one file or the other.
            draft = target / f".{secrets.token_hex(8)}"
            _link(wanted, draft)
            draft.rename(there)
            changes += 1
    return changes


def _remove_extra(kept: Path, target: Path) -> int:
    changes = 0
    for name in reversed(_names(target)):
        wanted, there = kept / name, target / name
        if not os.path.lexists(wanted):
            _remove(there)
            changes += 1
        elif there.is_dir() and not there.is_symlink():
            changes += _remove_extra(wanted, there)
    return changes


def _is_same(one: Path, other: Path) -> bool:
    try:
        return os.path.samestat(one.lstat(), other.lstat())
    except FileNotFoundError:
        return False


def _link(source: Path, target: Path) -> None:
    try:
        os.link(source, target, follow_symlinks=False)
    except OSError as error:
        # Another disk, or more links of one file than a file system can have.
        if error.errno not in (errno.EXDEV, errno.EMLINK):
            raise
        shutil.copy2(source, target, follow_symlinks=False)


def _remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        remove_tree(path)
    else:
        path.unlink(missing_ok=True)
