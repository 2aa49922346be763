"""Where things are kept: the user's cache and state folders, and the data that ships with the product."""

from __future__ import annotations

import os
import pwd
from pathlib import Path

from sandbox.core.errors import UnavailableError
from sandbox.core.files import make_private_dir

__all__ = ["cache_root", "data_root", "home", "sandbox_dir", "state_path", "state_root"]

_APP = "gitops-sandbox"


def home() -> Path:
    """Give the user's home folder, from the user database where the environment has no HOME.

    Raises:
        UnavailableError: The user has no home folder at all.
    """
    named = os.environ.get("HOME")
    if named:
        return Path(named)
    try:
        return Path(pwd.getpwuid(os.getuid()).pw_dir)
    except KeyError as error:
        raise UnavailableError(
            "there is no home folder",
            why=f"HOME is not set and user {os.getuid()} is not in the user database",
            hint="set HOME, or XDG_STATE_HOME and XDG_CACHE_HOME",
        ) from error


def _xdg(variable: str, default: str) -> Path:
    named = os.environ.get(variable, "")
    # The XDG base directory specification says that a relative path is to be ignored.
    base = Path(named) if named.startswith("/") else home() / default
    return base / _APP


def cache_root() -> Path:
    """Give the folder of what can be made again: tools, seeds, build caches."""
    return make_private_dir(_xdg("XDG_CACHE_HOME", ".cache"))


def state_path() -> Path:
    """Say where the folder of all sandboxes of this user is, or would be."""
    return _xdg("XDG_STATE_HOME", ".local/state")


def state_root() -> Path:
    """Give the folder of all sandboxes of this user."""
    return make_private_dir(state_path())


def sandbox_dir(name: str) -> Path:
    """Give the folder of one sandbox; ``name`` must have passed ``check_sandbox_name``."""
    return state_root() / name


def data_root() -> Path:
    """Give the folder that holds ``fixtures/`` and ``versions.toml``: inside the wheel, or the checkout."""
    package = Path(__file__).resolve().parent.parent
    shipped = package / "data"
    return shipped if shipped.is_dir() else package.parent
