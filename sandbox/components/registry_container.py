"""The registry as containers: one that CI pushes to, and a reader of the same images for the nodes.

Distribution's accounts all have the same rights; so that a node, whose configuration any privileged
pod can read, holds no password that could push, it asks a second server that is read-only.
"""

from __future__ import annotations

import base64

import yaml

from sandbox.components.base import Context
from sandbox.components.container import ContainerComponent, container_name, network_name, owner_of
from sandbox.components.registry import SECRET, USER, api_answers, settings, write_account
from sandbox.containers.described import ContainerOptions
from sandbox.containers.docker import Docker
from sandbox.containers.images import image_tags
from sandbox.containers.mirror import PORT
from sandbox.core.conditions import Observation
from sandbox.core.files import write_file

__all__ = ["ImageMirror", "RegistryContainer", "RegistryReader", "reader_authorization"]

_READER_USER = "node"
_READER_SECRET = "registry-node"  # noqa: S105  # the name of the secret, not the secret
_ROOT = "/images"  # not where the image of the registry has the mirror's: a new volume would begin as their copy
_SETTINGS = "/etc/registry"


class RegistryContainer(ContainerComponent):
    """An OCI registry with one account, that of CI; published on loopback."""

    name = "registry"
    ports: tuple[str, ...] = ("registry",)
    user = USER
    secret = SECRET

    def prepare(self, context: Context, docker: Docker) -> None:
        """Make the volume of the images, and write the configuration and the account."""
        docker.ensure_volume(_volume(context), owner_of(context))
        folder = context.dir("run", self.name)
        write_account(folder / "htpasswd", self.user, context.secrets.value(self.secret))
        configuration = settings(context, address=f":{PORT}", root=_ROOT, accounts=f"{_SETTINGS}/htpasswd")
        configuration["storage"]["maintenance"] = {"readonly": {"enabled": self.read_only}}
        write_file(folder / "config.yml", yaml.safe_dump(configuration))

    read_only = False

    def options(self, context: Context) -> ContainerOptions:
        """Serve with the configuration file."""
        return ContainerOptions(
            name=container_name(context.name, self.name),
            image=image_tags()[1],
            command=("serve", f"{_SETTINGS}/config.yml"),
            environment={"OTEL_TRACES_EXPORTER": "none"},
            ports=self.published(context),
            mounts={str(context.dir("run", self.name)): _SETTINGS},
            volumes={_volume(context): _ROOT},
            network=network_name(context.name),
            restart="unless-stopped",
        )

    def published(self, context: Context) -> dict[int, int]:
        """Say by which port the host reaches it."""
        return {PORT: context.ports["registry"]}

    def answers(self, context: Context) -> Observation:
        """It does its work when its API answers to CI's account."""
        return api_answers(context.address("registry"), USER, context.secrets.value(SECRET))


class RegistryReader(RegistryContainer):
    """The same images, read-only, for the nodes alone: no port of the host leads to it."""

    name = "registry-reader"
    requires = ("registry",)
    ports = ()
    user = _READER_USER
    secret = _READER_SECRET
    read_only = True

    def published(self, context: Context) -> dict[int, int]:
        """Publish nothing."""
        del context
        return {}

    def answers(self, context: Context) -> Observation:
        """It does its work when it runs; the nodes tell when it does not."""
        return ContainerComponent.answers(self, context)


class ImageMirror(ContainerComponent):
    """Every image that the sandbox itself is made of, so that a node gets back what somebody has deleted from it."""

    name = "image-mirror"

    def options(self, context: Context) -> ContainerOptions:
        """Serve what the image of the registry holds, to the sandbox's network alone."""
        return ContainerOptions(
            name=container_name(context.name, self.name),
            image=image_tags()[1],
            network=network_name(context.name),
            restart="unless-stopped",
        )


def _volume(context: Context) -> str:
    return container_name(context.name, "images")


def reader_authorization(context: Context) -> str:
    """Give the header by which a node shows who it is."""
    token = f"{_READER_USER}:{context.secrets.value(_READER_SECRET)}"
    return f"Basic {base64.b64encode(token.encode()).decode()}"
