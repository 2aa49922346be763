"""What a user may ask of ``up``: the engines that there are, and how a sandbox is to be."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from sandbox.components.argocd_ha import HA_NODES
from sandbox.core.errors import UsageError
from sandbox.core.names import check_choice
from sandbox.engines.cluster import Cluster
from sandbox.engines.embedded import Embedded
from sandbox.engines.engine import Engine
from sandbox.engines.kind import Kind
from sandbox.engines.records import Record, Shape

__all__ = ["DEFAULT_ENGINE", "ENGINES", "UpOptions"]

ENGINES: Mapping[str, Engine] = {engine.name: engine for engine in (Embedded(), Kind(), Cluster())}
"""Where a sandbox can live, by the name that `--engine` takes."""

DEFAULT_ENGINE = Embedded.name
"""Where a new sandbox lives unless it is said."""

_MOST_NODES = 500


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
    """

    engine: str | None = None
    nodes: int | None = None
    provider: str | None = None
    merge_kubeconfig: bool = False
    context: str | None = None
    ha: bool = False

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
        return cls(engine or None, nodes or None, provider or None, merge_kubeconfig, context or None, ha)

    def shape(self, record: Record | None) -> Shape:
        """Give the shape that is asked for: what is left out is as the sandbox has it."""
        known = record.shape if record else Shape(HA_NODES if self.ha else 1)
        return Shape(self.nodes or known.nodes, self.ha or known.ha)
