"""Argo CD's components: one multi-call binary, a process for each, told apart by ARGOCD_BINARY_NAME.

Each has its own service account's certificate (see ``sandbox.components.pki``), and they speak to
the repo-server by mutual TLS. Facts on flags and variables: Argo CD 3.6 ``cmd/*/commands``.
"""

from __future__ import annotations

import os
import re
import shutil
from pathlib import Path

import requests

from sandbox.components.base import ARGOCD_NAMESPACE, Context, ProcessComponent, RememberingProcess
from sandbox.components.embedded.redis import SECRET as REDIS_SECRET
from sandbox.components.probes import http_ok
from sandbox.core.commands import run
from sandbox.core.conditions import Observation, met, pending
from sandbox.core.files import write_file
from sandbox.core.ports import LOOPBACK, is_free
from sandbox.core.proxies import direct_session, proxy_variables

__all__ = [
    "ApplicationController",
    "ApplicationSetController",
    "ArgocdServer",
    "NotificationsController",
    "RepoServer",
    "end_gpg_agent",
    "work_left",
]

_SYSTEM_PATH = "/usr/bin:/bin"
_AGENT_SECONDS = 5.0
_METRICS_SECONDS = 5.0
_QUEUES = re.compile(
    r'^workqueue_(adds_total|work_duration_seconds_count)\{[^}]*name="([^"]+)"[^}]*\} (\S+)$', re.MULTILINE
)
_SOCKET_BYTES = 107  # sockaddr_un has one more, with the zero at the end; gpg-agent wants another to spare


class _ArgocdComponent(ProcessComponent):
    """What all of them share."""

    requires: tuple[str, ...] = ("argocd-config",)

    def argv(self, context: Context) -> tuple[str, ...]:
        return (str(context.tools["argocd"].binary()), *self.arguments(context))

    def arguments(self, context: Context) -> tuple[str, ...]:
        """Give the arguments of this component."""
        raise NotImplementedError

    def env(self, context: Context) -> dict[str, str]:
        """Give each its own folders: the defaults lie under /app and /tmp and would be shared."""
        run = context.dir("run", self.name)
        tool_folders = [str(context.tools[name].binary().parent) for name in ("argocd", "kustomize", "helm")]
        return {
            "ARGOCD_BINARY_NAME": self.name,
            # Lets https://kubernetes.default.svc mean the cluster of KUBECONFIG.
            "ARGOCD_FAKE_IN_CLUSTER": "true",
            "KUBECONFIG": str(context.pki(f"{self.name}.kubeconfig")),
            "PATH": os.pathsep.join([*tool_folders, _SYSTEM_PATH]),
            "REDIS_PASSWORD": context.secrets.value(REDIS_SECRET),
            "ARGOCD_TLS_DATA_PATH": str(context.dir("run", self.name, "tls")),
            "ARGOCD_SSH_DATA_PATH": str(context.dir("run", self.name, "ssh")),
            "ARGOCD_GPG_DATA_PATH": str(context.dir("run", self.name, "gpg-source")),
            "ARGOCD_GPG_ENABLED": str(_gpg_works(context)).lower(),
            "ARGOCD_GNUPGHOME": str(context.dir("run", self.name, "gnupg")),
            "ARGOCD_PLUGINSOCKFILEPATH": str(context.dir("run", self.name, "plugins")),
            "ARGOCD_ASK_PASS_SOCK": _socket(run / "ask-pass.sock", f"{context.run_id}-{self.name}"),
            "GIT_CONFIG_NOSYSTEM": "1",
            "GIT_CONFIG_GLOBAL": os.devnull,
            # Batches of events (100 ms) and a rest between waves (2 s) spare a cluster of many users; this one has one.
            "ARGOCD_CLUSTER_CACHE_EVENTS_PROCESSING_INTERVAL": "1ms",
            "ARGOCD_SYNC_WAVE_DELAY": "0",
            # 50 requests a second with bursts of 100 would be what two hundred Applications wait for.
            "ARGOCD_K8S_CLIENT_QPS": "300",
            "ARGOCD_K8S_CLIENT_BURST": "600",
        }

    def client_certificate(self, context: Context) -> tuple[str, ...]:
        """Give the flags by which a client of the repo-server shows who it is, and checks whom it speaks to."""
        return (
            f"--repo-server-ca-cert-path={context.pki('argocd-ca.crt')}",
            f"--repo-server-client-cert-path={context.pki('argocd-client.crt')}",
            f"--repo-server-client-cert-key-path={context.pki('argocd-client.key')}",
        )


