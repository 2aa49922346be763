"""Tells somebody else's Argo CD of a push: ``python -m sandbox.components.existing.refresh_program CONFIG.json``.

Argo CD's own receiver of webhooks takes events that are signed with a secret, which is its owner's. What it does on an
event is to set an annotation on each Application that follows the repository (Argo CD 3.6, ``util/webhook``:
``argo.RefreshApp``); this sets the same, on the sandbox's Applications, as the sandbox's service account.

It stands with the components and not with the other programs, since it speaks to Kubernetes.
"""

from __future__ import annotations

import asyncio
import json
import logging
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from aiohttp import web

from sandbox.components.argocd.home import ARGOCD_API, ASK_REFRESH, awaits_refresh
from sandbox.components.existing.argocd_host import noted_names
from sandbox.core.conditions import Deadline, Observation, met, pending, wait_for
from sandbox.core.errors import DeadlineError, UnavailableError
from sandbox.core.files import read_json
from sandbox.kube.api import KubeApi, KubeError
from sandbox.servers.service import main, serve
from sandbox.servers.settings import Fields
from sandbox.servers.signatures import SIGNATURE_HEADER, is_signed

__all__ = ["RefresherSettings", "follows", "run"]

_LOG = logging.getLogger("gitops.refresher")
_BODY_LIMIT = 1024 * 1024
_NOT_FOUND = 404
_BEFORE_SECONDS = 2.0  # a few of them fit into what the Git server waits for an answer


@dataclass(frozen=True, slots=True)
class RefresherSettings:
    """What the program is told at its start.

    Attributes:
        port: The port on 127.0.0.1.
        webhook_secret: Push events must be signed with it; kept out of ``repr``.
        kubeconfig: That of the sandbox's service account.
        folder: The sandbox's state folder, where its Applications are noted.
    """

    port: int
    webhook_secret: str = field(repr=False)
    kubeconfig: Path
    folder: Path

    @classmethod
    def read(cls, path: Path) -> RefresherSettings:
        """Read and check a configuration file.

        Raises:
            FileNotFoundError: There is none.
            UsageError: It is damaged, or a field is missing or wrong.
        """
        fields = Fields(read_json(path))
        secret = fields.text("webhook_secret")
        return cls(fields.port("port"), secret, fields.path("kubeconfig"), fields.path("folder"))


def follows(application: Mapping[str, Any], url: str) -> bool:
    """Say whether one of an Application's sources is the repository of this URL."""
    spec = application["spec"]
    sources = [spec.get("source") or {}, *(spec.get("sources") or ())]
    return any(str(source.get("repoURL", "")).removesuffix(".git") == url.removesuffix(".git") for source in sources)


class _Program:
    """Takes push events in and sets the annotation."""

    def __init__(self, settings: RefresherSettings) -> None:
        self._settings = settings
        self._api = KubeApi(settings.kubeconfig)

    def application(self) -> web.Application:
        """Make the web application."""
        app = web.Application(client_max_size=_BODY_LIMIT)
        app.router.add_get("/healthz", _healthy)
        app.router.add_post("/api/webhook", self._receive)
        return app

    async def _receive(self, request: web.Request) -> web.Response:
        body = await request.read()
        if not is_signed(self._settings.webhook_secret, body, request.headers.get(SIGNATURE_HEADER, "")):
            raise web.HTTPUnauthorized(text="The event is not signed with this sandbox's secret.\n")
        url = _repository(body)
        try:
            told = await asyncio.to_thread(lambda: list(self._refresh(url)))
        except UnavailableError as error:
            # The Git server then sends it again.
            _LOG.warning("%s: %s", url, error)
            raise web.HTTPBadGateway(text=f"{error}\n") from error
        _LOG.info("%s: refresh of %s", url, ", ".join(told) or "nothing")
        return web.json_response({"refreshed": told})

    def _refresh(self, url: str) -> Iterator[str]:
        namespace, names = noted_names(self._settings.folder)
        for name in names.applications:
            found = self._api.get(ARGOCD_API, "Application", name, namespace)
            if found is None or not follows(found, url):
                continue
            if awaits_refresh(found):
                self._see_one_end(name, namespace)
            try:
                self._api.merge(ARGOCD_API, "Application", name, namespace, ASK_REFRESH)
            except KubeError as error:
                # Deleted meanwhile.
                if error.status != _NOT_FOUND:
                    raise
            yield name

    def _see_one_end(self, name: str, namespace: str) -> None:
        """Wait until an earlier refresh has ended: it may have looked at Git already, and to ask again changes nothing.

        One that goes on for longer, as where reconciliation is paused, has to look at Git yet.
        """

        def ended() -> Observation:
            found = self._api.get(ARGOCD_API, "Application", name, namespace)
            return pending("it goes on") if found and awaits_refresh(found) else met("it has ended")

        try:
            wait_for(ended, Deadline.after(_BEFORE_SECONDS), wanted=f"an earlier refresh of {name} to end", every=0.05)
        except DeadlineError as error:
            _LOG.warning("%s", error)


def _repository(body: bytes) -> str:
    try:
        return str(json.loads(body)["repository"]["clone_url"])
    except (ValueError, KeyError, TypeError) as error:
        raise web.HTTPBadRequest(text="The event is no push event.\n") from error


async def _healthy(_: web.Request) -> web.Response:
    return web.Response(text="ok\n")


def run(configuration: Path) -> None:
    """Serve until SIGTERM.

    Raises:
        SandboxError: The configuration is wrong, or the port is taken.
    """
    settings = RefresherSettings.read(configuration)
    asyncio.run(serve(_Program(settings).application(), settings.port))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:], run))
