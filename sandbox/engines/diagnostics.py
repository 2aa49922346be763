"""What helps to understand a failure, put into a folder that outlives the sandbox."""

from __future__ import annotations

import datetime as dt
import json
import re
from collections.abc import Iterator, Sequence
from pathlib import Path

from sandbox.components.argocd.home import ARGOCD_API
from sandbox.components.base import Component, Context
from sandbox.core.errors import SandboxError
from sandbox.core.files import make_private_dir, remove_tree, write_file, write_json
from sandbox.core.folders import state_root
from sandbox.core.timeline import Timeline
from sandbox.kube.api import KubeApi
from sandbox.report.scrubbing import Scrubber
from sandbox.report.writing import written_reports

__all__ = ["collect"]

# What tells a story: never Secrets.
_KINDS = (
    (ARGOCD_API, "Application"),
    (ARGOCD_API, "AppProject"),
    ("v1", "Event"),
    ("v1", "Pod"),
    ("v1", "Node"),
    ("apps/v1", "Deployment"),
    ("apps/v1", "ReplicaSet"),
)

_KEPT = 5
_STAMP = re.compile(r"\d{8}-\d{6}-\d{6}")


def collect(context: Context, components: Sequence[Component], timeline: Timeline) -> Path:
    """Collect logs, the timeline and the cluster's objects, as far as they can be had.

    Of each sandbox the newest five collections are kept.

    Returns:
        The folder; in it ``missing.txt`` names what could not be had, and why.
    """
    stamp = dt.datetime.now(dt.UTC).strftime("%Y%m%d-%H%M%S-%f")
    folder = make_private_dir(state_root() / ".diagnostics" / f"{context.name}-{stamp}")
    missing = [*_prune(folder.parent, context.name)]
    for component in components:
        try:
            component.diagnose(context, folder)
        except (SandboxError, OSError) as error:
            missing.append(f"{component.name}: {error}")
    write_json(folder / "timeline.json", {"events": [event.to_json() for event in timeline.events]})
    kubeconfig = context.pki("admin.kubeconfig")
    try:
        if not kubeconfig.exists():
            # The client library says so by an error of its own, and it may be just what failed.
            raise FileNotFoundError(f"there is no {kubeconfig}")
        missing += _objects(KubeApi(kubeconfig), context.within, Scrubber.of(context.folder), folder)
    except (SandboxError, OSError) as error:
        missing.append(f"objects of the cluster: {error}")
    missing += _keep_report(context.folder / "reports", folder)
    if missing:
        write_file(folder / "missing.txt", "\n".join(missing) + "\n")
    return folder


def _objects(api: KubeApi, within: Sequence[str], scrubber: Scrubber, into: Path) -> Iterator[str]:
    """Put the cluster's objects into the folder, as far as they may be seen; say of which kinds they may not.

    Without secrets: the pods of a control plane may name the user's proxy, which has its account in its address.
    """
    for api_version, kind in _KINDS:
        objects = []
        try:
            for namespace in within or (None,):
                objects += api.list(api_version, kind, namespace)
        except SandboxError as error:
            yield f"objects of kind {kind}: {error}"
        write_file(into / f"{kind.lower()}s.json", scrubber.scrub(json.dumps(objects, indent=2)))


def _keep_report(reports: Path, into: Path) -> Iterator[str]:
    """Copy the newest report: what stands in the sandbox's own folder goes with the sandbox."""
    for path in next(iter(written_reports(reports)), ()):
        try:
            write_file(into / f"report{path.suffix}", path.read_bytes())
        except (SandboxError, OSError) as error:
            yield f"the report {path}: {error}"


def _prune(root: Path, name: str) -> Iterator[str]:
    """Remove all but the newest collections of a sandbox; say what could not be removed."""
    # The stamp is looked at: the name of another sandbox may begin with this one's.
    mine = [path for path in root.glob(f"{name}-*") if _STAMP.fullmatch(path.name.removeprefix(f"{name}-"))]
    for old in sorted(mine)[:-_KEPT]:
        try:
            remove_tree(old)
        except SandboxError as error:
            yield f"room for it: {error}"
