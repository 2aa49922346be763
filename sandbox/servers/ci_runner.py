"""The CI runner: ``python -m sandbox.servers.ci_runner CONFIG.json``.

Receives signed push events and runs the pushed commit's own workflows. An event is on disk before it is answered.
Runs of one repository go one after another, in the order of their pushes; two of different ones go side by side.
The settings are those of ``CiSettings``.
"""

from __future__ import annotations

import asyncio
import json
import logging
import sys
import threading
import uuid
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

from aiohttp import web

from sandbox.core.errors import SandboxError, UsageError
from sandbox.servers.checkout import check_out
from sandbox.servers.ci_runs import Run, RunStore, now
from sandbox.servers.ci_settings import CiSettings
from sandbox.servers.service import main, serve
from sandbox.servers.signatures import SIGNATURE_HEADER, is_signed
from sandbox.servers.workflow import StepResult, WorkflowRequest, WorkflowResult, clear_run, run_workflow

__all__ = ["CiRunner", "run"]

_LOG = logging.getLogger("gitops.ci")
_BODY_LIMIT = 1024 * 1024
_AT_ONCE = 2


class CiRunner:
    """Takes push events in and works the runs off."""

    def __init__(self, settings: CiSettings) -> None:
        self._settings = settings
        self._store = RunStore(settings.runs)
        self._stopping = threading.Event()
        self._slots = asyncio.Semaphore(_AT_ONCE)
        self._queues: dict[str, asyncio.Queue[Run]] = {}
        self._workers: list[asyncio.Task[None]] = []

    def application(self) -> web.Application:
        """Make the web application."""
        app = web.Application(client_max_size=_BODY_LIMIT)
        app.router.add_get("/healthz", _healthy)
        app.router.add_post("/api/webhook", self._receive)
        app.cleanup_ctx.append(self._working)
        return app

    async def _working(self, _: web.Application) -> AsyncIterator[None]:
        for left in self._store.all():
            if left.status == "running":
                clear_run(self._store.folder(left))
                self._store.finish(left.ended("cancelled", "the runner was restarted"))
            elif left.status == "queued":
                self._enqueue(left)
        yield
        # A run that goes on sees this within a moment, ends its processes and is recorded as cancelled.
        self._stopping.set()
        for worker in self._workers:
            worker.cancel()
        await asyncio.gather(*self._workers, return_exceptions=True)

    async def _receive(self, request: web.Request) -> web.Response:
        body = await request.read()
        if not is_signed(self._settings.webhook_secret, body, request.headers.get(SIGNATURE_HEADER, "")):
            raise web.HTTPUnauthorized(text="The event is not signed with this runner's secret.\n")
        if request.headers.get("X-GitHub-Event") != "push":
            return web.Response(text="Only push events start a run.\n")
        try:
            event = _read_event(body)
            if event.get("deleted") is True:
                return web.Response(text="A deletion starts no run.\n")
            added = self._store.add(event, request.headers.get("X-GitHub-Delivery") or str(uuid.uuid4()))
        except UsageError as error:
            raise web.HTTPBadRequest(text=f"{error}\n") from error
        if added is None:
            return web.Response(text="This delivery is known already.\n")
        self._enqueue(added)
        return web.json_response({"id": added.id}, status=202)

    def _enqueue(self, queued: Run) -> None:
        if queued.repository not in self._queues:
            self._queues[queued.repository] = asyncio.Queue()
            self._workers.append(asyncio.create_task(self._work(self._queues[queued.repository])))
        self._queues[queued.repository].put_nowait(queued)

    async def _work(self, waiting: asyncio.Queue[Run]) -> None:
        while True:
            queued = await waiting.get()
            async with self._slots:
                await asyncio.to_thread(self._execute, queued)

    def _execute(self, queued: Run) -> None:
        if self._stopping.is_set():
            return  # It stays queued, for the next start.
        if self._store.is_cancelled(queued):
            self._store.finish(queued.ended("cancelled", "it was cancelled before it began"))
            return
        going = self._store.write(replace(queued, status="running", started=now()))
        try:
            going, result = self._run(going)
            ended = replace(going.ended(result.status, result.reason), seconds=round(result.seconds, 6))
        except SandboxError as error:
            ended = going.ended("failed", str(error))
        except Exception as error:  # noqa: BLE001 - one broken run must not end the runner; its traceback is logged
            _LOG.exception("run %s broke", going.id)
            ended = going.ended("failed", f"the runner itself failed: {error}")
        try:
            self._store.finish(ended)
            self._store.prune()
        except SandboxError:
            # What can't be tidied up must not end the runner.
            _LOG.exception("after run %s", ended.id)
        _LOG.info("run %s of %s %s: %s %s", ended.id, ended.repository, ended.commit, ended.status, ended.reason)

    def _run(self, going: Run) -> tuple[Run, WorkflowResult]:
        folder, settings = self._store.folder(going), self._settings
        work = self._store.work(going)
        check_out(settings.clone_url(going.repository), settings.git, going.ref, going.commit, work)
        request = WorkflowRequest(
            folder=folder,
            work=work,
            event=self._store.event(going),
            act=settings.act,
            secrets=settings.secrets(),
            variables=settings.variables(going.repository),
            tools_path=settings.tools_path,
            cache=settings.cache,
            number=int(going.id),
            time_limit=settings.time_limit,
            local_repositories=settings.local_repositories,
        )
        steps: list[StepResult] = []

        def record(step: StepResult) -> None:
            steps.append(step)
            self._store.write(replace(going, steps=tuple(done.to_json() for done in steps)))

        result = run_workflow(request, record, lambda: self._stopping.is_set() or self._store.is_cancelled(going))
        return replace(going, steps=tuple(done.to_json() for done in steps)), result


async def _healthy(_: web.Request) -> web.Response:
    return web.Response(text="ok\n")


def _read_event(body: bytes) -> dict[str, object]:
    try:
        event = json.loads(body)
    except ValueError as error:
        raise UsageError("the event is no push event", why=str(error)) from error
    if not isinstance(event, dict):
        raise UsageError("the event is no push event", why="it is no JSON object")
    return event


def run(configuration: Path) -> None:
    """Serve until SIGTERM; runs that go on are cancelled, those that wait are run at the next start.

    Raises:
        SandboxError: The configuration is wrong, or the port is taken.
    """
    settings = CiSettings.read(configuration)
    asyncio.run(serve(CiRunner(settings).application(), settings.port))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:], run))
