"""kube-scheduler."""

from __future__ import annotations

from sandbox.components.base import Context, ProcessComponent
from sandbox.components.probes import http_ok
from sandbox.core.conditions import Observation
from sandbox.core.ports import LOOPBACK

__all__ = ["KubeScheduler"]


class KubeScheduler(ProcessComponent):
    """The real scheduler: what it can't place stays pending, as on any cluster."""

    name = "kube-scheduler"
    requires = ("kube-apiserver",)
    ports = ("kube-scheduler",)

    def argv(self, context: Context) -> tuple[str, ...]:
        """Run it against this sandbox's API server."""
        pki = context.pki
        kubeconfig = pki("kube-scheduler.kubeconfig")
        return (
            str(context.tools["kube-scheduler"].binary()),
            f"--kubeconfig={kubeconfig}",
            f"--authentication-kubeconfig={kubeconfig}",
            f"--authorization-kubeconfig={kubeconfig}",
            f"--bind-address={LOOPBACK}",
            f"--secure-port={context.ports['kube-scheduler']}",
            f"--tls-cert-file={pki('apiserver.crt')}",
            f"--tls-private-key-file={pki('apiserver.key')}",
            "--leader-elect=false",
            "--kube-api-qps=200",
            "--kube-api-burst=400",
            "--profiling=false",
        )

    def ready(self, context: Context) -> Observation:
        """It is ready when its caches are filled."""
        return http_ok(context.address(self.name), "/healthz", authority=context.pki("ca.crt"))
