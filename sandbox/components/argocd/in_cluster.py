"""Argo CD as pods of a cluster: the official install.yaml, plain or HA, through a Kustomize overlay of ours.

In three steps, so that every process finds its settings at its first start: types, identities and
settings; the secrets of this sandbox (``ArgocdConfig``); the workloads. Since the administrator's
password is set before the first start, Argo CD makes no initial one that would have to be deleted.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from sandbox.components.argocd.config import PLAIN, secret, static_manifests
from sandbox.components.argocd.ha import HA
from sandbox.components.base import Context
from sandbox.components.embedded.redis import SECRET as REDIS_SECRET
from sandbox.components.overlay import rendered
from sandbox.components.probes import http_ok
from sandbox.containers.described import NAME_LABEL
from sandbox.containers.docker import connect
from sandbox.containers.images import ensure_images
from sandbox.core.conditions import Deadline, Observation, State, met, pending
from sandbox.core.files import write_file
from sandbox.kube.applying import apply_all
from sandbox.kube.pods import container_logs, logs_as_text, state_of_pods
from sandbox.kube.rollout import workload_waits_for
from sandbox.kube.watching import Watched

__all__ = ["SERVER_NODE_PORT", "ArgocdInCluster", "ArgocdManifests", "ArgocdSettings"]

SERVER_NODE_PORT = 30443
"""Where argocd-server answers on the node, as the overlay says."""

_APPLY_SECONDS = 60.0
_LOG_LINES = 500
# What the sandbox itself runs in a namespace that it shares with its Argo CD carries its label.
_NOT_OURS = f"!{NAME_LABEL}"
_WORKLOADS = (("apps/v1", "Deployment"), ("apps/v1", "StatefulSet"))


_PARAMETERS = {
    # Batches of events (100 ms) and a rest between waves (2 s) spare a cluster of many users; this one has one.
    "controller.cluster.cache.events.processing.interval": "1ms",
    "controller.sync.wave.delay.seconds": "0",
    # Repeated drift of one revision is healed at once, instead of after 2, 6, 18, ... seconds.
    "controller.self.heal.backoff.timeout.seconds": "0",
}


class ArgocdSettings:
    """The namespace, the custom types, the identities and the settings of Argo CD."""

    name = "argocd-settings"
    ports: tuple[str, ...] = ()

    def __init__(self, *requires: str) -> None:
        self.requires = requires

    def ensure(self, context: Context) -> None:
        """Apply them as they stand in install.yaml, and set what differs."""
        api = context.api()
        apply_all(api, self.manifests(context), Deadline.after(_APPLY_SECONDS))
        for name, data in self.differing(context).items():
            api.merge("v1", "ConfigMap", name, context.argocd_namespace, {"data": data})

    def manifests(self, context: Context) -> list[dict[str, Any]]:
        """Give what is applied."""
        namespace = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": context.argocd_namespace}}
        return [namespace, *_static(context)]

    def differing(self, context: Context) -> dict[str, dict[str, str]]:
        """Give the settings that install.yaml does not have, by the ConfigMap that they are in."""
        del context
        return {"argocd-cmd-params-cm": _PARAMETERS}

    def ready(self, context: Context) -> Observation:
        """They are ready once applied."""
        del context
        return met("applied")

    def diagnose(self, context: Context, into: Path) -> None:
        """Nothing: they are the same for every sandbox."""

    def remove(self, context: Context) -> None:
        """They go with the cluster."""


class ArgocdInCluster:
    """The workloads of Argo CD."""

    name = "argocd"
    requires = ("argocd-config", "argocd-manifests")
    ports: tuple[str, ...] = ("argocd-server",)

    def ensure(self, context: Context) -> None:
        """Apply what the overlay renders to; the server-side apply leaves alone what is as it must be."""
        api = context.api()
        # Made by redis' own init container otherwise, for which everything else would wait, with a back-off.
        password = {"auth": context.secrets.value(REDIS_SECRET)}
        namespace = context.argocd_namespace
        if api.get("v1", "Secret", "argocd-redis", namespace) is None:
            api.create(secret("argocd-redis", namespace, password, {"app.kubernetes.io/part-of": "argocd"}))
        apply_all(api, self.rendered(context), Deadline.after(_APPLY_SECONDS))

    def edits(self, context: Context) -> list[list[str]]:
        """Say what `kustomize edit` has to change in the overlay."""
        del context
        return [
            *(["set", "image", f"{theirs}={ours}"] for theirs, ours in _images().items()),
            ["add", "patch", "--path", "node-port.yaml", "--kind", "Service", "--name", "argocd-server"],
        ]

    def rendered(self, context: Context) -> list[dict[str, Any]]:
        """Render the workloads, and what else install.yaml has beside the settings."""
        overlay = "argocd/ha" if context.ha else "argocd/plain"
        edits = [["set", "namespace", context.argocd_namespace], *self.edits(context)]
        manifests = rendered(context, overlay, context.tools["argocd"].file(_variant(context)), edits)
        known = {_key(manifest) for manifest in _static(context)}
        return [manifest for manifest in manifests if _key(manifest) not in known]

    def watched(self, context: Context) -> list[Watched]:
        """Its workloads, whose lists are large."""
        return [(version, kind, context.argocd_namespace, "") for version, kind in _WORKLOADS]

    def ready(self, context: Context) -> Observation:
        """It is ready when every workload is rolled out and the server answers where the host reaches it."""
        seen = self.rolled_out(context)
        if seen.state is not State.MET:
            return seen
        return http_ok(context.address("argocd-server"), "/healthz", authority=context.pki("argocd-ca.crt"))

    @staticmethod
    def rolled_out(context: Context) -> Observation:
        """Look whether every workload of it is rolled out."""
        api, namespace = context.api(), context.argocd_namespace
        found = [item for version, kind in _WORKLOADS for item in api.list(version, kind, namespace, labels=_NOT_OURS)]
        waiting = [f"{item['metadata']['name']}: {reason}" for item in found if (reason := workload_waits_for(item))]
        if waiting or not found:
            return pending("; ".join(waiting) or "there is no workload of it")
        return met("every workload is rolled out")

    def state(self, context: Context) -> dict[str, Any]:
        """Say how it is, for ``status``."""
        return state_of_pods(self.name, lambda: self.ready(context))

    def tail(self, context: Context, lines: int) -> str:
        """Give the last lines of each container's log, below a line that names it."""
        return logs_as_text(self._logs(context, lines))

    def diagnose(self, context: Context, into: Path) -> None:
        """Take the end of each pod's log."""
        for name, text in self._logs(context, _LOG_LINES).items():
            write_file(into / f"{name}.log", text)

    @staticmethod
    def _logs(context: Context, lines: int) -> dict[str, str]:
        return container_logs(context.api(), context.argocd_namespace, _NOT_OURS, lines)

    def remove(self, context: Context) -> None:
        """It goes with the cluster."""


