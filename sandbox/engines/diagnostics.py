"""What helps to understand a failure, put into a folder that outlives the sandbox."""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Sequence
from pathlib import Path

from sandbox.components.base import Component, Context
from sandbox.components.kube import KubeApi
from sandbox.core.errors import SandboxError
from sandbox.core.files import make_private_dir, write_file, write_json
from sandbox.core.folders import state_root
from sandbox.core.timeline import Timeline

__all__ = ["collect"]

# What tells a story: never Secrets.
_KINDS = (
    ("argoproj.io/v1alpha1", "Application"),
    ("argoproj.io/v1alpha1", "AppProject"),
    ("v1", "Event"),
    ("v1", "Pod"),
    ("v1", "Node"),
    ("apps/v1", "Deployment"),
    ("apps/v1", "ReplicaSet"),
)


def collect(context: Context, components: Sequence[Component], timeline: Timeline) -> Path:
    """Collect logs, the timeline and the cluster's objects, as far as they can be had.

    Returns:
        The folder; in it ``missing.txt`` names what could not be had, and why.
    """
    stamp = dt.datetime.now(dt.UTC).strftime("%Y%m%d-%H%M%S-%f")
    folder = make_private_dir(state_root() / ".diagnostics" / f"{context.name}-{stamp}")
    missing: list[str] = []
    for component in components:
        try:
            component.diagnose(context, folder)
        except (SandboxError, OSError) as error:
            missing.append(f"{component.name}: {error}")
    write_json(folder / "timeline.json", {"events": [event.to_json() for event in timeline.events]})
    try:
        api = KubeApi(context.pki("admin.kubeconfig"))
        for api_version, kind in _KINDS:
            objects = api.list(api_version, kind)
            write_file(folder / f"{kind.lower()}s.json", json.dumps(objects, indent=2))
    except (SandboxError, OSError) as error:
        missing.append(f"objects of the cluster: {error}")
    if missing:
        write_file(folder / "missing.txt", "\n".join(missing) + "\n")
    return folder
