"""kube-controller-manager."""

from __future__ import annotations

from sandbox.components.base import Context, RememberingProcess
from sandbox.components.probes import http_ok
from sandbox.core.conditions import Observation
from sandbox.core.ports import LOOPBACK

__all__ = ["KubeControllerManager"]


class KubeControllerManager(RememberingProcess):
    """All of Kubernetes' own controllers, in one process.

    Its garbage collector remembers which owners are gone, and would collect what one that comes back owns.
    """

    name = "kube-controller-manager"
    requires = ("kube-apiserver-bootstrap",)
    ports = ("kube-controller-manager",)

    def argv(self, context: Context) -> tuple[str, ...]:
        """Run it against this sandbox's API server."""
        pki = context.pki
        kubeconfig = pki("kube-controller-manager.kubeconfig")
        return (
            str(context.tools["kube-controller-manager"].binary()),
            f"--kubeconfig={kubeconfig}",
            f"--authentication-kubeconfig={kubeconfig}",
            f"--authorization-kubeconfig={kubeconfig}",
            f"--bind-address={LOOPBACK}",
            f"--secure-port={context.ports['kube-controller-manager']}",
            f"--tls-cert-file={pki('apiserver.crt')}",
            f"--tls-private-key-file={pki('apiserver.key')}",
            f"--root-ca-file={pki('ca.crt')}",
            f"--service-account-private-key-file={pki('service-account.key')}",
            "--use-service-account-credentials=true",
            "--leader-elect=false",
            # After a machine was suspended, node leases look old until KWOK has renewed them; a node held for
            # dead would have its pods marked unready, which nothing here would ever mark ready again.
            "--node-monitor-grace-period=24h",
            "--kube-api-qps=200",
            "--kube-api-burst=400",
            "--profiling=false",
        )

    def ready(self, context: Context) -> Observation:
        """It is ready when its controllers have started."""
        return http_ok(context.address(self.name), "/healthz", authority=context.pki("ca.crt"))
