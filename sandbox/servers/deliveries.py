"""Delivering push events: at once, to all receivers side by side, and again until a deadline."""

from __future__ import annotations

import asyncio
import json
import logging
import os
import ssl
import time
import uuid
from collections.abc import Coroutine
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Self

import aiohttp

from sandbox.core.conditions import Deadline
from sandbox.core.errors import UsageError
from sandbox.core.files import PRIVATE_FILE
from sandbox.servers.gate import Stay, no_gate
from sandbox.servers.git_settings import Webhook
from sandbox.servers.signatures import SIGNATURE_HEADER, sign

__all__ = ["Deliveries", "Event"]

_LOG = logging.getLogger("gitops.git.deliveries")
_DEADLINE = 30.0
_ATTEMPT = 10.0
_FIRST_PAUSE = 0.05
_LONGEST_PAUSE = 2.0
# Longer than a story's quiet moments: opening a TLS connection would cost several milliseconds of a hot path.
_KEEP_OPEN = 300.0


@dataclass(frozen=True, slots=True)
class Event:
    """A push event on its way.

    Attributes:
        repository: The repository's name.
        ref: The ref that changed.
        after: The object that it names now.
        body: The JSON as it is signed and sent.
        pushed: ``time.monotonic()`` when the server heard of the update.
    """

    repository: str
    ref: str
    after: str
    body: bytes
    pushed: float


@dataclass(frozen=True, slots=True)
class _Attempt:
    webhook: Webhook
    event: Event
    delivery: str
    number: int = 1


class Deliveries:
    """Sends events in the background and records every attempt as one JSON line.

    A receiver that can't be reached or answers 5xx is tried again until 30 s have passed; an answer of 3xx or 4xx
    is final. Use it as an asynchronous context manager: leaving it gives up what is still on its way.

    Args:
        webhooks: The receivers.
        record: The file that gets a line for each attempt.
        stay: Begins what lasts while anything is on its way; gives what ends it.
        seconds: How long an event is tried to be delivered.

    Raises:
        UsageError: A webhook's certificate authority can't be read.
    """

    def __init__(
        self,
        webhooks: tuple[Webhook, ...],
        record: Path,
        stay: Stay = no_gate,
        *,
        seconds: float = _DEADLINE,
    ) -> None:
        self._webhooks = webhooks
        self._trust = {hook.url: _trust(hook) for hook in webhooks}
        self._record_path = record
        self._stay = stay
        self._seconds = seconds
        self._session: aiohttp.ClientSession | None = None
        self._tasks: set[asyncio.Task[None]] = set()

    async def __aenter__(self) -> Self:
        connector = aiohttp.TCPConnector(keepalive_timeout=_KEEP_OPEN)
        self._session = aiohttp.ClientSession(connector=connector, timeout=aiohttp.ClientTimeout(total=_ATTEMPT))
        return self

    async def __aexit__(self, *_: object) -> None:
        if self._tasks:
            _LOG.warning("%d deliveries are given up: the server ends", len(self._tasks))
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        if self._session:
            await self._session.close()

    def send(self, event: Event) -> None:
        """Start delivering an event to every webhook that wants it, and return at once."""
        for webhook in self._webhooks:
            if webhook.wants(event.repository):
                self.start(self._deliver(_Attempt(webhook, event, str(uuid.uuid4()))))

    def start(self, work: Coroutine[object, object, None]) -> None:
        """Run ``work`` in the background until this object is left; a failure of it is logged."""
        end = self._stay()
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._done)
        task.add_done_callback(lambda _: end())

    def _done(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()):
            _LOG.error("a delivery broke", exc_info=error)

    async def _deliver(self, attempt: _Attempt) -> None:
        deadline = Deadline.after(self._seconds)
        pause = _FIRST_PAUSE
        while not await self._try(attempt):
            if deadline.remaining() <= pause:
                _LOG.error("gave up delivering %s to %s", attempt.event.after, attempt.webhook.url)
                return
            await asyncio.sleep(pause)
            pause = min(2 * pause, _LONGEST_PAUSE)
            attempt = replace(attempt, number=attempt.number + 1)

    async def _try(self, attempt: _Attempt) -> bool:
        """Send once; true when there is nothing left to try."""
        if self._session is None:
            raise RuntimeError("deliveries are sent inside their context")
        hook, event = attempt.webhook, attempt.event
        headers = {
            "Content-Type": "application/json",
            "User-Agent": "GitHub-Hookshot/gitops-sandbox",
            "X-GitHub-Event": "push",
            # The same for each attempt, so that a receiver can tell a repetition from a second push.
            "X-GitHub-Delivery": attempt.delivery,
            SIGNATURE_HEADER: sign(hook.secret, event.body),
        }
        began = time.monotonic()
        status, problem = 0, ""
        try:
            async with self._session.post(
                hook.url, data=event.body, headers=headers, ssl=self._trust[hook.url], allow_redirects=False
            ) as response:
                status = response.status
        except (aiohttp.ClientError, TimeoutError) as error:
            problem = str(error) or type(error).__name__
        self._record(attempt, status, problem, began)
        return 0 < status < 500  # noqa: PLR2004 - HTTP's own border between refusal and failure

    def _record(self, attempt: _Attempt, status: int, problem: str, began: float) -> None:
        event = attempt.event
        delivered = 200 <= status < 300  # noqa: PLR2004 - HTTP's own borders of success
        line = {
            "time": datetime.now(UTC).isoformat(),
            "delivery": attempt.delivery,
            "repository": event.repository,
            "ref": event.ref,
            "after": event.after,
            "url": attempt.webhook.url,
            "attempt": attempt.number,
            "status": status,
            "delivered": delivered,
            "error": problem,
            "sent_after_seconds": round(began - event.pushed, 6),
            "seconds": round(time.monotonic() - began, 6),
        }
        if not delivered:
            _LOG.warning(
                "%s not delivered to %s: %s", event.after, attempt.webhook.url, problem or f"it answered {status}"
            )
        descriptor = os.open(self._record_path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, PRIVATE_FILE)
        with os.fdopen(descriptor, "w") as file:
            file.write(json.dumps(line) + "\n")


def _trust(webhook: Webhook) -> ssl.SSLContext | bool:
    if not webhook.url.startswith("https:"):
        return True
    try:
        return ssl.create_default_context(cafile=webhook.ca_file)
    except OSError as error:
        raise UsageError(f"can't read the certificate authority {webhook.ca_file}", why=str(error)) from error
