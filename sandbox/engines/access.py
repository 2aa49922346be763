"""How to get into a sandbox: addresses, accounts, and the files that hold passwords."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from sandbox.components.argocd.home import ArgocdHome, OwnHome
from sandbox.components.base import ARGOCD_NAMESPACE
from sandbox.components.namespaces import Namespaces, OwnNamespaces
from sandbox.core.errors import UnavailableError
from sandbox.toolchain import Tool

__all__ = ["Access", "Account"]


@dataclass(frozen=True, slots=True)
class Account:
    """One account of one server.

    Attributes:
        url: The server.
        user: The account's name.
        password_file: The file (0600) that holds its password.
    """

    url: str
    user: str
    password_file: Path

    def password(self) -> str:
        """Read the password."""
        return self.password_file.read_text()


@dataclass(frozen=True, slots=True)
class Access:
    """What a story, a test or a person needs of a running sandbox; the same on every engine.

    Attributes:
        name: The sandbox's name.
        engine: The engine's name.
        capabilities: What the engine can do; a step that needs more is skipped, loudly.
        folder: The state folder.
        kubeconfig: The administrator's.
        git: The developer's account on the Git server.
        registry: CI's account on the registry; its URL is ``http://host:port``.
        argocd_account: The administrator's account of Argo CD; None where it is somebody else's.
        argocd_ca: The authority of Argo CD's certificate.
        repositories: The folder of the bare repositories.
        runs: The folder of the CI runs.
        tools: Verified programs by name.
        receivers: Who is told of pushes: the name of each by what its URL begins with.
        home: Where Argo CD's Applications are.
        own_namespace: Where in the cluster the sandbox's own programs run.
        git_inside: The Git server's URL for the cluster's pods, where that is another than ``git`` has.
        pull_secret: The name of the Secret by which nodes pull images; empty where they need none.
        tenant_prefix: What the names of every story begin with in the cluster.
        namespaces: Gives stories their namespaces.
    """

    name: str
    engine: str
    capabilities: frozenset[str]
    folder: Path
    kubeconfig: Path
    git: Account
    registry: Account
    argocd_account: Account | None
    argocd_ca: Path
    repositories: Path
    runs: Path
    tools: Mapping[str, Tool] = field(repr=False)
    receivers: Mapping[str, str] = field(default_factory=dict)
    home: ArgocdHome = field(default_factory=OwnHome, repr=False)
    own_namespace: str = ARGOCD_NAMESPACE
    git_inside: str = ""
    pull_secret: str = ""
    tenant_prefix: str = ""
    namespaces: Namespaces = field(default_factory=OwnNamespaces, repr=False)

    @property
    def argocd(self) -> Account:
        """The administrator's account of Argo CD.

        Raises:
            UnavailableError: There is none for the sandbox.
        """
        if self.argocd_account is None:
            raise UnavailableError(
                "the sandbox has no account of Argo CD",
                why=f"the one in namespace {self.argocd_namespace} is somebody else's",
            )
        return self.argocd_account

    @property
    def argocd_namespace(self) -> str:
        """Where Argo CD's Applications are."""
        return self.home.namespace

    @property
    def registry_address(self) -> str:
        """``host:port`` of the registry, as image names begin with it."""
        return self.registry.url.removeprefix("http://")

    def to_json(self, repositories: list[str]) -> dict[str, Any]:
        """Give what `up --json` and `status --json` promise of it."""
        return {
            "name": self.name,
            "engine": self.engine,
            "kubeconfig": str(self.kubeconfig),
            "state_dir": str(self.folder),
            "bin_dir": str(self.folder / "bin"),
            "git": {
                "url": self.git.url,
                "user": self.git.user,
                "password_file": str(self.git.password_file),
                "repositories": repositories,
            },
            "registry": {
                "url": self.registry.url,
                "user": self.registry.user,
                "password_file": str(self.registry.password_file),
            },
            "argocd": {"namespace": self.argocd_namespace, **self._argocd_login()},
        }

    def _argocd_login(self) -> dict[str, str | None]:
        """Give how to log in to Argo CD; nothing is known of that where it is somebody else's."""
        account = self.argocd_account
        if account is None:
            return dict.fromkeys(("url", "username", "password_file", "ca_file"))
        return {
            "url": account.url,
            "username": account.user,
            "password_file": str(account.password_file),
            "ca_file": str(self.argocd_ca),
        }
