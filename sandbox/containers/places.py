"""Where images are assembled: in a container of the public Debian, or on this machine where it is a Debian itself.

The first needs a registry once and no root; the second needs root and no registry. Both assemble the same, and neither
leaves more behind than the images.
"""

from __future__ import annotations

import contextlib
import json
import shutil
import subprocess
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import IO, Protocol, cast

import sandbox
from sandbox.containers.assembly import DEBIAN, HELD, NODE, REGISTRY, TOOLS_FILE, assemble, tools_file
from sandbox.containers.contents import BASE_PACKAGES
from sandbox.containers.debian import Note, bootstrap, check_can_bootstrap, package_source
from sandbox.containers.described import ContainerOptions, Owner
from sandbox.containers.docker import Docker
from sandbox.containers.settings import container_proxies
from sandbox.core.errors import UnavailableError
from sandbox.core.proxies import proxy_variables
from sandbox.toolchain import Tool
from sandbox.toolchain.versions import PublishedImage, load_images

__all__ = ["Assembled", "InContainer", "OnThisMachine", "Place", "archived", "usable_place"]

_NEEDED_BYTES = 6 << 30
# Everything lies on other file systems than the container's own, which is copied.
_INSIDE = "/mnt"
_PROGRAM = f"{_INSIDE}/program"
# No sandbox can have this name.
_OWNER = Owner("(assembly)")


@dataclass(frozen=True, slots=True)
class Assembled:
    """Two file systems, as tar archives that can be read for as long as the place is held.

    Attributes:
        held: The images in both, name to digest.
        node: Opens the node's.
        registry: Opens the registry's.
    """

    held: Mapping[str, str]
    node: Callable[[], AbstractContextManager[IO[bytes]]]
    registry: Callable[[], AbstractContextManager[IO[bytes]]]


class Place(Protocol):
    """Where an assembly can take place."""

    def check(self) -> None:
        """Look whether it can.

        Raises:
            UnavailableError: It can't; says what is missing and how to get it.
        """

    def assembled(self, tools: Mapping[str, Tool], folder: Path, note: Note) -> AbstractContextManager[Assembled]:
        """Assemble, and keep what was made for as long as the context lasts.

        Args:
            tools: All of ``contents.TOOLS``.
            folder: A folder of this machine, for this assembly alone.
            note: Told what happens.

        Raises:
            UnavailableError: A step failed; carries its last words.
            DeadlineError: A step took too long.
        """


class InContainer:
    """A container of a Debian that lies in a registry under its digest.

    Args:
        docker: The daemon.
        debian: The image; the one of versions.toml when left out.
    """

    def __init__(self, docker: Docker, debian: PublishedImage | None = None) -> None:
        self._docker = docker
        self._debian = debian or load_images()["debian"]

    def check(self) -> None:
        """Look whether Docker has the image, or could pull it."""
        if self._docker.images.find(self._debian.reference) is None:
            self._docker.images.check_offered(self._debian.reference)

    @contextlib.contextmanager
    def assembled(self, tools: Mapping[str, Tool], folder: Path, note: Note) -> Iterator[Assembled]:
        """Pull the image where it is not there, and assemble in a container that ends with this process."""
        docker, image = self._docker, self._debian
        if docker.images.find(image.reference) is None:
            docker.images.pull(image.repository, image.digest, note)
        inside = {name: replace(tool, root=Path(_INSIDE, "tools", name)) for name, tool in tools.items()}
        # The machine's own programs are links that lead out of their folders: those are sent, not mounted.
        sent = [name for name, tool in tools.items() if tool.provider == "system"]
        mounts = {str(tool.root): str(inside[name].root) for name, tool in tools.items() if name not in sent}
        options = ContainerOptions(
            f"gitops-sandbox-assembly-{folder.name}",
            image.reference,
            command=["cat"],
            environment={"DEBIAN_FRONTEND": "noninteractive", **proxy_variables(otherwise=container_proxies())},
            mounts=mounts | {str(Path(sandbox.__file__).parent): f"{_PROGRAM}/sandbox"},
            network="host",
            volumes=[_INSIDE],
            privileged=True,
        )
        with docker.held(options, _OWNER) as container:
            programs = {str(inside[name].binary()): tools[name].binary().read_bytes() for name in sent}
            docker.put(container.id, programs, mode=0o755)
            docker.put(container.id, {f"{_INSIDE}/{TOOLS_FILE}": tools_file(inside)})
            for argv in _STEPS:
                docker.execute(container.id, argv, follow=note)
            held = docker.execute(container.id, ["cat", f"{_INSIDE}/{HELD}"])
            yield Assembled(
                json.loads(held),
                node=lambda: docker.archive(container.id, f"{_INSIDE}/{NODE}"),
                registry=lambda: docker.archive(container.id, f"{_INSIDE}/{REGISTRY}"),
            )


# The copy comes before what only the assembly needs is installed.
_STEPS: Sequence[Sequence[str]] = (
    ("apt-get", "update"),
    ("cp", "--archive", "--one-file-system", "/", f"{_INSIDE}/{DEBIAN}"),
    ("apt-get", "install", "-y", "--no-install-recommends", "python3"),
    ("env", f"PYTHONPATH={_PROGRAM}", "python3", "-B", "-m", "sandbox.containers.assembly", _INSIDE),
)


class OnThisMachine:
    """This machine, where it is a Debian and whoever asks is root."""

    def check(self) -> None:
        """Look who asks, and for debootstrap."""
        check_can_bootstrap()

    @contextlib.contextmanager
    def assembled(self, tools: Mapping[str, Tool], folder: Path, note: Note) -> Iterator[Assembled]:
        """Make a Debian by debootstrap, and assemble beside it."""
        space = shutil.disk_usage(folder).free
        if space < _NEEDED_BYTES:
            raise UnavailableError(
                "there is no space to assemble the images in",
                why=f"{space >> 20:,} MiB are free in {folder}, and {_NEEDED_BYTES >> 20:,} MiB are needed for a while",
                hint="free some space, or give another folder by XDG_CACHE_HOME",
            )
        bootstrap(package_source(), BASE_PACKAGES, folder / DEBIAN, note)
        held = assemble(folder, tools, note)
        yield Assembled(held, node=lambda: archived(folder / NODE), registry=lambda: archived(folder / REGISTRY))


@contextlib.contextmanager
def archived(root: Path) -> Iterator[IO[bytes]]:
    """Give a folder as a tar archive that is read as it is written, with numeric owners.

    Raises:
        UnavailableError: Not all of it could be read.
    """
    argv = ["tar", "--create", "--numeric-owner", "--directory", str(root), "."]
    with subprocess.Popen(argv, stdout=subprocess.PIPE) as tar:
        try:
            yield cast("IO[bytes]", tar.stdout)
        except BaseException:
            tar.kill()
            raise
    if tar.returncode != 0:
        raise UnavailableError(f"can't read all of {root}", why=f"tar ended with {tar.returncode}")


def usable_place(docker: Docker) -> Place:
    """Give the first place that can be used.

    Raises:
        UnavailableError: None can; says why for each.
    """
    places: Sequence[tuple[str, Place]] = (
        ("in a container", InContainer(docker)),
        ("on this machine", OnThisMachine()),
    )
    why, hint = [], ""
    for where, place in places:
        try:
            place.check()
        except UnavailableError as error:
            why.append(f"{where}: {error.why or error.what}")
            hint = error.hint
        else:
            return place
    raise UnavailableError(
        "the images can't be assembled", why="; ".join(why), hint=f"let Docker reach the registry once; or {hint}"
    )
