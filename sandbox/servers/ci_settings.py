"""The configuration of the CI runner."""

from __future__ import annotations

import posixpath
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from sandbox.core.files import read_json
from sandbox.servers.settings import Fields

__all__ = ["CiSettings", "Credential"]

_TIME_LIMIT = 15 * 60.0
_OVERLAY = "dev"


@dataclass(frozen=True, slots=True)
class Credential:
    """A service that the pipeline may use.

    Attributes:
        address: The Git server's URL, or the registry's host and port.
        user: The user's name there.
        password: The password; kept out of ``repr``.
    """

    address: str
    user: str
    password: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class CiSettings:
    """What the CI runner is told at its start.

    Attributes:
        port: The port on 127.0.0.1.
        webhook_secret: Push events must be signed with it; kept out of ``repr``.
        git: The Git server and the pipeline's credential.
        registry: The registry and the pipeline's credential.
        runs: The folder of all runs.
        tools_path: Folders of programs that steps find.
        act: The act program.
        cache: The folder that runs share for what Go downloads and compiles.
        overlay: The overlay that a pipeline updates, ``vars.ENVIRONMENT_OVERLAY``.
        time_limit: Seconds that a run may take.
        local_repositories: Folders to take actions from, by ``owner/name@ref``.
    """

    port: int
    webhook_secret: str = field(repr=False)
    git: Credential
    registry: Credential
    runs: Path
    tools_path: tuple[Path, ...]
    act: Path
    cache: Path
    overlay: str
    time_limit: float
    local_repositories: Mapping[str, Path]

    @classmethod
    def read(cls, path: Path) -> CiSettings:
        """Read and check a configuration file.

        Raises:
            FileNotFoundError: There is none.
            UsageError: It is damaged, or a field is missing or wrong.
        """
        fields = Fields(read_json(path))
        git, registry = fields.child("git"), fields.child("registry")
        actions = fields.child("local_repositories") if "local_repositories" in fields.values else Fields({})
        return cls(
            port=fields.port("port"),
            webhook_secret=fields.text("webhook_secret"),
            git=Credential(git.text("url").rstrip("/"), git.text("user"), git.text("password")),
            registry=Credential(registry.text("address"), registry.text("user"), registry.text("password")),
            runs=fields.path("runs"),
            tools_path=tuple(map(Path, fields.texts("tools_path"))),
            act=fields.path("act"),
            cache=fields.path("cache"),
            overlay=str(fields.values.get("environment_overlay", _OVERLAY)),
            time_limit=fields.number("time_limit", _TIME_LIMIT),
            local_repositories={name: actions.path(name) for name in actions.values},
        )

    def clone_url(self, repository: str) -> str:
        """Give the URL of a repository, without a credential."""
        return f"{self.git.address}/{repository}.git"

    def secrets(self) -> dict[str, str]:
        """Give what ``secrets`` holds in a workflow: the pipeline's two identities, and nothing of the cluster's."""
        return {
            "REGISTRY_USERNAME": self.registry.user,
            "REGISTRY_PASSWORD": self.registry.password,
            "ENVIRONMENT_USERNAME": self.git.user,
            "ENVIRONMENT_TOKEN": self.git.password,
        }

    def variables(self, repository: str) -> dict[str, str]:
        """Give what ``vars`` holds in a workflow of this repository."""
        return {
            "REGISTRY": self.registry.address,
            "IMAGE": f"{self.registry.address}/{repository}",
            "ENVIRONMENT_REPOSITORY": self.clone_url(posixpath.join(posixpath.dirname(repository), "environment")),
            "ENVIRONMENT_OVERLAY": self.overlay,
        }
