"""What a sandbox needs of an Argo CD that is somebody else's, beside its stories' Applications: to read its Git server.

Nothing of that Argo CD is changed: the credential template is a Secret of its own.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from sandbox.components.argocd.config import git_credential
from sandbox.components.argocd.home import ARGOCD_API
from sandbox.components.base import Context
from sandbox.components.existing.argocd_host import git_secret_name, noted_names
from sandbox.components.existing.rights import ARGOCD_CONTROLLER
from sandbox.containers.described import Owner
from sandbox.core.conditions import Observation, met, pending
from sandbox.core.files import write_file
from sandbox.kube.pods import state_of_pods
from sandbox.kube.rollout import workload_waits_for

__all__ = ["GuestOfArgocd"]


class GuestOfArgocd:
    """The credential by which somebody's Argo CD reads the sandbox's repositories, and a look whether it runs."""

    name = "argocd"
    requires = ("git-tunnel",)
    ports: tuple[str, ...] = ()

    def ensure(self, context: Context) -> None:
        """Apply the credential."""
        labels = Owner(context.name, context.run_id).labels
        context.api().apply(git_credential(context, git_secret_name(context.name), labels))

    def ready(self, context: Context) -> Observation:
        """It is ready when the host's controller runs."""
        api = context.api()
        controller = api.get("apps/v1", "StatefulSet", ARGOCD_CONTROLLER, context.argocd_namespace)
        if controller is None:
            return pending(f"there is no StatefulSet {ARGOCD_CONTROLLER} in {context.argocd_namespace}")
        waiting = workload_waits_for(controller)
        return pending(waiting) if waiting else met("its controller runs")

    def state(self, context: Context) -> dict[str, Any]:
        """Say how it is, for ``status``."""
        return state_of_pods(self.name, lambda: self.ready(context))

    def tail(self, context: Context, lines: int) -> str:
        """Say who has its logs."""
        del lines
        return f"the Argo CD in namespace {context.argocd_namespace} is somebody else's, and so are its logs"

    def diagnose(self, context: Context, into: Path) -> None:
        """Take the sandbox's own Applications and AppProjects."""
        api = context.api()
        namespace, names = noted_names(context.folder)
        found = [api.get(ARGOCD_API, kind, name, namespace) for kind, name in names.objects()]
        write_file(into / "argocd-objects.json", json.dumps([item for item in found if item], indent=2))

    def remove(self, context: Context) -> None:
        """It goes with what else the sandbox has in that namespace."""
