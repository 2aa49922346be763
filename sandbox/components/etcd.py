"""etcd: the cluster's memory, reached only by the API server."""

from __future__ import annotations

from pathlib import Path

from sandbox.components.base import Context, ProcessComponent
from sandbox.components.cluster_state import put_back, stated
from sandbox.components.etcd_store import EtcdStore
from sandbox.components.probes import http_ok
from sandbox.core.conditions import Observation
from sandbox.core.files import read_json, write_json
from sandbox.core.ports import LOOPBACK

__all__ = ["Etcd"]

_OBJECTS = "objects.json"


class Etcd(ProcessComponent):
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

    # Its part of a snapshot (sandbox.components.state).

    starts_empty = False

    def save(self, context: Context, into: Path) -> None:
        """Keep the objects of the cluster, all as of one revision."""
        write_json(into / _OBJECTS, stated(_store(context).read()))

    def load(self, context: Context, saved: Path) -> int:
        """Bring the objects of the cluster back, while the API server runs."""
        objects = {key: str(value) for key, value in read_json(saved / _OBJECTS).items()}
        return put_back(_store(context), objects)


def _store(context: Context) -> EtcdStore:
    # The API server's own certificate: there is no other client, and it needs no second one that could be lost.
    names = ("etcd-ca.crt", "apiserver-etcd-client.crt", "apiserver-etcd-client.key")
    return EtcdStore(context.address("etcd"), *map(context.pki, names))
