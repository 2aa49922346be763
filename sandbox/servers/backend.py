"""One call of ``git http-backend``: the request streams in, the answer streams out, neither is held in memory.

The environment is the Common Gateway Interface's (RFC 3875) as git-http-backend(1) reads it, made from nothing.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import subprocess
import time
from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from aiohttp import web

from sandbox.core.commands import run
from sandbox.core.files import make_private_dir, write_file
from sandbox.core.processes import inherited_marks
from sandbox.servers.gate import Stay, no_gate
from sandbox.servers.repositories import isolated_git

__all__ = ["PUSH_LIMIT", "Backend", "Call", "ProgramOutputError"]

PUSH_LIMIT = 512 * 1024 * 1024
_CHUNK = 64 * 1024
_MOST_LINES = 16 * 1024 * 1024
_GRACE = 0.3
_HOOK_VARIABLE = "GITOPS_SANDBOX_PUSHED_FD"
# Builtins only: each program that a hook starts delays every push. A line with nothing in it says that all are told.
_HOOK = f"""#!/bin/sh
{{ while IFS= read -r line; do printf '%s\\n' "$line"; done; echo; }} > "/dev/fd/${_HOOK_VARIABLE}"
"""
_PASSED_ON = ("Content-Type", "Cache-Control", "Expires", "Pragma")

Pushed = Callable[[str, float], None]


class ProgramOutputError(Exception):
    """git http-backend answered something that is no CGI response."""


@dataclass(frozen=True, slots=True)
class Call:
    """What is asked of the backend, after it was allowed.

    Attributes:
        repository: The repository's name without ``.git``, already checked.
        endpoint: ``info/refs``, ``git-upload-pack`` or ``git-receive-pack``.
        user: Who asks.
    """

    repository: str
    endpoint: str
    user: str


class Backend:
    """Runs git's own CGI program for the repositories below one root.

    Args:
        root: The folder of the bare repositories.
        hooks: A folder of the server's own, outside ``root``, that gets the hooks; nothing pushed can reach it.
        pushed: Called with the post-receive lines and ``time.monotonic()`` as soon as refs have changed.
    """

    def __init__(self, root: Path, hooks: Path, pushed: Callable[[Call, str, float], None]) -> None:
        self._root = root
        self._hooks = _write_hooks(hooks)
        self._pushed = pushed
        # Started by its own path: `git http-backend` would cost one exec more on each request.
        self._program = Path(run(["git", "--exec-path"], timeout=10).strip()) / "git-http-backend"
        self._listeners: set[asyncio.Task[None]] = set()

    async def answer(self, request: web.Request, call: Call, stay: Stay = no_gate) -> web.StreamResponse:
        """Answer a request by the backend's answer.

        Args:
            request: What is asked.
            call: The same, as far as it was understood.
            stay: Begins what lasts until no ref is changed by it any more and ``pushed`` was told; gives what ends it.

        Raises:
            aiohttp.web.HTTPRequestEntityTooLarge: The body is larger than ``PUSH_LIMIT``.
            ProgramOutputError: The backend's answer can't be understood.
        """
        _check_size(request.content_length or 0)
        async with self._running(request, call, stay) as process:
            if process.stdin is None or process.stdout is None:
                raise RuntimeError("the backend was started without pipes")
            feeding = asyncio.ensure_future(_feed(request, process.stdin))
            try:
                return await _relay(request, process.stdout, feeding)
            finally:
                feeding.cancel()
                await asyncio.gather(feeding, return_exceptions=True)

    @contextlib.asynccontextmanager
    async def _running(self, request: web.Request, call: Call, stay: Stay) -> AsyncIterator[asyncio.subprocess.Process]:
        reading, writing = os.pipe()
        try:
            process = await asyncio.create_subprocess_exec(
                self._program,
                env=self._environment(request, call) | {_HOOK_VARIABLE: str(writing)},
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                pass_fds=[writing],
                start_new_session=True,
            )
        except BaseException:
            os.close(reading)
            raise
        finally:
            os.close(writing)
        listening = asyncio.ensure_future(_listen(reading, lambda text, at: self._pushed(call, text, at)))
        # Held here and not by the request: an update counts also when its client has left.
        self._listeners.add(listening)
        listening.add_done_callback(self._listeners.discard)
        end = stay()
        listening.add_done_callback(lambda _: end())
        ended = False
        try:
            yield process
            ended = await _has_ended(process)
        finally:
            if not ended:
                _kill(process)

    def _environment(self, request: web.Request, call: Call) -> dict[str, str]:
        headers = request.headers
        # No CONTENT_LENGTH: with one, git 2.39 spins for ever when its input ends early, as it does when we are killed.
        given = {
            "CONTENT_TYPE": headers.get("Content-Type"),
            "HTTP_CONTENT_ENCODING": headers.get("Content-Encoding"),
            "GIT_PROTOCOL": headers.get("Git-Protocol"),
        }
        return {
            **isolated_git(),
            **_settings(self._root / f"{call.repository}.git", self._hooks),
            "GIT_PROJECT_ROOT": str(self._root),
            "GIT_HTTP_EXPORT_ALL": "1",
            "GATEWAY_INTERFACE": "CGI/1.1",
            "SERVER_PROTOCOL": "HTTP/1.1",
            "REQUEST_METHOD": request.method,
            "PATH_INFO": f"/{call.repository}.git/{call.endpoint}",
            "QUERY_STRING": request.query_string,
            "REMOTE_USER": call.user,
            "REMOTE_ADDR": request.remote or "",
            # So that it is found as the sandbox's own, should it outlive this server.
            **inherited_marks(),
            **{name: value for name, value in given.items() if value is not None},
        }


def _write_hooks(folder: Path) -> Path:
    make_private_dir(folder)
    write_file(folder / "post-receive", _HOOK, mode=0o500)
    folder.chmod(0o500)
    return folder


def _settings(repository: Path, hooks: Path) -> Mapping[str, str]:
    """Give git settings by environment: they win over what the repository's own file says."""
    settings = {
        "core.hooksPath": str(hooks),
        "http.receivepack": "true",
        "http.getanyfile": "false",
        "receive.fsckObjects": "true",
        "receive.maxInputSize": str(PUSH_LIMIT),
        # Housekeeping would run inside somebody's push, and a sandbox does not live long enough to need it.
        "receive.autogc": "false",
        "gc.auto": "0",
        "safe.directory": str(repository),
    }
    numbered: dict[str, str] = {}
    for index, (key, value) in enumerate(settings.items()):
        numbered |= {f"GIT_CONFIG_KEY_{index}": key, f"GIT_CONFIG_VALUE_{index}": value}
    return numbered | {"GIT_CONFIG_COUNT": str(len(settings))}


