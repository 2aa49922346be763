"""The namespaces that Applications fill, emptied before a story: how, hangs on whose cluster it is."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol

from sandbox.components.kube import KubeApi
from sandbox.core.conditions import Deadline, Observation, met, pending, wait_for

__all__ = ["Namespaces", "OwnNamespaces"]

_CLEAR_SECONDS = 60.0


class Namespaces(Protocol):
    """Whoever gives a story its namespaces."""

    def clear(self, api: KubeApi, names: Sequence[str]) -> None:
        """See that Applications can fill the namespaces, and that nothing of an earlier story is in them.

        Args:
            api: Who speaks for the sandbox.
            names: The namespaces; no Application looks after them any more.

        Raises:
            UnavailableError: One can't be had; says why.
            DeadlineError: Something stays in one; names it and what holds it.
        """


class OwnNamespaces:
    """Those of a cluster that is the sandbox's own: they go as a whole, and Argo CD makes them again."""

    def clear(self, api: KubeApi, names: Sequence[str]) -> None:
        """Delete them, and wait until they are gone.

        Raises:
            DeadlineError: One stays; names it and the finalizers that hold it.
        """
        for name in names:
            if api.get("v1", "Namespace", name) is not None:
                self._empty(api, name)
                api.delete("v1", "Namespace", name)
            # The namespace controller first looks five seconds later; pods that it finds cost sixteen more.
            api.delete_all("v1", "Pod", name)
        wait_for(
            lambda: self._gone(api, names),
            Deadline.after(_CLEAR_SECONDS),
            wanted=f"what is left in {', '.join(names)} to be gone",
            every=0.1,
        )

    @staticmethod
    def _empty(api: KubeApi, namespace: str) -> None:
        """Delete what runs there without any grace: the namespace's own deletion would sit out half of each pod's."""
        for api_version, kind in (("apps/v1", "Deployment"), ("apps/v1", "ReplicaSet"), ("v1", "Pod")):
            api.delete_all(api_version, kind, namespace)

    @staticmethod
    def _gone(api: KubeApi, names: Sequence[str]) -> Observation:
        left: list[dict[str, Any]] = [
            found for name in names if (found := api.get("v1", "Namespace", name)) is not None
        ]
        if not left:
            return met("gone")
        messages = [
            condition["message"]
            for found in left
            for condition in found.get("status", {}).get("conditions") or ()
            if condition["status"] == "True"
        ]
        listed = ", ".join(found["metadata"]["name"] for found in left)
        return pending(f"namespaces {listed}: {'; '.join(messages) or 'being deleted'}")
