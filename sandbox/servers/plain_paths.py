"""A way to a folder whose path needs no quoting, whatever the folder itself is called.

act (0.2.89) puts the path of a step's script into a shell command line without quoting it
(``bash -e -o pipefail {0}``), and people's workflows trust ``$HOME`` and ``$RUNNER_TEMP`` to hold no
space, since on a forge they never do. A state folder may hold any character.
"""

from __future__ import annotations

import contextlib
import os
import re
import tempfile
from collections.abc import Iterator
from pathlib import Path

from sandbox.core.errors import UnavailableError
from sandbox.core.files import writing_errors

__all__ = ["close_ways", "open_way"]

_PLAIN = re.compile(r"[A-Za-z0-9_./@%+=-]+")
_PREFIX = "gitops-sandbox-run-"
_LINK = "run"
# Not TMPDIR: a component's own lies below the state folder, whose path is what is to be avoided.
_BASES = (Path("/tmp"), Path("/var/tmp"))  # noqa: S108  # only for private folders made by mkdtemp


def open_way(folder: Path) -> Path:
    """Give a path to ``folder`` that a shell reads as one word; the folder's own where that will do.

    Another is a link in a private folder (0700). ``close_ways`` takes it away.

    Raises:
        UnavailableError: No link can be made.
    """
    if _PLAIN.fullmatch(str(folder)):
        return folder
    base = next((base for base in _BASES if os.access(base, os.W_OK | os.X_OK)), None)
    if base is None:
        raise UnavailableError(
            f"can't make a link to {folder}",
            why=f"a workflow's steps need a path without spaces or quotes, and none of {_named()} can be written",
            hint="give a state folder with a plain path by XDG_STATE_HOME",
        )
    with writing_errors(base):
        link = Path(tempfile.mkdtemp(prefix=_PREFIX, dir=base)) / _LINK
        link.symlink_to(folder)
    return link


def close_ways(folder: Path) -> None:
    """Take the links to ``folder`` away, and those of this user's that lead nowhere any more.

    They are found by where they lead, so that one whose maker was killed is found too.
    """
    for link in _links():
        # Two runs that end at once may find the same one.
        with contextlib.suppress(FileNotFoundError):
            if link.readlink() == folder or not link.exists():
                link.unlink()
                link.parent.rmdir()


def _links() -> Iterator[Path]:
    for base in _BASES:
        for holder in base.glob(f"{_PREFIX}*"):
            link = holder / _LINK
            with contextlib.suppress(FileNotFoundError):
                # Another user's may not even be looked into.
                if holder.lstat().st_uid == os.getuid() and link.is_symlink():
                    yield link


def _named() -> str:
    return " and ".join(map(str, _BASES))