class ArgocdManifests:
    """What the overlay renders to, worked out before it is needed where that was never done: it is kept.

    Args:
        workloads: Whose.
    """

    name = "argocd-manifests"
    requires: tuple[str, ...] = ()
    ports: tuple[str, ...] = ()

    def __init__(self, workloads: ArgocdInCluster) -> None:
        self._workloads = workloads

    def ensure(self, context: Context) -> None:
        """Render them, which keeps them."""
        self._workloads.rendered(context)

    def ready(self, context: Context) -> Observation:
        """They are ready once rendered."""
        del context
        return met("rendered")

    def diagnose(self, context: Context, into: Path) -> None:
        """Nothing: it is what the versions say."""

    def remove(self, context: Context) -> None:
        """They go with the folder."""


def _variant(context: Context) -> str:
    """Give the official manifest, among the files of the tool argocd."""
    return HA if context.ha else PLAIN


def _static(context: Context) -> list[dict[str, Any]]:
    return static_manifests(context.tools["argocd"], context.argocd_namespace, _variant(context))


def _images() -> dict[str, str]:
    """Give the names under which the nodes have what the manifests know by other names."""
    with connect() as docker:
        held = ensure_images(docker).contents
    return {
        f"public.ecr.aws/docker/library/{name}": next(
            each for each in held if each.startswith(f"localhost/gitops-sandbox/{name}:")
        )
        for name in ("redis", "haproxy")
    }


def _key(manifest: dict[str, Any]) -> tuple[str, str, str]:
    return manifest["apiVersion"], manifest["kind"], manifest["metadata"]["name"]
