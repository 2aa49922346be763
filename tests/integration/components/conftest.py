"""Parts of a sandbox, brought up by the driver as `up` does it, in a state folder of their own."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager

import pytest

from sandbox.components.base import Context
from sandbox.core.conditions import Deadline
from sandbox.core.timeline import Timeline
from sandbox.engines.driver import bring_up, closure
from sandbox.engines.embedded import Embedded
from sandbox.engines.engine import supervised
from sandbox.engines.records import Record
from sandbox.engines.sandboxes import down
from sandbox.toolchain import ensure_tools

Bring = Callable[..., AbstractContextManager[Context]]


@contextmanager
def _brought_up(*names: str, tools: tuple[str, ...]) -> Iterator[Context]:
    record = Record.new(f"part-{secrets.token_hex(4)}", "embedded", 1)
    context = Embedded().context_of(record, ensure_tools(tools))
    parts = closure(Embedded().components(), names)
    try:
        with supervised(context, parts) as lease:
            bring_up(context, parts, Deadline.after(60), Timeline())
            lease.keep()
        yield context
    finally:
        down(record.name)


@pytest.fixture(scope="session")
def brought_up() -> Bring:
    """Bring components up with all that they require, and take them down when the block ends."""
    return _brought_up
