"""The configuration of the Git server."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from pathlib import Path

from sandbox.core.files import read_json
from sandbox.servers.access import User
from sandbox.servers.settings import Fields

__all__ = ["GitServerSettings", "Webhook"]


@dataclass(frozen=True, slots=True)
class Webhook:
    """Where push events go.

    Attributes:
        url: The receiver.
        secret: Signs the body; kept out of ``repr``.
        repositories: Patterns of the repositories whose pushes are sent; one that begins with ``!`` takes out.
        ca_file: The authority that the receiver's certificate must come from; the machine's own when None.
    """

    url: str
    secret: str = field(repr=False)
    repositories: tuple[str, ...] = ("*",)
    ca_file: Path | None = None

    def wants(self, repository: str) -> bool:
        """Say whether pushes to the repository of this name are sent."""
        taken_out = any(fnmatchcase(repository, pattern[1:]) for pattern in self.repositories if pattern[0] == "!")
        return not taken_out and any(fnmatchcase(repository, pattern) for pattern in self.repositories)


@dataclass(frozen=True, slots=True)
class GitServerSettings:
    """What the Git server is told at its start.

    Attributes:
        host: The address that it listens on: loopback, or that of a bridge to containers.
        port: The port there.
        root: The folder of the bare repositories.
        public_url: The server's URL without a slash at its end, as it stands in push events.
        users: The credentials by name.
        webhooks: Where push events go.
        deliveries: The file that gets one JSON line for each attempt to deliver an event.
    """

    host: str
    port: int
    root: Path
    public_url: str
    users: Mapping[str, User]
    webhooks: tuple[Webhook, ...]
    deliveries: Path

    @classmethod
    def read(cls, path: Path) -> GitServerSettings:
        """Read and check a configuration file.

        Raises:
            FileNotFoundError: There is none.
            UsageError: It is damaged, or a field is missing or wrong.
        """
        fields = Fields(read_json(path))
        users = fields.child("users")
        return cls(
            host=fields.text("host"),
            port=fields.port("port"),
            root=fields.path("root"),
            public_url=fields.text("public_url").rstrip("/"),
            users={name: _user(name, users.child(name)) for name in users.values},
            webhooks=tuple(_webhook(hook) for hook in fields.children("webhooks")),
            deliveries=fields.path("deliveries"),
        )


def _user(name: str, fields: Fields) -> User:
    return User(name, fields.text("password"), read=fields.texts("read"), write=fields.texts("write"))


def _webhook(fields: Fields) -> Webhook:
    return Webhook(
        fields.text("url"),
        fields.text("secret"),
        repositories=fields.texts("repositories") or ("*",),
        ca_file=fields.optional_path("ca_file"),
    )
