"""The names under which one story works in a sandbox, so that two stories never meet."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["APPLICATION", "ENVIRONMENTS", "Tenant"]

APPLICATION = "greeter"
ENVIRONMENTS = ("dev", "staging", "production")


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
