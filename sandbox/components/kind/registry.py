"""The registry as containers: one that CI pushes to, and a reader of the same images for the nodes.

Distribution's accounts all have the same rights; so that a node, whose configuration any privileged
pod can read, holds no password that could push, it asks a second server that is read-only.
"""

from __future__ import annotations

import base64

import yaml

from sandbox.components.base import Context
from sandbox.components.kind.container import ContainerComponent, container_name, network_name
from sandbox.components.registry import SECRET, USER, Images, api_answers, settings, write_account
from sandbox.containers.described import ContainerOptions
from sandbox.containers.docker import Docker
from sandbox.containers.images import image_tags
from sandbox.containers.mirror import PORT
from sandbox.core.conditions import Observation
from sandbox.core.files import write_file

__all__ = ["ImageMirror", "RegistryContainer", "RegistryReader", "reader_authorization"]

_READER_USER = "node"
_READER_SECRET = "registry-node"  # noqa: S105  # the name of the secret, not the secret
_ROOT = "/images"  # not where the image of the registry has those of the mirror
_SETTINGS = "/etc/registry"


class _Server(ContainerComponent):
    """Distribution over the folder of the images, with one account."""

    user: str
    secret: str
    read_only = False

    def prepare(self, context: Context, docker: Docker) -> None:
        """Write the configuration and the account."""
        del docker
        folder = context.dir("run", self.name)
        write_account(folder / "htpasswd", self.user, context.secrets.value(self.secret))
        configuration = settings(context, address=f":{PORT}", root=_ROOT, accounts=f"{_SETTINGS}/htpasswd")
        configuration["storage"]["maintenance"] = {"readonly": {"enabled": self.read_only}}
        write_file(folder / "config.yml", yaml.safe_dump(configuration))

    def options(self, context: Context) -> ContainerOptions:
        """Serve with the configuration file."""
        images = {str(context.dir("registry")): _ROOT}
        return ContainerOptions(
            name=container_name(context.name, self.name),
            image=image_tags()[1],
            command=("serve", f"{_SETTINGS}/config.yml"),
            environment={"OTEL_TRACES_EXPORTER": "none"},
            ports={PORT: context.ports[self.name]} if self.ports else {},
            mounts={str(context.dir("run", self.name)): _SETTINGS} | (images if self.read_only else {}),
            folders={} if self.read_only else images,
            network=network_name(context.name),
            restart="unless-stopped",
        )


class RegistryContainer(Images, _Server):
    """An OCI registry with one account, that of CI; published on loopback."""

    name = "registry"
    ports: tuple[str, ...] = ("registry",)
    user = USER
    secret = SECRET

    def answers(self, context: Context) -> Observation:
        """It does its work when its API answers to CI's account."""
        return api_answers(context.address("registry"), USER, context.secrets.value(SECRET))


class RegistryReader(_Server):
    """The same images, read-only, for the nodes alone: no port of the host leads to it."""

    name = "registry-reader"
    requires = ("registry",)
    user = _READER_USER
    secret = _READER_SECRET
    read_only = True


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


def reader_authorization(context: Context) -> str:
    """Give the header by which a node shows who it is."""
    token = f"{_READER_USER}:{context.secrets.value(_READER_SECRET)}"
    return f"Basic {base64.b64encode(token.encode()).decode()}"
