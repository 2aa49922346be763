"""Which Applications a repository gets: those that it declares, or where it declares none, one for each environment.

Of what is declared, only that is created which no other Application of the repository deploys: an app of
apps makes its own children. What stands below a kustomization is created as that renders it.
"""

from __future__ import annotations

import graphlib
import hashlib
import posixpath
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from sandbox.components.argocd.home import ARGOCD_API
from sandbox.gitops.own.addresses import place_of
from sandbox.gitops.own.findings import Finding, Level
from sandbox.gitops.own.layout import Declared, Layout, is_below

__all__ = ["Plan", "Source", "deployed_spec", "destination_of", "planned", "sources_of"]

_NOT_IN_NAMES = re.compile(r"[^a-z0-9]+")
_MOST_CHARACTERS = 50
# The settings of an Argo CD, or its own installation as a remote base.
_ARGOCD = re.compile(
    r"^  name: argocd-(?:cm|cmd-params-cm|rbac-cm|secret|server)[ \t]*$|argoproj/argo-cd[/.]", re.MULTILINE
)


@dataclass(frozen=True, slots=True)
class Source:
    """One source of an Application.

    Attributes:
        address: The repository or chart repository.
        revision: As it is asked for; empty for the newest.
        path: The folder in the repository.
        chart: The chart's name; empty for a folder.
        recurse: Whether folders below count too.
    """

    address: str
    revision: str
    path: str
    chart: str
    recurse: bool

    def __str__(self) -> str:
        """Give it in short, as people say it."""
        what = f"chart {self.chart}" if self.chart else self.path or "."
        return f"{what} at {self.revision or 'HEAD'}"


def deployed_spec(manifest: Mapping[str, Any]) -> Mapping[str, Any]:
    """Give an Application's spec, or the one that an ApplicationSet's template makes."""
    spec = _mapping(manifest["spec"])
    return _mapping(_mapping(spec.get("template")).get("spec")) if manifest["kind"] == "ApplicationSet" else spec


def destination_of(spec: Mapping[str, Any]) -> Mapping[str, str]:
    """Give where a spec deploys to: ``server``, ``name`` and ``namespace``, each empty where it is not said."""
    said = _mapping(spec.get("destination"))
    return {key: str(said.get(key) or "") for key in ("server", "name", "namespace")}


def _mapping(value: Any) -> Mapping[str, Any]:
    """Give what should be a mapping; an empty one where the user wrote something else."""
    return value if isinstance(value, dict) else {}


def sources_of(spec: Mapping[str, Any]) -> list[Source]:
    """Give the sources that an Application's spec, or an ApplicationSet's template, names."""
    many = spec.get("sources") if isinstance(spec.get("sources"), list) else [spec.get("source")]
    return [
        Source(
            str(each.get("repoURL", "")),
            str(each.get("targetRevision", "") or ""),
            str(each.get("path", "") or ""),
            str(each.get("chart", "") or ""),
            bool(_mapping(each.get("directory")).get("recurse")),
        )
        for each in many or ()
        if isinstance(each, dict)
    ]


@dataclass(frozen=True, slots=True)
class Plan:
    """What is to be created.

    Attributes:
        projects: The AppProjects that no Application deploys.
        roots: The Applications and ApplicationSets that no other one deploys, with the file each comes from.
        known_projects: The names of all AppProjects that the repository declares.
        proposed: Whether the repository declares none, and these are ours.
        findings: What was noticed about them.
    """

    projects: list[Declared] = field(default_factory=list)
    roots: list[Declared] = field(default_factory=list)
    known_projects: frozenset[str] = frozenset()
    proposed: bool = False
    findings: list[Finding] = field(default_factory=list)


def planned(
    layout: Layout,
    mirror: str,
    *,
    home: str,
    below: str = "",
    prefix: str = "",
    render: Callable[[str], list[dict[str, Any]]],
) -> Plan:
    """Decide what is created.

    Args:
        layout: The tree that is to be deployed, with the mirror's address in it.
        mirror: The mirror's address.
        home: The namespace of Argo CD's own objects.
        below: The folder that alone is asked for; empty for all.
        prefix: What the names of Applications begin with that the repository does not declare.
        render: Renders a kustomization by its folder; raises what a user should read.
    """
    planner = _Planner(layout, mirror, home, render)
    return planner.declared(below) if planner.makers else _proposed(layout, mirror, home, below, prefix)


