"""The seed: etcd's data with everything that is the same for every sandbox of one version set.

CRDs, RBAC, settings and a first node take longer to come than a copy of a few megabytes takes. So
they are brought up once, by a real API server into a real etcd, and each new sandbox starts from a
copy.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import tempfile
from pathlib import Path
from typing import Any

import yaml

from sandbox.components.argocd.config import static_manifests
from sandbox.components.base import Context
from sandbox.core.conditions import Deadline, Observation, met
from sandbox.core.files import make_private_dir, writing_errors
from sandbox.core.folders import cache_root
from sandbox.kube.applying import apply_all
from sandbox.toolchain import Tool, version_set

__all__ = ["Seed", "apply_static", "keep_seed", "seed_folder"]

_COMPONENTS = Path(__file__).parents[1]
_MANIFESTS = _COMPONENTS / "manifests" / "cluster.yaml"
_SECONDS = 60.0


def _manifests(argocd: Tool) -> list[dict[str, Any]]:
    return [*yaml.safe_load_all(_MANIFESTS.read_text()), *static_manifests(argocd)]


def seed_folder(argocd: Tool) -> Path:
    """Say where the seed of this version set is, or will be: its name tells what is in it."""
    del argocd
    sources = [
        _MANIFESTS,
        *(_COMPONENTS / name for name in ("argocd/config.py", "embedded/kwok.py", "embedded/seed.py")),
    ]
    digest = hashlib.sha256(json.dumps([version_set(), *(path.read_text() for path in sources)]).encode())
    return cache_root() / "seeds" / digest.hexdigest()[:16]


class Seed:
    """Gives a new sandbox its copy; one that has data already keeps it."""

    name = "seed"
    requires: tuple[str, ...] = ()
    ports: tuple[str, ...] = ()

    def ensure(self, context: Context) -> None:
        """Copy the seed in place, whole or not at all."""
        target = context.folder / "etcd"
        seed = seed_folder(context.tools["argocd"])
        if target.exists() or not seed.exists():
            return
        with writing_errors(target):
            partial = Path(tempfile.mkdtemp(dir=context.folder, prefix=".etcd."))
            shutil.copytree(seed, partial, dirs_exist_ok=True)
            partial.chmod(0o700)
            partial.rename(target)

    def ready(self, context: Context) -> Observation:
        """It is ready as soon as it was copied."""
        del context
        return met("copied")

    def diagnose(self, context: Context, into: Path) -> None:
        """Nothing: it is the same for everyone."""

    def remove(self, context: Context) -> None:
        """Nothing: it goes with the state folder."""


def apply_static(context: Context) -> None:
    """Apply what every sandbox of this version set has in common, and wait until it is in force.

    Raises:
        DeadlineError: The CRDs did not become Established in time.
    """
    api = context.api()
    apply_all(api, _manifests(context.tools["argocd"]), Deadline.after(_SECONDS))


def keep_seed(context: Context) -> None:
    """Keep the data of a stopped etcd as the seed; if another has done so meanwhile, that one stays."""
    target = seed_folder(context.tools["argocd"])
    make_private_dir(target.parent)
    with writing_errors(target):
        partial = Path(tempfile.mkdtemp(dir=target.parent, prefix=".partial."))
        shutil.copytree(context.folder / "etcd", partial, dirs_exist_ok=True, ignore=shutil.ignore_patterns("*.tmp"))
        try:
            os.rename(partial, target)  # noqa: PTH104  # fails on a folder that is there, which replace would too
        except OSError:
            shutil.rmtree(partial)
            if not target.exists():
                raise