def _fits(path: Path) -> bool:
    """Whether a Unix socket may have this path (``sockaddr_un``)."""
    return len(os.fsencode(path)) < _SOCKET_BYTES


def end_gpg_agent(folder: Path) -> None:
    """End the agent that gpg has started for the repo-server's key ring and left to itself.

    It hides its memory, and so its environment with the sandbox's mark, from its own user
    (``prctl(PR_SET_DUMPABLE)``): gpgconf finds it by its socket.

    Args:
        folder: The sandbox's state folder.
    """
    key_ring = folder / "run" / RepoServer.name / "gnupg"
    gpgconf = shutil.which("gpgconf", path=_SYSTEM_PATH)
    if gpgconf is not None and key_ring.is_dir():
        run([gpgconf, "--homedir", key_ring, "--kill", "gpg-agent"], timeout=_AGENT_SECONDS, env={"HOME": str(folder)})


def _gpg_works(context: Context) -> bool:
    """Whether signatures can be checked here; the repo-server would otherwise end at its start.

    It runs gpg, which not every machine has, and whose agent keeps its sockets in the key ring's folder.
    """
    agent = context.folder / "run" / RepoServer.name / "gnupg" / "S.gpg-agent.browser"
    return shutil.which("gpg", path=_SYSTEM_PATH) is not None and _fits(agent)


def _socket(path: Path, name: str) -> str:
    """Give the address of a Unix socket: a path where it fits into ``sockaddr_un``, else an abstract name (unix(7)).

    Other users could connect to an abstract name, as they can to Argo CD's own default below /tmp; what is asked
    for there is given only to who knows the random id of the one request.
    """
    return str(path) if _fits(path) else f"@gitops-sandbox-{name}"


def work_left(metrics: str) -> Observation:
    """Read from a controller's metrics whether it has anything to do (client-go, ``workqueue_*``).

    What was added to a queue and not yet finished waits in it or is being worked on; the gauge that tells of the
    latter is brought up to date twice a second only.
    """
    counted: dict[str, dict[str, float]] = {"adds_total": {}, "work_duration_seconds_count": {}}
    for name, queue, value in _QUEUES.findall(metrics):
        counted[name][queue] = float(value)
    left = {
        queue: int(added - counted["work_duration_seconds_count"].get(queue, 0.0))
        for queue, added in counted["adds_total"].items()
    }
    said = ", ".join(f"{count} in {queue}" for queue, count in left.items() if count)
    return pending(f"it has work left: {said}") if said else met("it has no work left")


def _listens(port: int) -> Observation:
    return pending(f"nothing listens on port {port} yet") if is_free(port) else met(f"listens on port {port}")


class RepoServer(_ArgocdComponent):
    """Renders what is in Git; needs no cluster, so it starts at once."""

    name = "argocd-repo-server"
    requires = ("pki",)
    ports = ("argocd-repo-server", "argocd-repo-server-metrics")

    def prepare(self, context: Context) -> None:
        """Put its certificate where it looks for it (``ARGOCD_APP_CONF_PATH``, ``reposerver/server.go``)."""
        folder = context.dir("run", self.name, "config", "reposerver", "tls")
        for end in ("crt", "key"):
            write_file(folder / f"tls.{end}", context.pki(f"argocd-tls.{end}").read_bytes())

    def env(self, context: Context) -> dict[str, str]:
        """Leave the cluster out: it has no business there. What lies in the internet it gets as its user does."""
        env = super().env(context)
        del env["KUBECONFIG"], env["ARGOCD_FAKE_IN_CLUSTER"]
        return {**env, **proxy_variables(), "ARGOCD_APP_CONF_PATH": str(context.dir("run", self.name, "config"))}

    def arguments(self, context: Context) -> tuple[str, ...]:
        """Serve gRPC to holders of a certificate only."""
        return (
            f"--address={LOOPBACK}",
            f"--port={context.ports['argocd-repo-server']}",
            f"--metrics-address={LOOPBACK}",
            f"--metrics-port={context.ports['argocd-repo-server-metrics']}",
            f"--client-ca-path={context.pki('argocd-ca.crt')}",
            f"--redis={context.address('redis')}",
        )

    def ready(self, context: Context) -> Observation:
        """It is ready when it answers itself over gRPC: the metrics answer before the key ring is made."""
        return http_ok(context.address("argocd-repo-server-metrics"), "/healthz?full=true")


