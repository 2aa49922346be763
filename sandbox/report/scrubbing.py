"""Keeping secrets out of what is shown: by their values, in every guise in which programs write them."""

from __future__ import annotations

import base64
import json
import re
import urllib.parse
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Self

__all__ = ["HIDDEN", "Scrubber"]

HIDDEN = "[hidden]"

_SHORTEST = 6  # a shorter value would be found in harmless words
_PRIVATE_KEY = re.compile(r"-----BEGIN [A-Z ]*PRIVATE KEY-----.*?(?:-----END [A-Z ]*PRIVATE KEY-----|\Z)", re.DOTALL)
# What carries a secret whose value may be nobody's file: a header, a URL's account, a field of a kubeconfig.
_CARRIERS = (
    re.compile(r"(?i)(\b(?:basic|bearer)\s+)[A-Za-z0-9+/=_.~-]{8,}"),
    re.compile(r"(?i)([a-z][a-z0-9+.-]*://[^\s/:@'\"]*:)[^\s/@'\"]+(?=@)"),
    re.compile(r"(?i)(\b(?:client-key-data|password|passwd|secret|token)[\"']?\s*[:=]\s*[\"']?)[^\s\"',;&}]{6,}"),
)


class Scrubber:
    """Replaces secrets in texts.

    Args:
        secrets: Values by name.
    """

    def __init__(self, secrets: Mapping[str, str]) -> None:
        guises = {guise for value in secrets.values() if len(value) >= _SHORTEST for guise in _guises(value)}
        # The longest first: of a value that holds another one nothing must be left.
        ordered = sorted(guises, key=lambda guise: (-len(guise), guise))
        self._values = re.compile("|".join(map(re.escape, ordered))) if ordered else None

    @classmethod
    def of(cls, state: Path) -> Self:
        """Know the secrets of a sandbox: each file of ``secrets`` and each key of ``pki``.

        Args:
            state: The sandbox's state folder.

        Raises:
            OSError: One of them can't be read: nothing may be shown then.
        """
        files = [path for path in sorted((state / "secrets").glob("*")) if path.is_file()]
        values = {path.name: path.read_text(errors="replace").strip() for path in files}
        for path in sorted((state / "pki").glob("*.key")):
            # A line of a key's body, wherever it stands, gives it away as the whole does.
            for number, line in enumerate(path.read_text(errors="replace").splitlines()):
                if not line.startswith("-----"):
                    values[f"{path.name}:{number}"] = line.strip()
        return cls(values)

    def scrub(self, text: str) -> str:
        """Give a text without secrets."""
        text = _PRIVATE_KEY.sub(HIDDEN, text)
        if self._values is not None:
            text = self._values.sub(HIDDEN, text)
        for carrier in _CARRIERS:
            text = carrier.sub(rf"\g<1>{HIDDEN}", text)
        return text


def _guises(value: str) -> Iterator[str]:
    """Give a value as it is, in base64 by itself and behind an account's colon, in a URL, and in JSON."""
    yield value
    yield urllib.parse.quote(value, safe="")
    yield json.dumps(value)[1:-1]
    raw = value.encode()
    for lead in range(3):
        # Base64 shifts with what stands before: the middle of each shift is the value's own.
        encoded = base64.b64encode(b"\0" * lead + raw)
        own = encoded[4 if lead else 0 :].rstrip(b"=")
        if len(own) > _SHORTEST + 2:
            yield own[:-1].decode()
