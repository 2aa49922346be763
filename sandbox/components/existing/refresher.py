"""What tells somebody else's Argo CD of a push; see ``sandbox.components.existing.refresh_program``."""

from __future__ import annotations

from sandbox.components.argocd.config import WEBHOOK_SECRET
from sandbox.components.base import Context, ProcessComponent
from sandbox.components.git_server import Receiver
from sandbox.components.probes import http_ok
from sandbox.core.conditions import Observation
from sandbox.core.files import write_json

__all__ = ["REFRESHER", "Refresher"]

_PURPOSE = "argocd-refresher"

REFRESHER = Receiver(_PURPOSE)
"""Who is told of pushes in the place of an Argo CD that is somebody else's."""


class Refresher(ProcessComponent):
    """The program, on loopback."""

    name = "argocd-refresher"
    ports = (_PURPOSE,)

    def prepare(self, context: Context) -> None:
        """Write its configuration."""
        configuration = {
            "port": context.ports[_PURPOSE],
            "webhook_secret": context.secrets.value(WEBHOOK_SECRET),
            "kubeconfig": str(context.pki("admin.kubeconfig")),
            "folder": str(context.folder),
        }
        write_json(context.dir("run", self.name) / "config.json", configuration)

    def argv(self, context: Context) -> tuple[str, ...]:
        """Serve with the configuration file."""
        return context.python(
            "sandbox.components.existing.refresh_program", context.dir("run", self.name) / "config.json"
        )

    def ready(self, context: Context) -> Observation:
        """It is ready when its health check answers."""
        return http_ok(context.address(_PURPOSE), "/healthz")
