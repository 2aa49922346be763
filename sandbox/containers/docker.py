"""The one door to Docker: what a sandbox makes there carries its labels, and is found again by them.

Every name given to the daemon is exact, and nothing without our labels is removed. Errors become ours at this door.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import IO, Any, Self

import docker
from docker.errors import APIError, ImageNotFound, NotFound
from docker.types import Mount

from sandbox.containers.answering import answered_version
from sandbox.containers.described import (
    Container,
    ContainerOptions,
    DaemonInfo,
    Owner,
    configured_like,
    container_of,
)
from sandbox.containers.freezer import thaw
from sandbox.containers.image_store import ImageStore
from sandbox.containers.packing import packed, unpacked
from sandbox.containers.unreachable import our_errors
from sandbox.containers.wire import STDERR, STDOUT, frames
from sandbox.core.errors import UnavailableError

__all__ = ["Docker", "connect"]

_SECONDS = 120
_SILENT_SECONDS = 300  # kubeadm waits for a kubelet for four minutes
_LOOPBACK = "127.0.0.1"


def _nobody(_: str) -> None:
    """Tell nobody."""


def connect() -> Docker:
    """Connect to the daemon that DOCKER_HOST, DOCKER_CONTEXT or the current Docker context names, as docker does.

    Raises:
        UnavailableError: No daemon answers there; says whether it is absent, stopped, or not for this user.
    """
    with our_errors("Docker does not answer"):
        return Docker(docker.from_env(version=answered_version(_SECONDS), timeout=_SECONDS))


class Docker:
    """A daemon.

    Args:
        client: The SDK's client of it.

    Attributes:
        images: Its images.
    """

    def __init__(self, client: docker.DockerClient) -> None:
        self._client = client
        self.images = ImageStore(client)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the connections."""
        self._client.close()

    def info(self) -> DaemonInfo:
        """Look at the daemon.

        Raises:
            UnavailableError: It does not answer.
        """
        with our_errors("Docker does not answer"):
            said = self._client.info()
        return DaemonInfo(
            version=said.get("ServerVersion", ""),
            cgroup_version=int(said.get("CgroupVersion") or 1),
            rootless=any("name=rootless" in option for option in said.get("SecurityOptions") or ()),
            root=said.get("DockerRootDir", ""),
            limits=all(said.get(name) for name in ("MemoryLimit", "CPUShares", "PidsLimit")),
        )

    def containers(self, owner: Owner) -> list[Container]:
        """Find a sandbox's containers, stopped ones too.

        Raises:
            UnavailableError: The daemon does not answer.
        """
        with our_errors("can't list containers"):
            found = self._client.containers.list(all=True, filters=owner.filters, ignore_removed=True)
        return [container_of(each.id, each.attrs) for each in found]

    def container(self, name: str) -> Container | None:
        """Give the container of a name or an id, whoever made it.

        Raises:
            UnavailableError: The daemon does not answer.
        """
        with our_errors(f"can't look at container {name}"):
            try:
                found = self._client.containers.get(name)
            except NotFound:
                return None
        return container_of(found.id, found.attrs)

    def run(self, options: ContainerOptions, owner: Owner) -> Container:
        """Start a container in the background, labelled with its owner.

        Raises:
            UnavailableError: Its image is not there, its name or a port is taken, or it can't be started; one that
                was made but not started is removed.
        """
        with our_errors(f"can't start container {options.name}"):
            made = self._create(options, owner)
            with _removed_unless_started(made):
                if options.aliases:
                    network = self._client.networks.get(options.network)
                    network.disconnect(made)
                    network.connect(made, aliases=list(options.aliases))
                made.start()
        return container_of(made.id, made.attrs)

    @contextlib.contextmanager
    def held(self, options: ContainerOptions, owner: Owner) -> Iterator[Container]:
        """Run a container that is gone, with its volumes, when this process lets go of it or ends, in whatever way.

        Args:
            options: How it is run; its command must end when its standard input does.
            owner: Whose labels it has.

        Raises:
            UnavailableError: It can't be started.
        """
        with our_errors(f"can't start container {options.name}"):
            made = self._create(options, owner, stdin_open=True, auto_remove=True)
            with _removed_unless_started(made):
                line = made.attach_socket(params={"stdin": 1, "stream": 1})
                made.start()
        try:
            yield container_of(made.id, made.attrs)
        finally:
            # Before its input ends: a container that removes itself just then can't be removed.
            self.remove(made.id)
            line._response.close()  # noqa: SLF001 - where the SDK keeps the connection

    def _create(self, options: ContainerOptions, owner: Owner, **more: Any) -> Any:
        return self._client.containers.create(
            options.image,
            list(options.command),
            name=options.name,
            environment=dict(options.environment),
            labels=owner.labels,
            ports={f"{inside}/tcp": (_LOOPBACK, outside) for inside, outside in options.ports.items()},
            volumes={path: {"bind": inside, "mode": "ro"} for path, inside in options.mounts.items()}
            | {path: {"bind": inside, "mode": "rw"} for path, inside in options.folders.items()},
            mounts=[Mount(path, None) for path in options.volumes],
            user=self._this_user() if options.folders else None,
            network=options.network,
            restart_policy={"Name": options.restart},
            privileged=options.privileged,
            **more,
        )

    def _this_user(self) -> str | None:
        """Say as whom a container runs whose files are to be this user's; None for the one that it runs as anyhow."""
        # Of a daemon without root, the container's root is the user.
        return None if self.info().rootless else f"{os.getuid()}:{os.getgid()}"

    def run_like(self, model: str, name: str, labels: Mapping[str, str]) -> Container:
        """Start a container that is ``configured_like`` another one, in the same networks.

        Raises:
            UnavailableError: There is no such container, the name is taken, or it can't be started.
        """
        with our_errors(f"can't start container {name}"):
            config = configured_like(self._client.containers.get(model).attrs, name, labels)
            made = self._client.containers.get(self._client.api.create_container_from_config(config, name)["Id"])
            with _removed_unless_started(made):
                made.start()
        return container_of(made.id, made.attrs)

    def start(self, name: str) -> None:
        """Start a stopped container.

        Raises:
            UnavailableError: There is none of that name, or it can't be started.
        """
        with our_errors(f"can't start container {name}"):
            self._client.containers.get(name).start()

    def stop(self, name: str, *, seconds: int = 10) -> None:
        """Stop a container, by force when it does not end within ``seconds``.

        Raises:
            UnavailableError: There is none of that name.
        """
        with our_errors(f"can't stop container {name}"):
            self._client.containers.get(name).stop(timeout=seconds)

    def remove(self, name: str) -> None:
        """Remove a container and its anonymous volumes, running or not; safe when there is none.

        Raises:
            UnavailableError: It can't be removed.
        """
        with our_errors(f"can't remove container {name}"), contextlib.suppress(NotFound):
            container = self._client.containers.get(name)
            try:
                container.remove(force=True, v=True)
            except APIError:
                if not thaw(container.id):
                    raise
                container.remove(force=True, v=True)

    def remove_owned(self, owner: Owner) -> list[str]:
        """Remove all containers, then all networks, volumes and images, that carry the owner's labels, and name them.

        Raises:
            UnavailableError: Something can't be removed.
        """
        removed = []
        for container in self.containers(owner):
            self.remove(container.id)
            removed.append(container.name)
        with our_errors(f"can't remove what belongs to {owner.name}"):
            for kind in (self._client.networks, self._client.volumes):
                for each in kind.list(filters=owner.filters):
                    with contextlib.suppress(NotFound):
                        each.remove()
                    removed.append(each.name)
            # Without a name too: a build that was broken off has given none yet.
            for image in self._client.images.list(filters=owner.filters):
                with contextlib.suppress(ImageNotFound):
                    self._client.images.remove(image.id, force=True)
                removed.append(image.id)
        return removed

    def execute(self, name: str, argv: Sequence[str], *, follow: Callable[[str], None] = _nobody) -> str:
        """Run a program in a container to its end and give what it wrote to stdout.

        Args:
            name: The container.
            argv: The program and its arguments.
            follow: Told each last line as it is written.

        Raises:
            UnavailableError: There is no such container, or the program failed; carries what it wrote.
        """
        api = self._client.api
        written: dict[int, list[bytes]] = {STDOUT: [], STDERR: []}
        with our_errors(f"can't run {argv[0]} in container {name}"):
            made = api.exec_create(name, list(argv))["Id"]
            # The SDK's own exec_start takes the connection over, and loses what came together with the answer's head.
            answer = api._post_json(api._url("/exec/{0}/start", made), data={}, stream=True, timeout=_SILENT_SECONDS)  # noqa: SLF001
            with contextlib.closing(answer):
                api._raise_for_status(answer)  # noqa: SLF001
                for kind, data in frames(answer.raw):
                    written[kind].append(data)
                    follow(data.decode(errors="replace").strip().rpartition("\n")[2])
            code = api.exec_inspect(made)["ExitCode"]
        out, err = (b"".join(written[kind]) for kind in (STDOUT, STDERR))
        if code != 0:
            raise UnavailableError(
                f"`{' '.join(argv)}` in container {name} ended with exit code {code}",
                why=(err or out or b"it said nothing").decode(errors="replace").strip(),
            )
        return out.decode(errors="replace")

    def archive(self, name: str, folder: str) -> contextlib.AbstractContextManager[IO[bytes]]:
        """Give a folder of a container as a tar archive that is read as it comes, with names from that folder on.

        Raises:
            UnavailableError: There is no such container or folder.
        """
        # With the dot the daemon leaves the folder's own name out (docker-cp(1), "SRC_PATH does end with /.").
        return self._archive(name, f"{folder}/.")

    @contextlib.contextmanager
    def _archive(self, name: str, path: str) -> Iterator[IO[bytes]]:
        api = self._client.api
        asked = {"params": {"path": path}, "headers": {"Accept-Encoding": "identity"}, "stream": True}
        with our_errors(f"can't read {path} of container {name}"):
            # The SDK's own get_archive gives the connection away, and nobody could close it.
            answer = api._get(api._url("/containers/{0}/archive", name), **asked)  # noqa: SLF001
            with contextlib.closing(answer):
                api._raise_for_status(answer)  # noqa: SLF001
                yield answer.raw

    def put(self, name: str, files: Mapping[str, bytes], *, mode: int = 0o644) -> None:
        """Write files into a container, with the folders that they lack.

        Args:
            name: The container, running or not.
            files: Contents by absolute path.
            mode: Their permission bits.

        Raises:
            UnavailableError: There is no such container, or they can't be written.
        """
        with our_errors(f"can't write into container {name}"):
            self._client.containers.get(name).put_archive("/", packed(files, mode))

    def take(self, name: str, path: str) -> bytes:
        """Give what a file in a container holds.

        Args:
            name: The container, running or not.
            path: The absolute path of the file; no symbolic link.

        Raises:
            UnavailableError: There is no such container or file.
        """
        with self._archive(name, path) as archive:
            return unpacked(archive)

    def logs(self, name: str, *, lines: int = 200) -> str:
        """Give the last lines that a container wrote; nothing when there is no such container.

        Raises:
            UnavailableError: The daemon does not answer.
        """
        with our_errors(f"can't read the log of container {name}"):
            try:
                said = self._client.containers.get(name).logs(tail=lines)
            except NotFound:
                return ""
        return bytes(said).decode(errors="replace")

    def ensure_network(self, name: str, owner: Owner) -> None:
        """Make a bridge network with the owner's labels, unless the owner has one of that name.

        Raises:
            UnavailableError: It can't be made, or a network of that name is something else's.
        """
        with our_errors(f"can't make network {name}"):
            found = self._network(name)
            if found is None:
                self._client.networks.create(name, driver="bridge", labels=owner.labels)
                return
        if not owner.labels.items() <= (found.attrs.get("Labels") or {}).items():
            raise UnavailableError(
                f"there is a network {name} already, which is not of this sandbox",
                why="it does not carry the sandbox's labels, so it is neither used nor removed",
                hint=f"see what it is: docker network inspect {name}; or choose another --name",
            )

    def _network(self, name: str) -> Any:
        # The daemon's filter finds every network that has the name somewhere in its own.
        return next((each for each in self._client.networks.list(names=[name]) if each.name == name), None)

    def gateway(self, network: str) -> str:
        """Give the address by which containers of a network reach this machine; empty when there is no such network.

        Raises:
            UnavailableError: The daemon does not answer, or the network has no gateway.
        """
        with our_errors(f"can't look at network {network}"):
            found = self._network(network)
        if found is None:
            return ""
        for entry in (found.attrs.get("IPAM") or {}).get("Config") or ():
            if gateway := entry.get("Gateway"):
                return str(gateway).partition("/")[0]
        raise UnavailableError(f"network {network} has no gateway", hint=f"docker network inspect {network}")

    def join(self, network: str, container: str, *, aliases: Iterable[str] = ()) -> None:
        """Put a container into one more network; nothing happens when it is in there.

        Raises:
            UnavailableError: There is no such network or container.
        """
        with our_errors(f"can't put container {container} into network {network}"):
            found = self._client.containers.get(container)
            if network not in found.attrs["NetworkSettings"]["Networks"]:
                self._client.networks.get(network).connect(found, aliases=list(aliases))


@contextlib.contextmanager
def _removed_unless_started(made: Any) -> Iterator[None]:
    try:
        yield
        made.reload()
    except BaseException:
        made.remove(force=True, v=True)
        raise
