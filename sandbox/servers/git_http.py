"""The Git server: ``python -m sandbox.servers.git_http CONFIG.json``.

Bare repositories over smart HTTP on loopback. Every request carries a credential; a push is announced to the
webhooks the moment its refs have changed. The settings are those of ``GitServerSettings``.
"""

from __future__ import annotations

import asyncio
import json
import logging
import re
import sys
from collections.abc import AsyncIterator
from pathlib import Path

from aiohttp import web

from sandbox.core.errors import UsageError
from sandbox.core.files import make_private_dir
from sandbox.core.names import check_repository_name
from sandbox.servers.access import Right, User, authenticate
from sandbox.servers.backend import Backend, Call
from sandbox.servers.deliveries import Deliveries, Event
from sandbox.servers.gate import Passage
from sandbox.servers.git_settings import GitServerSettings
from sandbox.servers.push_events import parse_ref_updates, push_event
from sandbox.servers.service import main, serve

__all__ = ["GitServer", "run"]

_LOG = logging.getLogger("gitops.git")
_PATH = re.compile(r"/(?P<name>.+)\.git/(?P<endpoint>info/refs|git-upload-pack|git-receive-pack)")
_RIGHTS = {"git-upload-pack": Right.READ, "git-receive-pack": Right.WRITE}
_REALM = 'Basic realm="gitops-sandbox", charset="UTF-8"'


class GitServer:
    """Answers git's requests for the repositories that the settings name."""

    def __init__(self, settings: GitServerSettings) -> None:
        self._settings = settings
        make_private_dir(settings.root)
        hooks = settings.root.with_name(settings.root.name + "-hooks")
        self._passage = Passage(settings.root)
        self._backend = Backend(settings.root, hooks, self._pushed)
        self._deliveries = Deliveries(settings.webhooks, settings.deliveries, self._passage.stay)

    def application(self) -> web.Application:
        """Make the web application."""
        app = web.Application()
        app.router.add_get("/healthz", _healthy)
        app.router.add_route("*", "/{path:.*}", self._git)
        app.cleanup_ctx.append(self._delivering)
        return app

    async def _delivering(self, _: web.Application) -> AsyncIterator[None]:
        async with self._deliveries:
            yield

    async def _git(self, request: web.Request) -> web.StreamResponse:
        user = authenticate(self._settings.users, request.headers.get("Authorization", ""))
        if user is None:
            raise web.HTTPUnauthorized(
                headers={"WWW-Authenticate": _REALM}, text="A user and a password of this sandbox are needed.\n"
            )
        name, endpoint, right = _asked(request)
        # git shows the lines of a plain-text refusal to whoever typed the command.
        if not user.may(right, name):
            _LOG.warning("%s may not %s %s", user.name, right.value, name)
            raise web.HTTPForbidden(text=_refusal(user, right, name))
        if not (self._settings.root / f"{name}.git").is_dir():
            raise web.HTTPNotFound(text=f"There is no repository {name!r} in this sandbox.\n")
        call = Call(name, endpoint, user.name)
        if endpoint != "git-receive-pack":
            return await self._backend.answer(request, call)
        async with self._passage.passing():
            # Its refs may be changed, and an event be on its way, when its client has left.
            return await self._backend.answer(request, call, self._passage.stay)

    def _pushed(self, call: Call, lines: str, at: float) -> None:
        self._deliveries.start(self._announce(call, lines, at))

    async def _announce(self, call: Call, lines: str, at: float) -> None:
        settings = self._settings
        for update in parse_ref_updates(lines):
            _LOG.info("%s pushed %s %s: %s", call.user, call.repository, update.ref, update.after)
            body = await push_event(
                settings.root, call.repository, update, public_url=settings.public_url, user=call.user
            )
            encoded = json.dumps(body, separators=(",", ":")).encode()
            self._deliveries.send(Event(call.repository, update.ref, update.after, encoded, at))


async def _healthy(_: web.Request) -> web.Response:
    return web.Response(text="ok\n")


def _asked(request: web.Request) -> tuple[str, str, Right]:
    """Give the repository, the endpoint and the right that it takes; whatever is not smart HTTP is not there."""
    match = _PATH.fullmatch(request.path)
    if match is None:
        raise web.HTTPNotFound(text="There is nothing here but /<repository>.git over smart HTTP.\n")
    endpoint = match["endpoint"]
    method, service = ("GET", request.query.get("service", "")) if endpoint == "info/refs" else ("POST", endpoint)
    if request.method != method or service not in _RIGHTS:
        raise web.HTTPNotFound(text="This server speaks Git's smart HTTP protocol only.\n")
    try:
        return check_repository_name(match["name"]), endpoint, _RIGHTS[service]
    except UsageError as error:
        raise web.HTTPNotFound(text=f"{error.what}\n") from error


def _refusal(user: User, right: Right, name: str) -> str:
    if right is Right.WRITE and user.may(Right.READ, name):
        return f"User {user.name!r} may read {name!r} but not push to it; push with a credential that may write.\n"
    return f"User {user.name!r} may not {right.value} {name!r}.\n"


def run(configuration: Path) -> None:
    """Serve until SIGTERM.

    Raises:
        SandboxError: The configuration is wrong, the port is taken, or git is missing.
    """
    settings = GitServerSettings.read(configuration)
    asyncio.run(serve(GitServer(settings).application(), settings.port, settings.host))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:], run))
