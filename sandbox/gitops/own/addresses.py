"""Telling whether two addresses mean the same repository, however they are written."""

from __future__ import annotations

import re

__all__ = ["has_password", "is_address", "place_of"]

_URL = re.compile(r"(?P<scheme>https?|ssh|git|file)://(?:[^@/]*@)?(?P<host>[^/:\[]*|\[[^\]]*\])(?::\d+)?(?P<path>/.+)")
# git-clone(1): the scp-like form has a colon before the first slash.
_SCP = re.compile(r"(?:[A-Za-z0-9._-]+@)?(?P<host>[A-Za-z0-9][A-Za-z0-9.-]*):(?P<path>[^-/:][^:]*|/[^/].*)")
_PASSWORD = re.compile(r"https?://[^/@]*:[^/@]+@")


def is_address(text: str) -> bool:
    """Whether a text is an address that ``git clone`` takes over a network or by ``file://``."""
    return bool(_URL.fullmatch(text) or _SCP.fullmatch(text))


def has_password(address: str) -> bool:
    """Whether an address carries a password, which every user of the machine could read in an argv."""
    return bool(_PASSWORD.match(address))


def place_of(address: str) -> str:
    """Give what an address means: ``host/path`` in lower case, without scheme, account, port and ``.git``.

    Two addresses of one repository give the same: ``git@github.com:org/env.git`` and
    ``https://github.com/Org/env``. Argo CD compares them in much the same way (util/git, ``NormalizeGitURL``).

    Returns:
        The empty text when it is no address.
    """
    found = _URL.fullmatch(address.strip()) or _SCP.fullmatch(address.strip())
    if found is None:
        return ""
    path = re.sub(r"/+", "/", found["path"]).strip("/").removesuffix(".git").rstrip("/")
    return f"{found['host']}/{path}".lower() if path else ""
