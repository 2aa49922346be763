"""Proof that a node can pull from the sandbox's registry: by a pull, not by what kind of cluster it seems to be."""

from __future__ import annotations

import base64
import json
import tempfile
from pathlib import Path
from typing import Any

from sandbox.components.base import Context
from sandbox.components.existing.given_namespaces import PULL_SECRET, pull_secret
from sandbox.components.registry import SECRET, USER
from sandbox.containers.described import Owner
from sandbox.containers.oci import ImageConfig, LayerWriter, Layout, write_layout
from sandbox.core.commands import run
from sandbox.core.conditions import Deadline, Observation, failed, met, pending, wait_for
from sandbox.core.errors import ConditionFailedError
from sandbox.core.files import write_file
from sandbox.kube.api import KubeApi
from sandbox.toolchain.versions import architecture

__all__ = ["NodePull"]

_POD = "node-pull"
_SECONDS = 90.0
_PUSH_SECONDS = 60.0
# A node refuses its own port until its kube-proxy has heard of the registry's pod, on a busy machine for seconds; the
# runtime asks again after ten, and after twenty more.
_PROXY_SECONDS = 35.0
_USER_ID = 65532


class NodePull:
    """Pushes an image of next to nothing as CI does, and has a node pull it as it pulls an application's."""

    name = "node-pull"
    requires = ("registry-forward",)
    ports = ("registry",)

    def ensure(self, context: Context) -> None:
        """Push, and start a pod of the image; that its one file is no program does not matter.

        Raises:
            ConditionFailedError: The node can't pull; says why, in the runtime's words.
            DeadlineError: No node took the pod in time.
        """
        api, namespace = context.api(), context.own_namespace
        image = self._push(context)
        api.apply(pull_secret(context, namespace))
        api.delete("v1", "Pod", _POD, namespace)
        deadline = Deadline.after(_SECONDS)
        wait_for(lambda: _gone(api, namespace), deadline, wanted="an earlier pod to be gone", every=0.1)
        api.create(self._pod(context, image))
        try:
            patience = Deadline.after(_PROXY_SECONDS)
            wait_for(lambda: _pulled(api, namespace, patience), deadline, wanted=f"a node to pull {image}", every=0.1)
        except ConditionFailedError as error:
            error.hint = "docs/decisions/0015-existing-cluster.md says which clusters' nodes can"
            raise
        finally:
            api.delete("v1", "Pod", _POD, namespace)

    def _push(self, context: Context) -> str:
        address = context.address("registry")
        with tempfile.TemporaryDirectory(dir=context.folder) as name:
            folder = Path(name)
            layout = _layout(folder, context.run_id)
            account = f"{USER}:{context.secrets.value(SECRET)}"
            auths = {address: {"auth": base64.b64encode(account.encode()).decode()}}
            write_file(folder / "config.json", json.dumps({"auths": auths}))
            target = f"{address}/gitops-sandbox/node-pull:{context.run_id}"
            argv: list[str | Path] = [context.tools["crane"].binary(), "push", "--insecure", layout.folder, target]
            run(argv, timeout=_PUSH_SECONDS, env=context.environment(self.name, DOCKER_CONFIG=name))
            return f"{target}@{layout.digest}"

    @staticmethod
    def _pod(context: Context, image: str) -> dict[str, Any]:
        container = {
            "name": "pulled",
            "image": image,
            "imagePullPolicy": "Always",
            "command": ["/pulled"],
            "securityContext": {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}},
        }
        labels = Owner(context.name, context.run_id).labels
        return {
            "apiVersion": "v1",
            "kind": "Pod",
            "metadata": {"name": _POD, "namespace": context.own_namespace, "labels": labels},
            "spec": {
                "automountServiceAccountToken": False,
                "restartPolicy": "Never",
                "imagePullSecrets": [{"name": PULL_SECRET}],
                "securityContext": {
                    "runAsNonRoot": True,
                    "runAsUser": _USER_ID,
                    "seccompProfile": {"type": "RuntimeDefault"},
                },
                "containers": [container],
            },
        }

    def ready(self, context: Context) -> Observation:
        """It is ready once a node has pulled."""
        del context
        return met("a node has pulled from the registry")

    def diagnose(self, context: Context, into: Path) -> None:
        """Nothing: the pod is among the cluster's objects, and so are its events."""

    def remove(self, context: Context) -> None:
        """It goes with the namespace."""


def _layout(folder: Path, content: str) -> Layout:
    blobs = folder / "blobs"
    blobs.mkdir()
    with LayerWriter(blobs) as writer:
        writer.text("pulled", content)
        layer = writer.finish()
    return write_layout(folder / "image", blobs, "node-pull", [layer], ImageConfig(("/pulled",)), architecture())


def _gone(api: KubeApi, namespace: str) -> Observation:
    return pending("it is being deleted") if api.get("v1", "Pod", _POD, namespace) else met("gone")


def _pulled(api: KubeApi, namespace: str, patience: Deadline) -> Observation:
    """Look what became of the pull: the image's id is told as soon as the node has it, whatever comes then."""
    status = (api.get("v1", "Pod", _POD, namespace) or {}).get("status", {})
    for each in status.get("containerStatuses") or ():
        if each.get("imageID"):
            return met("pulled")
        waiting = (each.get("state") or {}).get("waiting") or {}
        if waiting.get("reason") == "ImagePullBackOff" and patience.passed:
            return failed(str(waiting.get("message")))
        return pending(f"{waiting.get('reason')}: {waiting.get('message', '')}")
    unmet = [entry.get("message", "") for entry in status.get("conditions") or () if entry["status"] == "False"]
    return pending("; ".join(filter(None, unmet)) or "no node has taken the pod yet")
