"""kube-apiserver."""

from __future__ import annotations

from pathlib import Path

from sandbox.components.base import Context, ProcessComponent
from sandbox.components.pki import SERVICE_NETWORK
from sandbox.components.probes import http_ok
from sandbox.core.conditions import Observation
from sandbox.core.ports import LOOPBACK

__all__ = ["Bootstrap", "KubeApiserver", "OpenApi"]

_OPENAPI_FORM = "application/com.github.proto-openapi.spec.v2@v1.0+protobuf"
_BOOTSTRAP_HOOKS = ("rbac/bootstrap-roles", "scheduling/bootstrap-system-priority-classes")


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
        """Collect garbage less often: a fifth of the work of starting is saved, and the limit bounds the price.

        A limit near what is alive would cost more than it saves: with 400 MiB, two hundred Applications take
        nearly twice as long.
        """
        del context
        return {"GOGC": "300", "GOMEMLIMIT": "520MiB"}

    def ready(self, context: Context) -> Observation:
        """It is ready when it serves the cluster's data, custom resources included.

        Two start-up hooks are left out: they look every second whether the default roles and priority
        classes are there, which the seed has brought. ``Bootstrap`` waits for them.
        """
        left_out = "&".join(f"exclude=poststarthook/{hook}" for hook in _BOOTSTRAP_HOOKS)
        return _get(context, f"/readyz?{left_out}")


class _Gate:
    """A component that starts nothing: others wait for what it waits for."""

    requires: tuple[str, ...] = ("kube-apiserver",)
    ports: tuple[str, ...] = ()

    def ensure(self, context: Context) -> None:
        """Nothing is to be started."""

    def diagnose(self, context: Context, into: Path) -> None:
        """Nothing: the API server's log tells."""

    def remove(self, context: Context) -> None:
        """Nothing: it goes with the API server."""


class Bootstrap(_Gate):
    """All of the API server's start-up hooks: kube-controller-manager looks for them itself, once a second."""

    name = "kube-apiserver-bootstrap"

    def ready(self, context: Context) -> Observation:
        """It is ready when the API server says that it is, with nothing left out."""
        return _get(context, "/readyz")


class OpenApi(_Gate):
    """The description of all types, which the API server works out for a second or two when first asked.

    Argo CD asks for it before its first sync; asked for now, it is worked out while others still start.
    """

    name = "kube-apiserver-openapi"

    def ready(self, context: Context) -> Observation:
        """It is ready when it is answered, in the form that client-go asks for."""
        # One patient request: each one that is broken off would have the work begin again.
        return _get(context, "/openapi/v2", accept=_OPENAPI_FORM, seconds=30.0)


def _get(context: Context, path: str, *, accept: str = "*/*", seconds: float = 2.0) -> Observation:
    pki = context.pki
    return http_ok(
        context.address("apiserver"),
        path,
        accept=accept,
        seconds=seconds,
        authority=pki("ca.crt"),
        certificate=pki("admin.crt"),
        key=pki("admin.key"),
    )