class _Planner:
    def __init__(self, layout: Layout, mirror: str, home: str, render: Callable[[str], list[dict[str, Any]]]) -> None:
        self._layout = layout
        self._place = place_of(mirror)
        self._home = home
        self._render = render
        self.makers = [each for each in layout.declared if each.kind != "AppProject" and self._complete(each)]

    @staticmethod
    def _complete(declared: Declared) -> bool:
        """Whether it can stand by itself: a patch of a kustomization names no source, or no destination."""
        spec = declared.manifest["spec"]
        return "generators" in spec or bool({"source", "sources", "sourceHydrator"} & spec.keys())

    def declared(self, below: str) -> Plan:
        """Plan by what the repository declares."""
        makers = {id(each): each for each in self.makers}
        graph = {
            key: {other for other, parent in makers.items() if other != key and self._deploys(parent, each.path)}
            for key, each in makers.items()
        }
        findings = list(self._cycles(graph, makers))
        roots = [makers[key] for key in _roots(graph)]
        projects = [
            each
            for each in self._layout.declared
            if each.kind == "AppProject" and not any(self._deploys(parent, each.path) for parent in self.makers)
        ]
        makers_of_argocd = [each for each in roots if self._sets_argocd_up(each)]
        chosen = [each for each in [*projects, *roots] if is_below(each.path, below) and each not in makers_of_argocd]
        findings += [_own_argocd(each) for each in makers_of_argocd]
        made, found = self._rendered(chosen)
        return Plan(
            projects=[each for each in made if each.kind == "AppProject"],
            roots=[each for each in made if each.kind != "AppProject"],
            known_projects=frozenset(
                each.name for each in [*self._layout.declared, *made] if each.kind == "AppProject"
            ),
            findings=[*findings, *found],
        )

    def _folders_of(self, declared: Declared) -> Iterator[tuple[str, bool]]:
        """Give the folders of this repository that an Application deploys, and whether those below count too."""
        spec = declared.manifest["spec"]
        for source in sources_of(deployed_spec(declared.manifest)):
            if place_of(source.address) == self._place and not source.chart:
                for folder in _folders(spec) if "{{" in source.path else [source.path]:
                    yield folder, source.recurse

    def _deploys(self, parent: Declared, path: str) -> bool:
        """Whether an Application deploys a file, so that it makes what is declared there."""
        return any(self._layout.covers(folder, path, recurse=recurse) for folder, recurse in self._folders_of(parent))

    def _sets_argocd_up(self, declared: Declared) -> bool:
        """Whether an Application deploys an Argo CD, which would take the place of the sandbox's own."""
        spec = deployed_spec(declared.manifest)
        if destination_of(spec)["namespace"] != self._home:
            return False
        if any(source.chart in ("argo-cd", "argocd") for source in sources_of(spec)):
            return True
        # The kustomization itself may name the installation as a remote base.
        folders = [folder for folder, _ in self._folders_of(declared)]
        return any(
            bool(_ARGOCD.search(self._layout.text(path)))
            for path in self._layout.entries
            if path.endswith((".yaml", ".yml"))
            and (posixpath.dirname(path) in folders or self._deploys(declared, path))
        )

    def _cycles(self, graph: Mapping[int, set[int]], makers: Mapping[int, Declared]) -> Iterator[Finding]:
        try:
            graphlib.TopologicalSorter(graph).prepare()
        except graphlib.CycleError as error:
            # Reads: each is deployed by the next one; so backwards, each deploys the next.
            names = [makers[key].name for key in reversed(error.args[1])]
            yield Finding(
                Level.ERROR,
                names[0],
                " → ".join(f"Application {name}" for name in names),
                "these Applications deploy one another in a circle",
                why="each is an object in the folder that the one before it deploys",
                hint="take one of them out of the other's path: a deletion or a prune would go round and take all",
            )

    def _rendered(self, chosen: list[Declared]) -> tuple[list[Declared], list[Finding]]:
        """Replace what stands below a kustomization by what that renders."""
        made: list[Declared] = []
        findings: list[Finding] = []
        taken: set[str] = set()
        for each in chosen:
            tops = [top for top in self._layout.top_kustomizations if each.path in self._layout.files_of(top)]
            if not tops:
                made.append(each)
            for top in tops:
                if top not in taken:
                    taken.add(top)
                    files, found = self._of_kustomization(top)
                    made += files
                    findings += found
        return made, findings

    def _of_kustomization(self, folder: str) -> tuple[list[Declared], list[Finding]]:
        objects = self._render(folder)
        argo = [each for each in objects if str(each.get("apiVersion", "")).startswith("argoproj.io/")]
        others = [f"{each['kind']} {each['metadata']['name']}" for each in objects if each not in argo]
        path = posixpath.join(folder, "kustomization.yaml")
        if not others:
            return [Declared(path, each) for each in argo], []
        finding = Finding(
            Level.NOTE,
            "",
            folder or ".",
            f"of what it renders, only the Applications and projects are created; not {_shortened(others)}",
            why="whoever sets Argo CD up applies it by hand; the sandbox has an Argo CD of its own",
            hint="what the Applications need of it is given by --given FILE",
        )
        return [Declared(path, each) for each in argo], [finding]


