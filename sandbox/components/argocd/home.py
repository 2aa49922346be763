"""The namespace in which a sandbox's Applications stand: whose it is decides what stories may do there."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from sandbox.components.base import ARGOCD_NAMESPACE
from sandbox.kube.api import KubeApi

__all__ = ["ARGOCD_API", "ASK_REFRESH", "REFRESH", "ArgocdHome", "HomeNames", "OwnHome", "awaits_refresh"]

ARGOCD_API = "argoproj.io/v1alpha1"
REFRESH = "argocd.argoproj.io/refresh"
"""The annotation by which an Application is told to look again (``normal``, or ``hard`` past the cache)."""

ASK_REFRESH = {"metadata": {"annotations": {REFRESH: "normal"}}}
"""The change by which an Application is told to."""

_KINDS = ("ApplicationSet", "Application", "AppProject")


def awaits_refresh(application: Mapping[str, Any]) -> bool:
    """Say whether an Application has been told to be refreshed and has not been yet: Argo CD takes the word off."""
    return REFRESH in (application["metadata"].get("annotations") or {})


@dataclass(frozen=True, slots=True)
class HomeNames:
    """What somebody has, or may come to have, in Argo CD's namespace: all of it by name.

    Attributes:
        applications: Of Applications.
        projects: Of AppProjects.
        secrets: Of Secrets: credentials of repositories.
    """

    applications: tuple[str, ...] = ()
    projects: tuple[str, ...] = ()
    secrets: tuple[str, ...] = ()

    @classmethod
    def joined(cls, several: Iterable[HomeNames]) -> HomeNames:
        """Join the names of several, each once."""
        each = list(several)
        return cls(
            tuple(dict.fromkeys(name for one in each for name in one.applications)),
            tuple(dict.fromkeys(name for one in each for name in one.projects)),
            tuple(dict.fromkeys(name for one in each for name in one.secrets)),
        )

    def objects(self) -> list[tuple[str, str]]:
        """Give kind and name of each Application and AppProject, in the order in which they can go."""
        return [("Application", name) for name in self.applications] + [("AppProject", name) for name in self.projects]


class ArgocdHome(Protocol):
    """The namespace of Argo CD, as a story meets it."""

    @property
    def namespace(self) -> str:
        """Its name."""

    @property
    def labels(self) -> Mapping[str, str]:
        """What all that the sandbox makes there has to carry; nothing where all of it is the sandbox's."""

    def admit(self, api: KubeApi, names: HomeNames) -> None:
        """Let a story have these names there.

        Args:
            api: Who speaks for the sandbox.
            names: What the story is going to make.

        Raises:
            UnavailableError: It may not, or one of them is somebody else's.
        """

    def held(self, api: KubeApi, names: HomeNames) -> Mapping[str, list[dict[str, Any]]]:
        """Give what stands there, by kind, as far as a story with these names is concerned."""

    def open_to(self, api: KubeApi, namespaces: Sequence[str], known: Sequence[str]) -> None:
        """Let Argo CD fill namespaces that somebody has given the sandbox.

        Args:
            api: Who speaks for the sandbox.
            namespaces: Which.
            known: All that the sandbox has ever asked for, but its own.
        """


@dataclass(frozen=True, slots=True)
class OwnHome:
    """That of an Argo CD which is the sandbox's alone, in a cluster of its own."""

    namespace: str = ARGOCD_NAMESPACE
    labels: Mapping[str, str] = field(default_factory=dict)

    def admit(self, api: KubeApi, names: HomeNames) -> None:
        """Let it: nobody else has names there."""

    def held(self, api: KubeApi, names: HomeNames) -> Mapping[str, list[dict[str, Any]]]:
        """Give all that there is: a story may have made any of it."""
        del names
        return {kind: api.list(ARGOCD_API, kind, self.namespace) for kind in _KINDS}

    def open_to(self, api: KubeApi, namespaces: Sequence[str], known: Sequence[str]) -> None:
        """Do nothing: it may fill them all."""