def _check_size(length: int) -> None:
    if length > PUSH_LIMIT:
        raise web.HTTPRequestEntityTooLarge(PUSH_LIMIT, length, text=f"A push may have at most {PUSH_LIMIT} bytes.\n")


async def _feed(request: web.Request, stdin: asyncio.StreamWriter) -> None:
    """Hand the request's body to the backend, and close its input."""
    taken = 0
    open_ended = True
    async for chunk in request.content.iter_chunked(_CHUNK):
        taken += len(chunk)
        _check_size(taken)
        # A backend that refuses early closes its input. The rest is still read, or git would never see the answer.
        open_ended = open_ended and await _write(stdin, chunk)
    stdin.close()


async def _write(stdin: asyncio.StreamWriter, chunk: bytes) -> bool:
    try:
        stdin.write(chunk)
        await stdin.drain()
    except (BrokenPipeError, ConnectionResetError):
        return False
    return True


async def _relay(
    request: web.Request, stdout: asyncio.StreamReader, feeding: asyncio.Future[None]
) -> web.StreamResponse:
    """Pass the backend's answer on; what went wrong with the body comes first as long as nothing was answered."""
    heading = asyncio.ensure_future(_heading(stdout))
    try:
        (status, headers), _ = await asyncio.gather(heading, feeding)
    finally:
        heading.cancel()
    response = web.StreamResponse(status=status, headers=headers)
    await response.prepare(request)
    while chunk := await stdout.read(_CHUNK):
        await response.write(chunk)
    await response.write_eof()
    return response


async def _heading(stdout: asyncio.StreamReader) -> tuple[int, dict[str, str]]:
    lines: dict[str, str] = {}
    while line := (await stdout.readline()).decode("latin-1").rstrip("\r\n"):
        name, colon, value = line.partition(":")
        if not colon:
            raise ProgramOutputError(f"not a header: {line!r}")
        lines[name.title()] = value.strip()
    if not lines:
        raise ProgramOutputError("no answer at all")
    status = lines.pop("Status", "200 OK").split()[0]
    return int(status), {name: lines[name] for name in _PASSED_ON if name in lines}


async def _listen(descriptor: int, pushed: Pushed) -> None:
    """Wait for the hook's lines on a pipe of which the backend holds the other end."""
    reader = asyncio.StreamReader(limit=_MOST_LINES)
    pipe = os.fdopen(descriptor, "rb", buffering=0)
    transport, _ = await asyncio.get_running_loop().connect_read_pipe(
        lambda: asyncio.StreamReaderProtocol(reader), pipe
    )
    try:
        text = (await reader.readuntil(b"\n\n")).decode(errors="replace")
    except asyncio.IncompleteReadError:
        return  # Nothing was pushed, or it was refused.
    finally:
        transport.close()
    pushed(text, time.monotonic())


async def _has_ended(process: asyncio.subprocess.Process) -> bool:
    """Say whether the backend ends by itself, as it does at once when all that it had to say was read."""
    if process.stdin:
        process.stdin.close()
    try:
        async with asyncio.timeout(_GRACE):
            await process.wait()
    except TimeoutError:
        return False
    return True


def _kill(process: asyncio.subprocess.Process) -> None:
    """Kill a backend of which nobody waits for the answer any more: its client has left, or the server ends."""
    # The whole group: the program that does the work has our pipes, and waits on them also without its parent.
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    # A pipe that is closing breaks by itself now; one that is closed already can't be aborted any more.
    if process.stdin and not process.stdin.is_closing():
        process.stdin.transport.abort()