def _own_argocd(declared: Declared) -> Finding:
    return Finding(
        Level.NOTE,
        declared.name,
        f"Application {declared.name} in {declared.path}",
        "it sets an Argo CD up, and was not created",
        why="the sandbox has an Argo CD of its own, whose settings it would replace",
        hint="what it renders to is shown by: kustomize build PATH",
    )


def _folders(spec: Mapping[str, Any]) -> list[str]:
    """Give the folders that a Git generator finds, as patterns (ApplicationSet, ``spec.generators``)."""
    generators = spec.get("generators") if isinstance(spec.get("generators"), list) else []
    found: list[str] = []
    for each in generators or ():
        if not isinstance(each, dict):
            continue
        entries = _mapping(each.get("git")).get("directories")
        named = [entry for entry in entries if isinstance(entry, dict)] if isinstance(entries, list) else []
        found += [str(entry["path"]) for entry in named if "path" in entry and not entry.get("exclude")]
        for nested in ("matrix", "merge"):
            found += _folders(_mapping(each.get(nested)))
    return found


def _roots(graph: Mapping[int, set[int]]) -> list[int]:
    """Give what nothing else deploys, and of each circle that nothing leads into, one."""
    children: dict[int, set[int]] = {key: set() for key in graph}
    for key, parents in graph.items():
        for parent in parents:
            children[parent].add(key)
    roots = [key for key, parents in graph.items() if not parents]
    reached: set[int] = set()

    def reach(key: int) -> None:
        open_ones = [key]
        while open_ones:
            current = open_ones.pop()
            if current not in reached:
                reached.add(current)
                open_ones += children[current]

    for key in roots:
        reach(key)
    for key in graph:
        if key not in reached:
            roots.append(key)
            reach(key)
    return roots


def _proposed(layout: Layout, mirror: str, home: str, below: str, prefix: str) -> Plan:
    """Plan an Application for each folder that looks like an environment."""
    apps = [folder for folder in layout.charts_of_applications if is_below(folder, below)]
    charts = [folder for folder, chart in layout.charts.items() if chart.get("type") != "library"]
    found = apps or sorted({*layout.top_kustomizations, *charts, *layout.plain_folders})
    chosen = [folder for folder in found if is_below(folder, below)]
    roots = [
        Declared(
            folder or ".",
            _application(layout, folder, mirror, home, _name(prefix, folder), of_applications=folder in apps),
        )
        for folder in chosen
    ]
    return Plan(roots=roots, proposed=True)


def _application(
    layout: Layout, folder: str, mirror: str, home: str, name: str, *, of_applications: bool
) -> dict[str, Any]:
    namespace = layout.kustomizations.get(folder, {}).get("namespace")
    return {
        "apiVersion": ARGOCD_API,
        "kind": "Application",
        "metadata": {"name": name, "namespace": home},
        "spec": {
            "project": "default",
            "source": {"repoURL": mirror, "targetRevision": "HEAD", "path": folder or "."},
            "destination": {
                "server": "https://kubernetes.default.svc",
                "namespace": home if of_applications else str(namespace or name),
            },
            "syncPolicy": {"syncOptions": ["CreateNamespace=true"]},
        },
    }


def _name(prefix: str, folder: str) -> str:
    """Give a DNS label that tells a folder."""
    plain = _NOT_IN_NAMES.sub("-", f"{prefix} {folder or 'root'}".lower()).strip("-") or "root"
    if len(plain) <= _MOST_CHARACTERS:
        return plain
    return f"{plain[: _MOST_CHARACTERS - 9].rstrip('-')}-{hashlib.sha256(plain.encode()).hexdigest()[:8]}"


def _shortened(names: list[str], most: int = 4) -> str:
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return ", ".join(names[:most]) + more
