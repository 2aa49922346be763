"""Being run by one of the user's Git hooks, which has in its environment what git works on: none of it is ours.

git(1), "GIT_DIR" and those after it; whoever works on another repository has to drop them (githooks(5)).
"""

from __future__ import annotations

import os
from collections.abc import Mapping

__all__ = ["forget_repository", "without_repository"]

# How the user's git reaches servers, which helps wherever it runs.
_KEPT = frozenset(
    {
        "GIT_ASKPASS",
        "GIT_CONFIG_GLOBAL",
        "GIT_CONFIG_NOSYSTEM",
        "GIT_EXEC_PATH",
        "GIT_SSH",
        "GIT_SSH_COMMAND",
        "GIT_SSL_CAINFO",
    }
)
_LIBRARY = "GIT_PYTHON_"  # how GitPython finds git


def _stays(name: str) -> bool:
    return not name.startswith("GIT_") or name in _KEPT or name.startswith(_LIBRARY)


def without_repository(environment: Mapping[str, str]) -> dict[str, str]:
    """Give an environment without what names a repository, its index, or who commits to it."""
    return {name: value for name, value in environment.items() if _stays(name)}


def forget_repository() -> None:
    """Take it out of this process's own environment, for libraries that read or hand on that one."""
    for name in [each for each in os.environ if not _stays(each)]:
        del os.environ[name]
