"""Building a module with a few words of its source replaced, without a copy of that source in the repository.

``go build -overlay`` refuses files beneath the module cache. So the lock is told that the module lives in a folder
that is not there, and the overlay fills that folder: with the module's files as they lie in the cache, whose checksums
go has verified, and with an edited copy of those in which something is replaced.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

from sandbox.core.errors import UsageError
from sandbox.core.files import writing_errors
from sandbox.toolchain.versions import GoModule, Replacement

__all__ = ["lay_over", "replaced"]

# Relative, and always the same: the path stands in the program's build information.
_FOLDER = "module"


def replaced(module: GoModule, original: Path, replacements: Sequence[Replacement]) -> dict[str, str]:
    """Apply replacements and give the new text of each file that they change, by its path in the module.

    Raises:
        UsageError: A file is not there, or does not hold the old text exactly once: what was meant when the lock was
            written is not what would be built now.
    """
    edited: dict[str, str] = {}
    for each in replacements:
        try:
            text = edited.get(each.file) or (original / each.file).read_text()
        except (OSError, UnicodeDecodeError) as error:
            raise _not_as_meant(module, each, f"the file can't be read: {error}") from error
        if (times := text.count(each.old)) != 1:
            raise _not_as_meant(module, each, f"it holds {each.old!r} {times} times and not once")
        edited[each.file] = text.replace(each.old, each.new)
    return edited


def _not_as_meant(module: GoModule, replacement: Replacement, why: str) -> UsageError:
    return UsageError(
        f"versions.toml replaces something in {replacement.file} that {module.path} v{module.version} does not have",
        why=why,
        hint="look at that file in this version of the module, then mend `replace` in versions.toml",
    )


def lay_over(module: GoModule, original: Path, edited: dict[str, str], scratch: Path) -> Path:
    """Make a build in ``scratch``, which holds the copied lock, take the module with its edited files.

    Args:
        module: The module.
        original: Its folder in the module cache.
        edited: New texts by path in the module.
        scratch: The build's folder; its go.mod is changed.

    Returns:
        The file for ``-overlay``.

    Raises:
        UnavailableError: There is no space.
    """
    overlay = {
        str(scratch / _FOLDER / path.relative_to(original)): str(path) for path in original.rglob("*") if path.is_file()
    }
    with writing_errors(scratch):
        for number, (name, text) in enumerate(edited.items()):
            copy = scratch / f"replaced-{number}{Path(name).suffix}"
            copy.write_text(text)
            overlay[str(scratch / _FOLDER / name)] = str(copy)
        with (scratch / "go.mod").open("a") as lock:
            lock.write(f"\nreplace {module.path} => ./{_FOLDER}\n")
        file = scratch / "overlay.json"
        file.write_text(json.dumps({"Replace": overlay}))
    return file
