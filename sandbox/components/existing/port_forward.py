"""A way from loopback into the cluster, by the API server alone: no port of a node is open for it."""

from __future__ import annotations

from collections.abc import Callable

from sandbox.components.base import Context, ProcessComponent
from sandbox.core.conditions import Observation

__all__ = ["PortForward"]


class PortForward(ProcessComponent):
    """`kubectl port-forward`, which ends when its pod does, and is then started again.

    Args:
        name: What it is called.
        target: What it leads to, as kubectl has it: ``deployment/registry``.
        purpose: Of the leased port that it listens on.
        port: The port there.
        answers: Looks whether what is behind it answers.
        requires: What must run before.
    """

    def __init__(  # what tells one from another
        self,
        name: str,
        target: str,
        purpose: str,
        port: int,
        answers: Callable[[Context], Observation],
        *requires: str,
    ) -> None:
        self.name = name
        self.requires = requires
        self.ports = (purpose,)
        self._target = target
        self._port = port
        self._answers = answers

    def argv(self, context: Context) -> tuple[str, ...]:
        """Listen on loopback, as the sandbox's service account."""
        (purpose,) = self.ports
        return (
            str(context.tools["kubectl"].binary()),
            f"--kubeconfig={context.pki('admin.kubeconfig')}",
            f"--namespace={context.own_namespace}",
            "port-forward",
            f"--address={context.host(purpose)}",
            self._target,
            f"{context.ports[purpose]}:{self._port}",
        )

    def ready(self, context: Context) -> Observation:
        """It is ready when what is behind it answers."""
        return self._answers(context)
