"""A node's own programs, worked on from outside: the kubelet, and containerd by crictl and ctr.

Facts on their words: cri-tools 1.36 docs/crictl.md, containerd 2.4 ``ctr images``.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from typing import Any

from sandbox.containers.docker import Docker

__all__ = ["ImageNames", "NodeRuntime"]

ImageNames = dict[str, str]
"""Each name that a node knows an image by, tags and digests, and the id of the image."""

_NAMESPACE = "io.kubernetes.pod.namespace"
_CONTAINER = "io.kubernetes.container.name"


@dataclass(frozen=True, slots=True)
class NodeRuntime:
    """What runs on a node.

    Attributes:
        docker: The daemon that has the node.
        node: The node's container.
    """

    docker: Docker
    node: str

    def stop_kubelet(self) -> None:
        """Stop the kubelet; containers run on without it.

        Raises:
            UnavailableError: The node does not run, or systemd refuses.
        """
        self.docker.execute(self.node, ["systemctl", "stop", "kubelet"])

    def start_kubelet(self) -> None:
        """Start the kubelet; nothing happens when it runs.

        Raises:
            UnavailableError: The node does not run, or systemd refuses.
        """
        self.docker.execute(self.node, ["systemctl", "start", "kubelet"])

    def running(self) -> set[str]:
        """Give the ids of the containers of pods that run.

        Raises:
            UnavailableError: The node does not run, or containerd does not answer.
        """
        return {str(each["id"]) for each in self._containers()}

    def kill(self, wanted: Collection[tuple[str, str]]) -> None:
        """End containers of pods at once.

        Args:
            wanted: Which, as the namespace of the pod and the name of the container in it.

        Raises:
            UnavailableError: The node does not run, or containerd does not answer.
        """
        found = [
            str(each["id"])
            for each in self._containers()
            if (each["labels"].get(_NAMESPACE), each["labels"].get(_CONTAINER)) in wanted
        ]
        if found:
            self.docker.execute(self.node, ["crictl", "stop", "--timeout", "0", *found])

    def images(self) -> ImageNames:
        """Give the images that are there.

        Raises:
            UnavailableError: The node does not run, or containerd does not answer.
        """
        images: list[dict[str, Any]] = self._asked("images")["images"] or []
        return {
            str(name): str(image["id"])
            for image in images
            for name in (image["id"], *(image.get("repoTags") or ()), *(image.get("repoDigests") or ()))
        }

    def forget_images(self, names: Iterable[str]) -> None:
        """Take names of images away, and each image with its last name.

        Raises:
            UnavailableError: The node does not run, or containerd does not answer.
        """
        # crictl would take all names of an image away with one.
        self.docker.execute(self.node, ["ctr", "--namespace", "k8s.io", "images", "rm", *names])

    def _containers(self) -> list[dict[str, Any]]:
        return list(self._asked("ps")["containers"] or ())

    def _asked(self, what: str) -> dict[str, Any]:
        return dict(json.loads(self.docker.execute(self.node, ["crictl", what, "--output", "json"])))
