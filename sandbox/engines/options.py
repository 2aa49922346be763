"""What a user may ask of ``up``: the engines that there are, and how a sandbox is to be."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from sandbox.components.argocd.ha import HA_NODES
from sandbox.core.errors import UsageError
from sandbox.core.names import check_choice
from sandbox.engines.cluster import Cluster
from sandbox.engines.cluster_guest import ClusterGuest
from sandbox.engines.embedded import Embedded
from sandbox.engines.engine import Engine
from sandbox.engines.kind import Kind
from sandbox.engines.records import Record, Shape

__all__ = ["DEFAULT_ENGINE", "ENGINES", "UpOptions", "engine_at"]

ENGINES: Mapping[str, Engine] = {engine.name: engine for engine in (Embedded(), Kind(), Cluster())}
"""Where a sandbox can live, by the name that `--engine` takes."""

_GUESTS: Mapping[str, Engine] = {ClusterGuest.name: ClusterGuest()}
# Those of the same names whose sandboxes use an Argo CD that is there already.

DEFAULT_ENGINE = Embedded.name
"""Where a new sandbox lives unless it is said."""

_MOST_NODES = 500


def engine_at(name: str, argocd: str) -> Engine:
    """Give an engine by its name.

    Args:
        name: One of ``ENGINES``.
        argocd: The namespace of the Argo CD that its sandboxes are to use; empty where they bring their own.

    Raises:
        UsageError: On this one they always do.
    """
    if not argocd:
        return ENGINES[name]
    if name not in _GUESTS:
        raise UsageError(
            f"the engine {name} brings an Argo CD of its own",
            why="--argocd says which one to use that runs in a cluster already",
            hint=f"--engine {', '.join(_GUESTS)} --context NAME --argocd {argocd}, or leave --argocd out",
        )
    return _GUESTS[name]


@dataclass(frozen=True, slots=True)
class UpOptions:
    """What a user may ask of ``up``.

    Attributes:
        engine: Where the sandbox lives; None where it lives already, ``DEFAULT_ENGINE`` for a new one.
        nodes: How many nodes its cluster has; None keeps what it has, and for a new one is 1, or what HA needs.
        provider: The only source of tools to use; all in turn when None.
        merge_kubeconfig: Whether the user's own kubeconfig gets the sandbox's context. One that has it once is
            kept up to date, and loses it with ``down``.
        context: The context of the user's kubeconfig whose cluster a sandbox lives in; None for one of its own.
        ha: Whether Argo CD runs in its HA variant; False keeps what the sandbox has.
        argocd: The namespace of an Argo CD in that cluster to be a guest of; None for one of the sandbox's own.
    """

    engine: str | None = None
    nodes: int | None = None
    provider: str | None = None
    merge_kubeconfig: bool = False
    context: str | None = None
    ha: bool = False
    argocd: str | None = None

    @classmethod
    def parsed(  # one for each flag
        cls,
        engine: str,
        nodes: int,
        provider: str,
        *,
        merge_kubeconfig: bool = False,
        context: str = "",
        ha: bool = False,
        argocd: str = "",
    ) -> UpOptions:
        """Read the command line's values, where nothing is 0 or the empty text.

        Raises:
            UsageError: There is no such engine, or no cluster can have so many nodes.
        """
        if engine:
            check_choice("engine", engine, ENGINES)
        if nodes and not 1 <= nodes <= _MOST_NODES:
            raise UsageError(
                f"a cluster can't have {nodes} nodes", why=f"1 to {_MOST_NODES} are possible", hint="--nodes 3"
            )
        return cls(
            engine=engine or None,
            nodes=nodes or None,
            provider=provider or None,
            merge_kubeconfig=merge_kubeconfig,
            context=context or None,
            ha=ha,
            argocd=argocd or None,
        )

    def shape(self, record: Record | None) -> Shape:
        """Give the shape that is asked for: what is left out is as the sandbox has it."""
        known = record.shape if record else Shape(HA_NODES if self.ha else 1)
        return Shape(self.nodes or known.nodes, self.ha or known.ha)
