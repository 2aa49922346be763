"""A server in a pod of somebody's cluster, whose program is carried into the pod instead of pulled.

The cluster pulls one image for all: Argo CD's, which it must be able to pull anyway and which has a shell. An init
container of it waits until this machine has copied the program, verified as every other, into the pod (`kubectl cp`).
So no registry has to hold our programs, and none has to be trusted with them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from sandbox.components.base import Context
from sandbox.components.existing.argocd_in_namespace import argocd_image
from sandbox.containers.described import Owner
from sandbox.core.commands import CommandError, run
from sandbox.core.conditions import Deadline, Observation, failed, met, pending, wait_for
from sandbox.core.files import write_file
from sandbox.kube.api import KubeApi
from sandbox.kube.applying import apply_all
from sandbox.kube.pods import container_logs, logs_as_text, state_of_pods
from sandbox.kube.rollout import workload_waits_for
from sandbox.toolchain.versions import architecture

__all__ = ["PROGRAMS", "SETTINGS", "PodServer"]

PROGRAMS = "/programs"
"""Where its containers find the program."""

SETTINGS = "/settings"
"""Where they find the files of its Secret."""

_WHOLE = f"{PROGRAMS}/.whole"
_FILL = "fill"
_USER = 999  # that of Argo CD's image
_APPLY_SECONDS = 60.0
_FILL_SECONDS = 180.0
_COPY_SECONDS = 120.0
_LOG_LINES = 500
_STUCK = ("ErrImagePull", "ImagePullBackOff", "InvalidImageName", "CreateContainerConfigError")

_CONTAINER: Mapping[str, Any] = {
    "imagePullPolicy": "IfNotPresent",
    "securityContext": {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    },
    "resources": {"requests": {"cpu": "10m", "memory": "32Mi"}, "limits": {"memory": "256Mi"}},
}
"""What all of its containers have in common."""


class PodServer:
    """A Deployment of one pod; what it needs beside stands in ``beside``."""

    name: str
    program: str
    requires: tuple[str, ...] = ()
    ports: tuple[str, ...] = ()

    def containers(self, context: Context) -> Sequence[Mapping[str, Any]]:
        """Describe the containers: name, command and ports; image, mounts and limits are the same for all."""
        raise NotImplementedError

    def settings(self, context: Context) -> Mapping[str, str]:
        """Give the files of its Secret."""
        raise NotImplementedError

    def volumes(self, context: Context) -> Mapping[str, tuple[str, Mapping[str, Any]]]:
        """Give further volumes, by name: where they are mounted, and what they are."""
        del context
        return {}

    def beside(self, context: Context) -> Sequence[Mapping[str, Any]]:
        """Give further objects: Services, volume claims."""
        del context
        return ()

    def labels(self, context: Context) -> dict[str, str]:
        """Give the labels of all that is made for it."""
        return {**Owner(context.name, context.run_id).labels, "app.kubernetes.io/name": self.name}

    def metadata(self, context: Context, name: str = "") -> dict[str, Any]:
        """Give the metadata of an object of it."""
        return {"name": name or self.name, "namespace": context.own_namespace, "labels": self.labels(context)}

    def ensure(self, context: Context) -> None:
        """Apply it, and carry its program into the pod that waits for it.

        Raises:
            ConditionFailedError: The cluster can't pull the image.
            DeadlineError: No pod came to be in time.
        """
        api = context.api()
        held = {
            "apiVersion": "v1",
            "kind": "Secret",
            "metadata": self.metadata(context),
            "stringData": dict(self.settings(context)),
        }
        # A Secret is kept as `data`, so that to compare it with what is there would always find a difference.
        api.apply(held)
        apply_all(api, [*self.beside(context), self._deployment(context)], Deadline.after(_APPLY_SECONDS))
        wait_for(
            lambda: self._filled(context, api),
            Deadline.after(_FILL_SECONDS),
            wanted=f"the pod of {self.name} to have its program",
            every=0.2,
        )

    def _deployment(self, context: Context) -> dict[str, Any]:
        labels = self.labels(context)
        template = {"metadata": {"labels": labels}, "spec": self._pod(context)}
        spec = {
            "replicas": 1,
            # The volume is for one pod at a time.
            "strategy": {"type": "Recreate"},
            "selector": {"matchLabels": labels},
            "template": template,
        }
        return {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": self.metadata(context), "spec": spec}

    def _pod(self, context: Context) -> dict[str, Any]:
        """Describe the pod, as the Pod Security Standard "restricted" asks for it."""
        common = {"image": argocd_image(context.tools["argocd"]), **_CONTAINER}
        programs = {"name": "programs", "mountPath": PROGRAMS}
        wait = f"until [ -e {_WHOLE} ]; do sleep 0.2; done"
        fill = {**common, "name": _FILL, "command": ["sh", "-c", wait], "volumeMounts": [programs]}
        volumes = self.volumes(context)
        mounts = [
            programs,
            {"name": "settings", "mountPath": SETTINGS, "readOnly": True},
            *({"name": name, "mountPath": place} for name, (place, _) in volumes.items()),
        ]
        return {
            "automountServiceAccountToken": False,
            "enableServiceLinks": False,
            "terminationGracePeriodSeconds": 2,
            # The program was made for this machine.
            "nodeSelector": {"kubernetes.io/os": "linux", "kubernetes.io/arch": architecture()},
            "securityContext": {
                "runAsNonRoot": True,
                "runAsUser": _USER,
                "fsGroup": _USER,
                "seccompProfile": {"type": "RuntimeDefault"},
            },
            "initContainers": [fill],
            "containers": [{**common, "volumeMounts": mounts, **each} for each in self.containers(context)],
            "volumes": [
                {"name": "programs", "emptyDir": {}},
                {"name": "settings", "secret": {"secretName": self.name}},
                *({"name": name, **source} for name, (_, source) in volumes.items()),
            ],
        }

    def _selector(self, context: Context) -> str:
        return ",".join(f"{key}={value}" for key, value in self.labels(context).items())

    def _pods(self, context: Context, api: KubeApi) -> list[dict[str, Any]]:
        pods = api.list("v1", "Pod", context.own_namespace, labels=self._selector(context))
        return [pod for pod in pods if not pod["metadata"].get("deletionTimestamp")]

    def _filled(self, context: Context, api: KubeApi) -> Observation:
        """Look whether a pod has its program, and carry it into one that waits for it."""
        pods = self._pods(context, api)
        if not pods:
            return pending("there is no pod yet")
        status = pods[0].get("status", {})
        for each in status.get("initContainerStatuses") or ():
            state = each.get("state") or {}
            if "running" in state:
                return self._carry(context, str(pods[0]["metadata"]["name"]))
            if (state.get("terminated") or {}).get("exitCode") == 0:
                return met("it has it")
            waiting = state.get("waiting") or {}
            if waiting.get("reason") in _STUCK:
                return failed(f"{waiting['reason']}: {waiting.get('message', '')}")
        unmet = [entry.get("message", "") for entry in status.get("conditions") or () if entry["status"] == "False"]
        return pending("; ".join(filter(None, unmet)) or f"the pod is {status.get('phase')}")

    def _carry(self, context: Context, pod: str) -> Observation:
        kubectl: list[str | Path] = [
            context.tools["kubectl"].binary(),
            f"--kubeconfig={context.pki('admin.kubeconfig')}",
            f"--namespace={context.own_namespace}",
        ]
        program = context.tools[self.program].binary()
        target = f"{pod}:{PROGRAMS}/{self.program}"
        run([*kubectl, "cp", "--container", _FILL, program, target], timeout=_COPY_SECONDS)
        try:
            run([*kubectl, "exec", pod, "--container", _FILL, "--", "touch", _WHOLE], timeout=_COPY_SECONDS)
        except CommandError as error:
            # The container ends once the file is there, and may take with it who has just made it: its own end tells.
            return pending(f"{error.what}: {error.why}")
        return met("carried in")

    def ready(self, context: Context) -> Observation:
        """It is ready when its pod is."""
        api = context.api()
        found = api.get("apps/v1", "Deployment", self.name, context.own_namespace)
        if found is None:
            return pending("there is no Deployment of it")
        waiting = workload_waits_for(found)
        return pending(waiting) if waiting else met("its pod is ready")

    def state(self, context: Context) -> dict[str, Any]:
        """Say how it is, for ``status``."""
        return state_of_pods(self.name, lambda: self.ready(context))

    def tail(self, context: Context, lines: int) -> str:
        """Give the last lines of each container's log."""
        api = context.api()
        return logs_as_text(container_logs(api, context.own_namespace, self._selector(context), lines))

    def diagnose(self, context: Context, into: Path) -> None:
        """Take the end of its pod's logs."""
        write_file(into / f"{self.name}.log", self.tail(context, _LOG_LINES))

    def remove(self, context: Context) -> None:
        """It goes with the namespace."""
