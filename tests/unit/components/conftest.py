"""A sandbox's folder and leases, without anything that runs."""

from __future__ import annotations

from pathlib import Path

import pytest

from sandbox.components.base import Context
from sandbox.core.supervision import SupervisorClient
from sandbox.toolchain import Tool


def tool(name: str, root: Path) -> Tool:
    """Describe a tool whose files are in ``root``; no program is run."""
    return Tool(name, "1.2.3", "release", "a test", root, name, size=0, seconds=0.0)


@pytest.fixture
def context(tmp_path: Path) -> Context:
    """Give the context of a sandbox that nothing of runs yet."""
    folder = tmp_path / "state" / "box"
    folder.mkdir(parents=True)
    for name in ("argocd", "kwok"):
        (tmp_path / name / "share").mkdir(parents=True)
    return Context(
        name="box",
        run_id="unit",
        folder=folder,
        ports={"apiserver": 20001, "redis": 20002},
        tools={name: tool(name, tmp_path / name) for name in ("argocd", "kwok")},
        nodes=1,
        supervisor=SupervisorClient(folder),
    )
