"""The names under which one story works in a sandbox, so that two stories never meet."""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass
from typing import Self

__all__ = ["APPLICATION", "ENVIRONMENTS", "Tenant"]

APPLICATION = "greeter"
ENVIRONMENTS = ("dev", "staging", "production")
_LONGEST = 30
"""With the application and an environment behind it, a name is still one of a namespace (RFC 1123: 63 characters)."""
_HASH = 6


@dataclass(frozen=True, slots=True)
class Tenant:
    """A prefix of everything a story makes.

    Attributes:
        name: The prefix: a DNS label.
        prefix: What stands before it in the cluster, where others have names too.
    """

    name: str
    prefix: str = ""

    @property
    def name_prefix(self) -> str:
        """What each of its names in the cluster begins with."""
        return f"{self.prefix}{self.name}-"

    @classmethod
    def called(cls, said: str, *apart: str) -> Self:
        """Make a tenant whose name begins as ``said`` does, as far as a DNS label can.

        Args:
            said: What people know it by: a story's name, or a test's.
            *apart: What tells it from others that are called so; where there is none, a name that can be a
                tenant's stays as it is.
        """
        slug = re.sub(r"[^a-z0-9]+", "-", said.lower()).strip("-")
        if slug == said and slug[:1].isalpha() and len(slug) <= _LONGEST and not apart:
            return cls(slug)
        mark = hashlib.sha256("\0".join((said, *apart)).encode()).hexdigest()[:_HASH]
        short = slug[: _LONGEST - _HASH - 1].rstrip("-")
        # A letter first: some kinds of objects may not be called by a number (RFC 1035).
        return cls(f"{short}-{mark}" if short and short[0].isalpha() else f"t-{short[: _LONGEST - _HASH - 3]}-{mark}")

    @property
    def source(self) -> str:
        """Its source repository."""
        return f"{self.name}/{APPLICATION}"

    @property
    def environment(self) -> str:
        """Its environment repository."""
        return f"{self.name}/environment"

    @property
    def project(self) -> str:
        """Its AppProject."""
        return f"{self.name_prefix}{APPLICATION}"

    def application(self, environment: str) -> str:
        """Give the name of its Application for an environment, which is that of the namespace too."""
        return f"{self.name_prefix}{APPLICATION}-{environment}"
