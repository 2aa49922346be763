"""etcd: the cluster's memory, reached only by the API server."""

from __future__ import annotations

from sandbox.components.base import Context, ProcessComponent
from sandbox.components.cluster_state import ClusterState
from sandbox.components.probes import http_ok
from sandbox.core.conditions import Observation
from sandbox.core.ports import LOOPBACK

__all__ = ["Etcd"]


class Etcd(ClusterState, ProcessComponent):
    """One member, TLS with client certificates: other users of the machine can't read it."""

    name = "etcd"
    requires = ("pki", "seed")
    ports = ("etcd", "etcd-peer", "etcd-metrics")

    def argv(self, context: Context) -> tuple[str, ...]:
        """Run etcd on loopback with the sandbox's own authority."""
        client, peer = f"https://{context.address('etcd')}", f"https://{context.address('etcd-peer')}"
        pki = context.pki
        return (
            str(context.tools["etcd"].binary()),
            "--name=sandbox",
            f"--data-dir={context.dir('etcd')}",
            f"--listen-client-urls={client}",
            f"--advertise-client-urls={client}",
            f"--listen-peer-urls={peer}",
            f"--initial-advertise-peer-urls={peer}",
            f"--initial-cluster=sandbox={peer}",
            f"--cert-file={pki('etcd.crt')}",
            f"--key-file={pki('etcd.key')}",
            f"--trusted-ca-file={pki('etcd-ca.crt')}",
            "--client-cert-auth",
            f"--peer-cert-file={pki('etcd.crt')}",
            f"--peer-key-file={pki('etcd.key')}",
            f"--peer-trusted-ca-file={pki('etcd-ca.crt')}",
            "--peer-client-cert-auth",
            # What a sandbox holds can be made again; waiting for the disk on each write can't be made up for.
            "--unsafe-no-fsync",
            f"--listen-metrics-urls=http://{LOOPBACK}:{context.ports['etcd-metrics']}",
            "--auto-compaction-mode=periodic",
            "--auto-compaction-retention=10m",
            "--log-level=warn",
        )

    def ready(self, context: Context) -> Observation:
        """It is ready when it can serve reads and writes."""
        return http_ok(context.address("etcd-metrics"), "/readyz")