class ApplicationController(_ArgocdComponent, RememberingProcess):
    """Compares, syncs and heals."""

    name = "argocd-application-controller"
    ports = ("argocd-application-controller-metrics",)

    def env(self, context: Context) -> dict[str, str]:
        """Say that it is the only one: it would otherwise look for its own StatefulSet."""
        return {
            **super().env(context),
            "ARGOCD_CONTROLLER_REPLICAS": "1",
            "HOSTNAME": "argocd-application-controller-0",
            # As for the API server: less often, within a bound.
            "GOGC": "200",
            "GOMEMLIMIT": "400MiB",
        }

    def arguments(self, context: Context) -> tuple[str, ...]:
        """Heal repeated drift of one revision at once, instead of after 2, 6, 18, … seconds."""
        return (
            f"--repo-server={context.address('argocd-repo-server')}",
            f"--redis={context.address('redis')}",
            f"--metrics-port={context.ports['argocd-application-controller-metrics']}",
            "--self-heal-backoff-timeout-seconds=0",
            *self.client_certificate(context),
        )

    def ready(self, context: Context) -> Observation:
        """It is ready when its health check answers."""
        return http_ok(context.address("argocd-application-controller-metrics"), "/healthz")

    def resting(self, context: Context) -> Observation:
        """It rests when it is done with all that it was ever given reason to look at, as its metrics count it."""
        address = context.address("argocd-application-controller-metrics")
        try:
            with direct_session() as session:
                answer = session.get(f"http://{address}/metrics", timeout=_METRICS_SECONDS)
        except requests.RequestException as error:
            return pending(str(error))
        return work_left(answer.text)


class ArgocdServer(_ArgocdComponent):
    """The API, the UI where the binary carries it, and the receiver of webhooks."""

    name = "argocd-server"
    ports = ("argocd-server", "argocd-server-metrics")

    def arguments(self, context: Context) -> tuple[str, ...]:
        """Serve by TLS on loopback."""
        return (
            f"--address={LOOPBACK}",
            f"--port={context.ports['argocd-server']}",
            f"--metrics-address={LOOPBACK}",
            f"--metrics-port={context.ports['argocd-server-metrics']}",
            f"--repo-server={context.address('argocd-repo-server')}",
            f"--redis={context.address('redis')}",
            *self.client_certificate(context),
        )

    def ready(self, context: Context) -> Observation:
        """It is ready when its health check answers by TLS."""
        return http_ok(context.address("argocd-server"), "/healthz", authority=context.pki("argocd-ca.crt"))


class ApplicationSetController(_ArgocdComponent, RememberingProcess):
    """Makes Applications from ApplicationSets."""

    name = "argocd-applicationset-controller"
    ports = ("argocd-applicationset-metrics", "argocd-applicationset-probe", "argocd-applicationset-webhook")

    def arguments(self, context: Context) -> tuple[str, ...]:
        """Serve on loopback only."""
        return (
            f"--namespace={ARGOCD_NAMESPACE}",
            f"--metrics-addr={context.address('argocd-applicationset-metrics')}",
            f"--probe-addr={context.address('argocd-applicationset-probe')}",
            f"--webhook-addr={context.address('argocd-applicationset-webhook')}",
            f"--argocd-repo-server={context.address('argocd-repo-server')}",
            *self.client_certificate(context),
        )

    def ready(self, context: Context) -> Observation:
        """It is ready when it serves its metrics: it registers no health check of its own."""
        return http_ok(context.address("argocd-applicationset-metrics"), "/metrics")


class NotificationsController(_ArgocdComponent):
    """Tells the world what became of an Application, where a user configured it."""

    name = "argocd-notifications-controller"
    ports = ("argocd-notifications-metrics",)

    def env(self, context: Context) -> dict[str, str]:
        """Its name within the binary differs from that of its Deployment."""
        return {**super().env(context), "ARGOCD_BINARY_NAME": "argocd-notifications"}

    def arguments(self, context: Context) -> tuple[str, ...]:
        """Watch this sandbox's Applications."""
        return (
            f"--namespace={ARGOCD_NAMESPACE}",
            f"--metrics-port={context.ports['argocd-notifications-metrics']}",
            f"--argocd-repo-server={context.address('argocd-repo-server')}",
            *self.client_certificate(context),
        )

    def ready(self, context: Context) -> Observation:
        """It is ready when it serves its metrics."""
        return _listens(context.ports["argocd-notifications-metrics"])
