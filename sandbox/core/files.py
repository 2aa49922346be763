"""Files written whole or not at all, their digests, and secrets that nobody else may read."""

from __future__ import annotations

import contextlib
import errno
import hashlib
import json
import os
import secrets
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

from sandbox.core.conditions import Deadline, Observation, met, pending, wait_for
from sandbox.core.errors import UnavailableError, UsageError

__all__ = [
    "digest",
    "make_private_dir",
    "new_password",
    "read_json",
    "remove_tree",
    "write_file",
    "write_json",
    "write_new_file",
    "writing_errors",
]

_REMOVE_SECONDS = 5.0
PRIVATE_DIR = 0o700
PRIVATE_FILE = 0o600


def digest(path: Path) -> str:
    """Give the SHA-256 of a file in hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


@contextlib.contextmanager
def writing_errors(path: Path) -> Iterator[None]:
    """Turn the operating system's refusal to write into an error that names the folder and the mend.

    Raises:
        UnavailableError: The folder is read-only, the disk is full, or access is denied.
    """
    try:
        yield
    except OSError as error:
        raise UnavailableError(
            f"can't write {path}",
            why=error.strerror or str(error),
            hint="free some space or give a writable folder by XDG_STATE_HOME and XDG_CACHE_HOME",
        ) from error


def make_private_dir(path: Path) -> Path:
    """Make a folder, and the parents that it lacks, for this user alone (0700), whatever the umask.

    Raises:
        UnavailableError: The folder can't be made.
    """
    with writing_errors(path):
        # Not by `parents=True`, which gives parents whatever rights the umask leaves.
        for parent in reversed([parent for parent in path.parents if not parent.exists()]):
            parent.mkdir(mode=PRIVATE_DIR, exist_ok=True)
        path.mkdir(mode=PRIVATE_DIR, exist_ok=True)
        path.chmod(PRIVATE_DIR)
    return path


def write_file(path: Path, content: str | bytes, *, mode: int = PRIVATE_FILE) -> Path:
    """Write a file atomically: a reader sees the old content or the new, never a part.

    Args:
        path: Where; its folder must exist.
        content: What.
        mode: Permission bits, set before the content is written, whatever the umask.

    Raises:
        UnavailableError: The file can't be written.
    """
    data = content.encode() if isinstance(content, str) else content
    with writing_errors(path):
        descriptor, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
        try:
            os.fchmod(descriptor, mode)
            with os.fdopen(descriptor, "wb") as file:
                file.write(data)
            Path(name).replace(path)
        except BaseException:
            Path(name).unlink(missing_ok=True)
            raise
    return path


def write_new_file(path: Path, content: str) -> Path:
    """Write a file for this user alone, unless it is there already: of two writers at once, the first wins.

    Raises:
        UnavailableError: The file can't be written.
    """
    with writing_errors(path):
        draft = write_file(path.parent / f".{path.name}.{secrets.token_hex(8)}", content)
        try:
            os.link(draft, path)
        except FileExistsError:
            return path
        finally:
            draft.unlink()
    return path


def write_json(path: Path, value: object) -> Path:
    """Write ``value`` as JSON, atomically and for this user alone."""
    return write_file(path, json.dumps(value, indent=2, sort_keys=True) + "\n")


def read_json(path: Path) -> dict[str, object]:
    """Read a JSON object of our own making.

    Raises:
        FileNotFoundError: There is none.
        UsageError: It is damaged; says how to go on without losing anything unseen.
    """
    try:
        value = json.loads(path.read_text())
    except (ValueError, UnicodeDecodeError) as error:
        raise UsageError(f"{path} is damaged", why=str(error), hint=f"look at it, then: rm {path}") from error
    if not isinstance(value, dict):
        raise UsageError(f"{path} is damaged", why="it holds no JSON object", hint=f"look at it, then: rm {path}")
    return value


def remove_tree(path: Path) -> None:
    """Remove a folder and all that is in it, folders that nobody may enter too: Argo CD locks its checkouts so.

    Raises:
        UnavailableError: Something of it can't be removed.
    """
    deadline = Deadline.after(_REMOVE_SECONDS)
    there = path.exists()

    def gone() -> Observation:
        try:
            with writing_errors(path):
                _remove_once(path)
        except UnavailableError as error:
            # What was being written when its writer was ended may appear a moment later; and somebody else may
            # remove it too.
            number = error.__cause__.errno if isinstance(error.__cause__, OSError) else None
            if number == errno.ENOENT and there and not path.exists():
                return met("somebody else has removed it")
            if number not in (errno.ENOTEMPTY, errno.ENOENT) or not there or deadline.passed:
                raise
            return pending(error.why)
        return met("removed")

    wait_for(gone, deadline, wanted=f"{path} to be removed")


def _remove_once(path: Path) -> None:
    for parent, folders, _ in os.walk(path):
        for folder in folders:
            # Before it is walked into; of a link, nothing is changed.
            if not (Path(parent) / folder).is_symlink():
                (Path(parent) / folder).chmod(PRIVATE_DIR)
    shutil.rmtree(path)


def new_password() -> str:
    """Make a random password of 256 bits that is safe in URLs, YAML and configuration files."""
    return secrets.token_urlsafe(32)
