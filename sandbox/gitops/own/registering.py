"""Creating a repository's projects and Applications in the sandbox, or taking over those that are there."""

from __future__ import annotations

import copy
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from sandbox.components.argocd.home import ARGOCD_API
from sandbox.core.files import make_private_dir, read_json, write_json
from sandbox.gitops.own.findings import Finding, Level
from sandbox.gitops.own.layout import Declared
from sandbox.gitops.own.planning import Plan, deployed_spec, destination_of
from sandbox.kube.api import KubeApi, KubeError

__all__ = ["Registered", "register"]

_OURS, _NAME = "https://kubernetes.default.svc", "in-cluster"


@dataclass(slots=True)
class Registered:
    """What was created.

    Attributes:
        roots: Kind and name of each, with the file that it comes from.
        elsewhere: The Applications that deploy to other clusters, which were not created.
        findings: What was noticed.
    """

    roots: dict[tuple[str, str], str] = field(default_factory=dict)
    elsewhere: list[Declared] = field(default_factory=list)
    findings: list[Finding] = field(default_factory=list)


def register(
    api: KubeApi, plan: Plan, record: Path, *, home: str, namespaces: bool, say: Callable[[str], None]
) -> Registered:
    """Create what was planned, and take away what an earlier plan had and this one has not.

    Args:
        api: The cluster.
        plan: What to create.
        record: The file that remembers what was created.
        home: The namespace of Argo CD's own objects.
        namespaces: Whether the namespaces that Applications deploy to are created too.
        say: Told what is done.

    Raises:
        KubeError: The API server does not answer as it should; what it refuses of the user's is a finding.
    """
    done = Registered()
    for each in plan.projects:
        _create(api, each, home, done)
    for each in plan.roots:
        target = _elsewhere(each)
        if target:
            done.elsewhere.append(each)
            done.findings.append(_other_cluster(each, target))
            continue
        if namespaces:
            _make_namespace(api, each)
        if _create(api, each, home, done):
            done.roots[each.kind, each.name] = each.path
    _forget(api, record, home, done, say)
    make_private_dir(record.parent)
    write_json(record, {"roots": [list(each) for each in done.roots]})
    return done


def _create(api: KubeApi, declared: Declared, home: str, done: Registered) -> bool:
    manifest = copy.deepcopy(declared.manifest)
    said = manifest["metadata"].get("namespace", home)
    manifest["metadata"]["namespace"] = home
    manifest.pop("status", None)
    thing = f"{declared.kind} {declared.name}"
    if said != home:
        what = f"its namespace is {said}; it was created in {home}, where this sandbox's Argo CD looks"
        done.findings.append(Finding(Level.NOTE, declared.name, f"{thing} in {declared.path}", what))
    try:
        api.apply(manifest)
    except KubeError as error:
        if error.status >= 500:  # noqa: PLR2004  # the class of the server's own errors
            raise
        done.findings.append(
            Finding(
                Level.ERROR,
                declared.name,
                f"{thing} in {declared.path}",
                "the API server refuses it",
                error.why,
                "kubectl explain application.spec, and mend the field that is named",
            )
        )
        return False
    return True


def _elsewhere(declared: Declared) -> str:
    """Name the cluster that an Application deploys to, where that is not the one it stands in."""
    if declared.kind != "Application":
        return ""
    target = destination_of(deployed_spec(declared.manifest))
    others = [target["server"] if target["server"] != _OURS else "", target["name"] if target["name"] != _NAME else ""]
    return next(filter(None, others), "")


def _other_cluster(declared: Declared, target: str) -> Finding:
    return Finding(
        Level.NOTE,
        declared.name,
        f"Application {declared.name} in {declared.path}",
        f"it deploys to another cluster, {target}, and was not checked",
        why="the sandbox has one cluster: https://kubernetes.default.svc, or the name in-cluster",
        hint="check its folder by an Application with destination.name: in-cluster",
    )


def _make_namespace(api: KubeApi, declared: Declared) -> None:
    namespace = destination_of(deployed_spec(declared.manifest))["namespace"]
    if namespace and "{{" not in namespace:
        api.apply({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": namespace}})


def _forget(api: KubeApi, record: Path, home: str, done: Registered, say: Callable[[str], None]) -> None:
    """Delete what an earlier run created and the repository no longer has, as whoever took it out of Git would."""
    if not record.exists():
        return
    earlier: Any = read_json(record).get("roots", [])
    for kind, name in earlier:
        if (kind, name) not in done.roots and api.get(ARGOCD_API, kind, name, home) is not None:
            api.delete(ARGOCD_API, kind, name, home)
            say(f"{kind} {name} is no longer in the repository, and was deleted")
