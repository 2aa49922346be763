"""The images of a daemon, by exact names: found, made, or pulled by digest."""

from __future__ import annotations

import contextlib
import io
from collections.abc import Callable, Mapping
from functools import partial
from typing import IO

import docker
from docker.errors import ImageNotFound

from sandbox.containers.described import Image
from sandbox.containers.packing import packed
from sandbox.containers.unreachable import mend_refusal, our_errors
from sandbox.core.errors import UnavailableError

__all__ = ["ImageStore"]

_BLOCK_BYTES = 1 << 20


class ImageStore:
    """What a daemon holds of images.

    Args:
        client: The SDK's client of it.
    """

    def __init__(self, client: docker.DockerClient) -> None:
        self._client = client

    def find(self, tag: str) -> Image | None:
        """Give the image of a tag, an id or a digest.

        Raises:
            UnavailableError: The daemon does not answer.
        """
        with our_errors(f"can't look at image {tag}"):
            try:
                found = self._client.images.get(tag)
            except ImageNotFound:
                return None
        return Image(id=found.id, size=int(found.attrs["Size"]), labels=dict(found.labels))

    def tags(self, repository: str) -> list[str]:
        """Give all tags that a repository has here, each with the repository before it.

        Raises:
            UnavailableError: The daemon does not answer.
        """
        with our_errors(f"can't list the images of {repository}"):
            return sorted(tag for image in self._client.images.list(repository) for tag in image.tags)

    def check_offered(self, reference: str) -> None:
        """Ask the registry, by way of the daemon, whether it has an image.

        Raises:
            UnavailableError: It can't be reached, or has no such image.
        """
        with our_errors(f"can't have {reference} of its registry"):
            self._client.api.inspect_distribution(reference)

    def pull(self, repository: str, digest: str, follow: Callable[[str], None]) -> None:
        """Pull the image of a digest, against which the daemon checks what comes.

        Args:
            repository: Its repository, with the registry's name where that is not Docker's own.
            digest: "sha256:...".
            follow: Told what the daemon says of its progress.

        Raises:
            UnavailableError: The registry can't be reached, or has no such image.
        """
        with our_errors(f"can't pull {repository}@{digest}"):
            for said in self._client.api.pull(repository, tag=digest, stream=True, decode=True):
                if "error" in said:
                    raise UnavailableError(f"can't pull {repository}@{digest}", why=str(said["error"]))
                follow(" ".join(str(said[key]) for key in ("status", "id", "progress") if said.get(key)))

    def import_layer(self, layer: IO[bytes], tag: str) -> None:
        """Make an image of one layer; its tag appears when all of it is there.

        Args:
            layer: The tar archive of its whole file system, read from a pipe.
            tag: Its repository and tag.

        Raises:
            UnavailableError: The daemon refuses it, or its disk is full.
        """
        repository, _, name = tag.rpartition(":")
        # As a file it would be sent line by line.
        blocks = iter(partial(layer.read, _BLOCK_BYTES), b"")
        with our_errors(f"can't import image {tag}"):
            said = self._client.api.import_image(src=blocks, stream_src=True, repository=repository, tag=name)
        if '"error"' in said:
            raise UnavailableError(f"can't import image {tag}", why=said.strip()[-500:], hint=mend_refusal(said))

    def build(self, context: Mapping[str, bytes], tag: str) -> None:
        """Build an image from a context in memory, which has a Dockerfile; nothing is pulled.

        Raises:
            UnavailableError: It can't be built; carries the builder's words.
        """
        with our_errors(f"can't build image {tag}"):
            self._client.images.build(
                fileobj=io.BytesIO(packed(context, 0o755)),
                custom_context=True,
                tag=tag,
                rm=True,
                forcerm=True,
                pull=False,
            )

    def remove(self, tag: str) -> None:
        """Take a tag away, and the image with its last one; safe when there is none.

        Raises:
            UnavailableError: A container uses it.
        """
        with our_errors(f"can't remove image {tag}"), contextlib.suppress(ImageNotFound):
            self._client.images.remove(tag)
