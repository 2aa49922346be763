"""Argo CD's cache: Valkey, with a password, for this sandbox alone."""

from __future__ import annotations

import base64
import contextlib
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sandbox.components.base import Context, ProcessComponent
from sandbox.core.conditions import Observation, met, pending
from sandbox.core.errors import UnavailableError
from sandbox.core.files import read_json, write_file, write_json
from sandbox.core.ports import LOOPBACK

if TYPE_CHECKING:
    from valkey import Valkey

__all__ = ["Redis"]

SECRET = "redis"  # noqa: S105  # the name of the secret, not the secret
_SECONDS = 1.0
_AT_ONCE = 500
_ENTRIES = "entries.json"
_SILENT = "Argo CD's cache does not answer"


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
            answer = _told(context, "PING")
        except OSError as error:
            return pending(str(error))
        return met("PONG") if answer == "+PONG" else pending(f"answered {answer!r}")

    # Its part of a snapshot (sandbox.components.state).

    starts_empty = True

    def save(self, context: Context, into: Path) -> None:
        """Keep every entry, in the server's own form, with the time at which it passes."""
        with _connected(context) as server:
            keys = list(server.scan_iter(count=_AT_ONCE))
            asking: Any = server.pipeline(transaction=False)  # its annotations are those of a plain client
            for key in keys:
                asking.dump(key)
                asking.pexpiretime(key)
            answers = asking.execute()
        entries = [
            {"key": _text(key), "value": _text(value), "passes": passes}
            for key, value, passes in zip(keys, answers[::2], answers[1::2], strict=True)
            if value is not None
        ]
        write_json(into / _ENTRIES, {"entries": entries})

    def load(self, context: Context, saved: Path) -> int:
        """Empty the cache, and put the entries back that have not passed; what a cache holds is no change."""
        if not saved.exists():
            try:
                answer = _told(context, "FLUSHALL")
            except OSError as error:
                raise UnavailableError(_SILENT, why=str(error)) from error
            if answer != "+OK":
                raise UnavailableError("Argo CD's cache can't be emptied", why=answer)
            return 0
        entries: Any = read_json(saved / _ENTRIES)["entries"]
        with _connected(context) as server:
            putting: Any = server.pipeline(transaction=True)  # as above
            putting.flushall()
            for entry in entries:
                passes = max(0, int(entry["passes"]))
                putting.restore(_bytes(entry["key"]), passes, _bytes(entry["value"]), replace=True, absttl=passes > 0)
            putting.execute()
        return 0


def _told(context: Context, command: str) -> str:
    """Send one command without arguments and give the line that answers it (RESP, inline commands).

    Raises:
        OSError: The server does not answer.
    """
    with socket.create_connection((LOOPBACK, context.ports["redis"]), timeout=_SECONDS) as connection:
        connection.sendall(f"AUTH {context.secrets.value(SECRET)}\r\n{command}\r\n".encode())
        with connection.makefile("rb") as lines:
            login, answer = lines.readline(), lines.readline()
    return (answer if login == b"+OK\r\n" else login).decode(errors="replace").strip()


@contextlib.contextmanager
def _connected(context: Context) -> Iterator[Valkey]:
    # Not at the top: it takes a third of a second, and of all verbs only two need it.
    from valkey import Valkey  # noqa: PLC0415
    from valkey.exceptions import ValkeyError  # noqa: PLC0415

    password = context.secrets.value(SECRET)
    try:
        with Valkey(host=LOOPBACK, port=context.ports["redis"], password=password, socket_timeout=_SECONDS) as server:
            yield server
    except ValkeyError as error:
        raise UnavailableError(_SILENT, why=str(error)) from error


def _text(data: bytes) -> str:
    return base64.b64encode(data).decode()


def _bytes(text: str) -> bytes:
    return base64.b64decode(text)
