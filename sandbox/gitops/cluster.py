"""The cluster as somebody with too many rights would change it by hand: the drift of a story."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from sandbox.core.errors import UnavailableError
from sandbox.gitops.telling import acting
from sandbox.kube.api import KubeApi

__all__ = ["TRACKING", "Change", "Cluster"]

TRACKING = "argocd.argoproj.io/tracking-id"


@dataclass(frozen=True, slots=True)
class Change:
    """Something that was changed by hand, as the API server had it right after.

    Attributes:
        api_version: Of the object.
        kind: Of the object.
        namespace: Of the object.
        name: Of the object.
        resource_version: After the change; what comes later has a higher one.
        uid: Of the object that was changed or deleted.
        said: The change in words.
    """

    api_version: str
    kind: str
    namespace: str
    name: str
    resource_version: int
    uid: str
    said: str


class Cluster:
    """Changes by hand, each as ``kubectl`` would make it."""

    def __init__(self, api: KubeApi) -> None:
        self.api = api

    def deployment(self, namespace: str, name: str) -> dict[str, Any]:
        """Give a Deployment.

        Raises:
            UnavailableError: There is none.
        """
        found = self.api.get("apps/v1", "Deployment", name, namespace)
        if found is None:
            raise UnavailableError(f"there is no Deployment {name} in namespace {namespace}")
        return found

    def _changed(self, after: dict[str, Any], api_version: str, kind: str, said: str) -> Change:
        metadata = after["metadata"]
        return Change(
            api_version,
            kind,
            metadata["namespace"],
            metadata["name"],
            int(metadata["resourceVersion"]),
            metadata["uid"],
            said,
        )

    def scale(self, namespace: str, name: str, replicas: int) -> Change:
        """Scale a Deployment (`kubectl scale`)."""
        acting()
        after = self.api.merge("apps/v1", "Deployment", name, namespace, {"spec": {"replicas": replicas}})
        return self._changed(after, "apps/v1", "Deployment", f"scaled to {replicas} by hand")

    def set_image(self, namespace: str, name: str, image: str) -> Change:
        """Give a Deployment's first container another image (`kubectl set image`)."""
        template = self.deployment(namespace, name)["spec"]["template"]
        containers = [{**container} for container in template["spec"]["containers"]]
        containers[0]["image"] = image
        patch = {"spec": {"template": {"spec": {"containers": containers}}}}
        acting()
        after = self.api.merge("apps/v1", "Deployment", name, namespace, patch)
        return self._changed(after, "apps/v1", "Deployment", f"image set to {image} by hand")

    def delete(self, api_version: str, kind: str, namespace: str, name: str) -> Change:
        """Delete an object (`kubectl delete`)."""
        before = self.api.get(api_version, kind, name, namespace)
        if before is None:
            raise UnavailableError(f"there is no {kind} {name} in namespace {namespace} to delete")
        acting()
        self.api.delete(api_version, kind, name, namespace)
        return self._changed(before, api_version, kind, "deleted by hand")

    def smuggle(self, application: str, namespace: str, name: str) -> Change:
        """Create a ConfigMap that claims to belong to an Application, but stands in no commit."""
        acting()
        after = self.api.create(
            {
                "apiVersion": "v1",
                "kind": "ConfigMap",
                "metadata": {
                    "name": name,
                    "namespace": namespace,
                    "annotations": {TRACKING: f"{application}:/ConfigMap:{namespace}/{name}"},
                },
                "data": {"made": "by hand"},
            }
        )
        return self._changed(after, "v1", "ConfigMap", "created by hand")
