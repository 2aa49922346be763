"""kube-apiserver."""

from __future__ import annotations

from sandbox.components.base import Context, ProcessComponent
from sandbox.components.pki import SERVICE_NETWORK
from sandbox.components.probes import http_ok
from sandbox.core.conditions import Observation
from sandbox.core.ports import LOOPBACK

__all__ = ["KubeApiserver"]


class KubeApiserver(ProcessComponent):
    """The real API server; it alone speaks to etcd."""

    name = "kube-apiserver"
    # Not etcd's readiness: the API server tries again by itself, and starting takes it longer than etcd.
    requires = ("pki", "seed")
    ports = ("apiserver",)

    def argv(self, context: Context) -> tuple[str, ...]:
        """Run it on loopback; anonymous requests are refused."""
        pki = context.pki
        return (
            str(context.tools["kube-apiserver"].binary()),
            f"--etcd-servers=https://{context.address('etcd')}",
            f"--etcd-cafile={pki('etcd-ca.crt')}",
            f"--etcd-certfile={pki('apiserver-etcd-client.crt')}",
            f"--etcd-keyfile={pki('apiserver-etcd-client.key')}",
            f"--bind-address={LOOPBACK}",
            f"--secure-port={context.ports['apiserver']}",
            # Endpoints may not name a loopback address, and nothing in this cluster could reach it there.
            "--endpoint-reconciler-type=none",
            f"--client-ca-file={pki('ca.crt')}",
            f"--tls-cert-file={pki('apiserver.crt')}",
            f"--tls-private-key-file={pki('apiserver.key')}",
            f"--service-account-key-file={pki('service-account.key')}",
            f"--service-account-signing-key-file={pki('service-account.key')}",
            "--service-account-issuer=https://kubernetes.default.svc.cluster.local",
            f"--service-cluster-ip-range={SERVICE_NETWORK}",
            "--authorization-mode=Node,RBAC",
            "--enable-admission-plugins=NodeRestriction",
            "--anonymous-auth=false",
            "--allow-privileged=true",
            "--profiling=false",
        )

    def env(self, context: Context) -> dict[str, str]:
        """Collect garbage less often: a fifth of the work of starting is saved, and the limit bounds the price."""
        del context
        return {"GOGC": "400", "GOMEMLIMIT": "320MiB"}

    def ready(self, context: Context) -> Observation:
        """It is ready when all its start-up hooks have run, the RBAC bootstrap among them."""
        pki = context.pki
        return http_ok(
            context.address("apiserver"),
            "/readyz",
            authority=pki("ca.crt"),
            certificate=pki("admin.crt"),
            key=pki("admin.key"),
        )
