"""What a user of the pytest plugin has asked for, on the command line or in the ini file."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Self

import pytest

from sandbox.core.names import check_choice, check_sandbox_name
from sandbox.engines import sandboxes

__all__ = ["Settings"]

_KEEP = ("never", "failure", "always")


@dataclass(frozen=True, slots=True)
class Settings:
    """The plugin's options.

    Attributes:
        engine: Where the sandbox lives; None where it is not said.
        name: Which sandbox to use and to leave standing; None for one of the run's own.
        keep: never, failure or always: what stays to be looked at.
        reports: Where reports of failed tests go; None where it is not said.
        strict: Whether what the engine can't show fails.
    """

    engine: str | None
    name: str | None
    keep: str
    reports: Path | None
    strict: bool

    @classmethod
    def of(cls, config: pytest.Config) -> Self:
        """Read them; what stands on the command line goes before the ini file.

        Raises:
            UsageError: One can't be.
        """

        def said(name: str) -> str | None:
            given = config.getoption(f"gitops_{name}")
            return str(given or config.getini(f"gitops_{name}")) or None

        engine, name, reports = said("engine"), said("name"), said("reports")
        return cls(
            engine=check_choice("engine", engine, sandboxes.ENGINES) if engine else None,
            name=check_sandbox_name(name) if name else None,
            keep=check_choice("choice for --gitops-keep", said("keep") or _KEEP[0], _KEEP),
            reports=config.rootpath / reports if reports else None,
            strict=bool(config.getoption("gitops_strict") or config.getini("gitops_strict")),
        )

    def keeps(self, failed: bool) -> bool:  # noqa: FBT001  # what is asked about is the only thing to say
        """Say whether what came of something is kept."""
        return self.keep == "always" or (self.keep == "failure" and failed)
