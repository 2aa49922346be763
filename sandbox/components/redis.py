"""Argo CD's cache: Valkey, with a password, for this sandbox alone."""

from __future__ import annotations

import socket

from sandbox.components.base import Context, ProcessComponent
from sandbox.core.conditions import Observation, met, pending
from sandbox.core.files import write_file
from sandbox.core.ports import LOOPBACK

__all__ = ["Redis"]

SECRET = "redis"  # noqa: S105  # the name of the secret, not the secret
_SECONDS = 1.0


class Redis(ProcessComponent):
    """A cache that keeps nothing on disk and answers nobody without the password (CVE-2024-31989)."""

    name = "redis"
    requires = ()
    ports = ("redis",)

    def prepare(self, context: Context) -> None:
        """Write its configuration: a password has no place in an argv."""
        write_file(
            context.dir("run", self.name) / "valkey.conf",
            f"bind {LOOPBACK}\nport {context.ports['redis']}\nprotected-mode yes\n"
            f"requirepass {context.secrets.value(SECRET)}\n"
            # A process title is written over the environment, and with it over the sandbox's mark.
            "set-proc-title no\n"
            'save ""\nappendonly no\ndaemonize no\nmaxmemory 256mb\nmaxmemory-policy allkeys-lru\n',
        )

    def argv(self, context: Context) -> tuple[str, ...]:
        """Run the server with its configuration file."""
        return (str(context.tools["valkey"].binary()), str(context.dir("run", self.name) / "valkey.conf"))

    def ready(self, context: Context) -> Observation:
        """It is ready when it answers PING to whoever knows the password."""
        try:
            with socket.create_connection((LOOPBACK, context.ports["redis"]), timeout=_SECONDS) as connection:
                connection.sendall(f"AUTH {context.secrets.value(SECRET)}\r\nPING\r\n".encode())
                answer = b""
                while answer.count(b"\r\n") < 2:  # noqa: PLR2004  # one line for each command
                    chunk = connection.recv(1024)
                    if not chunk:
                        break
                    answer += chunk
        except OSError as error:
            return pending(str(error))
        return met("PONG") if answer == b"+OK\r\n+PONG\r\n" else pending(f"answered {answer!r}")
