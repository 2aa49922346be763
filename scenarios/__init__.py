"""The stories: one readable file each; no polling, no subprocess, no sleep."""

from __future__ import annotations

import importlib
import pkgutil

from sandbox.gitops.story import Story

__all__ = ["catalogue"]


def catalogue() -> dict[str, Story]:
    """Give all stories by name: every module of this package holds one."""
    found: dict[str, Story] = {}
    for module in pkgutil.iter_modules(__path__):
        for value in vars(importlib.import_module(f"{__name__}.{module.name}")).values():
            if isinstance(value, Story):
                found[value.name] = value
    return dict(sorted(found.items()))
