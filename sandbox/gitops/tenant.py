"""The names under which one story works in a sandbox, so that two stories never meet."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Self

from sandbox.components.argocd.home import HomeNames
from sandbox.core.files import make_private_dir, write_new_file
from sandbox.gitops.moment import Moment

__all__ = ["APPLICATION", "ENVIRONMENTS", "Tenant", "Tenants"]

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

    @property
    def in_argocd(self) -> HomeNames:
        """All that it may have in Argo CD's namespace."""
        applications = tuple(self.application(each) for each in ENVIRONMENTS)
        return HomeNames(applications, (self.project,), (self.wrong_credential,))

    @property
    def wrong_credential(self) -> str:
        """The Secret with a password that its environment repository does not take; see ``sandbox.gitops.sabotage``."""
        return f"{self.name_prefix}wrong-password"

    def claims(self, name: str, others: Iterable[str] = ()) -> bool:
        """Say whether a name in the cluster is one of this tenant's: its own, or one that goes on behind it.

        Args:
            name: Of a namespace, an object, an AppProject.
            others: The names of other tenants: what one with a longer name claims is that one's.
        """
        longer = (replace(self, name=other) for other in others if other.startswith(f"{self.name}-"))
        mine = name.startswith(self.name_prefix) or name == self.name_prefix.removesuffix("-")
        return mine and not any(tenant.claims(name) for tenant in longer)


class Tenants:
    """The tenants that a sandbox has, and since when: what was there before a tenant came is not the tenant's.

    Args:
        folder: The sandbox's state folder.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder / "tenants"

    def add(self, tenant: Tenant) -> None:
        """Note that a tenant is there from now on; one that is there already stays as old as it is."""
        make_private_dir(self._folder)
        write_new_file(self._folder / tenant.name, Moment.now().at.strftime("%Y-%m-%dT%H:%M:%SZ"))

    def since(self, tenant: Tenant) -> str | None:
        """Say since when a tenant is there, as the API server writes a time (RFC 3339); None when it is not."""
        try:
            return (self._folder / tenant.name).read_text()
        except FileNotFoundError:
            return None

    def names(self) -> list[str]:
        """Give the names of all tenants."""
        if not self._folder.is_dir():
            return []
        return sorted(path.name for path in self._folder.iterdir() if not path.name.startswith("."))

    def discard(self, tenant: Tenant) -> None:
        """Forget a tenant of whom nothing is left."""
        (self._folder / tenant.name).unlink(missing_ok=True)
