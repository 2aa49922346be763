"""Running one of our servers: on loopback unless told otherwise, until SIGTERM, with an end of less than a second."""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

from aiohttp import web

from sandbox.core.errors import SandboxError, UnavailableError, UsageError

__all__ = ["LOOPBACK", "main", "serve"]

LOOPBACK = "127.0.0.1"
# A request that is still running when the end is asked for gets this many seconds; then it is cancelled.
_GRACE = 0.3
_LINGER = 2.0


async def serve(app: web.Application, port: int, host: str = LOOPBACK) -> None:
    """Serve ``app`` on one address of this machine until SIGTERM or SIGINT arrives.

    Request bodies are left as they were sent (no decompression), and a handler is cancelled when its client leaves.

    Raises:
        UnavailableError: The port can't be had.
    """
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    runner = web.AppRunner(
        app,
        access_log=None,
        shutdown_timeout=_GRACE,
        handler_cancellation=True,
        auto_decompress=False,
        lingering_time=_LINGER,
    )
    await runner.setup()
    try:
        await web.TCPSite(runner, host, port).start()
        await stop.wait()
    except OSError as error:
        raise UnavailableError(
            f"can't listen on {host}:{port}",
            why=error.strerror or str(error),
            hint=f"see who does: ss -ltnp 'sport = :{port}'",
        ) from error
    finally:
        await runner.cleanup()


def main(argv: Sequence[str], run: Callable[[Path], None]) -> int:
    """Run a server program whose only argument is its configuration file.

    Returns:
        The exit code: 0 after an orderly end, else that of the error, which is printed on stderr.
    """
    # Whatever the caller's umask: nothing that a server writes is for other users.
    os.umask(0o077)
    logging.basicConfig(stream=sys.stderr, level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s %(message)s")
    try:
        run(_configuration(argv))
    except SandboxError as error:
        print(error, file=sys.stderr)  # noqa: T201 - the program's own message to whoever started it
        return error.exit_code
    return 0


def _configuration(argv: Sequence[str]) -> Path:
    if len(argv) != 1:
        raise UsageError("one argument is needed: the configuration file", hint="CONFIG.json")
    path = Path(argv[0])
    if not path.is_file():
        raise UsageError(f"there is no file {path}")
    return path
