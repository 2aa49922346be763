"""Manifests that were read or worked out of a publisher's, kept for the next sandbox.

Of Argo CD's, two megabytes, to read them takes half a second of a processor and to render an overlay two more, at the
very time at which a cluster begins.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, cast

import yaml

from sandbox.core.errors import UsageError
from sandbox.core.files import digest, make_private_dir, read_json, write_file
from sandbox.core.folders import cache_root

__all__ = ["kept", "official"]

Manifests = list[dict[str, Any]]


def kept(goes_in: Sequence[object], make: Callable[[], Manifests]) -> Manifests:
    """Give what is made once of what goes into it.

    Args:
        goes_in: All that it depends on, as JSON can hold it: texts, versions, words.
        make: Makes it.

    Raises:
        UnavailableError: It can't be kept, or what ``make`` raises.
    """
    key = hashlib.sha256(json.dumps(goes_in).encode()).hexdigest()[:32]
    path = make_private_dir(cache_root() / "manifests") / f"{key}.json"
    # A damaged file is made anew.
    with contextlib.suppress(FileNotFoundError, UsageError, KeyError):
        return cast("Manifests", read_json(path)["items"])
    made = make()
    # Not as `write_json` has it for people: four times as much would be read at each start.
    write_file(path, json.dumps({"items": made}))
    return made


def official(path: Path) -> Manifests:
    """Read a publisher's manifests.

    Args:
        path: The file, as YAML.
    """
    return kept(["read", digest(path)], lambda: list(yaml.load_all(path.read_bytes(), Loader=yaml.CSafeLoader)))
