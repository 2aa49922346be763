"""`down` with a real supervisor and a small process in the place of a sandbox's components."""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from dataclasses import dataclass

import pytest

from sandbox.core.processes import RUN_ID_VARIABLE, Process, ProcessSpec, marked
from sandbox.core.supervision import SupervisorClient
from sandbox.core.supervisor import RECORD
from sandbox.engines.records import Record
from sandbox.engines.sandboxes import down


@dataclass(frozen=True)
class Standing:
    """A sandbox of which one small process runs."""

    record: Record
    process: Process

    @classmethod
    def new(cls) -> Standing:
        """Start a supervisor and a process under it."""
        record = Record.new(f"down-{secrets.token_hex(4)}", "embedded", 1)
        (record.folder / "logs").mkdir()
        client = SupervisorClient(record.folder)
        client.start(record.run_id).keep()
        environment = {"PATH": "/usr/bin:/bin", RUN_ID_VARIABLE: record.run_id}
        log = str(record.folder / "logs" / "sleeper.log")
        client.ensure(ProcessSpec("sleeper", ("sleep", "600"), environment, "/", log))
        pid = client.components()["sleeper"].pid
        process = Process.of(pid) if pid else None
        assert process is not None
        return cls(record, process)


@pytest.fixture
def standing() -> Iterator[Standing]:
    standing = Standing.new()
    yield standing
    down(standing.record.name)


@pytest.fixture
def other() -> Iterator[Standing]:
    other = Standing.new()
    yield other
    down(other.record.name)


@pytest.mark.parametrize("content", [b"", b"{", b"{}", b"\x00\xff"])
def test_down_ends_what_runs_when_every_record_is_damaged_and_nothing_else(
    standing: Standing, other: Standing, content: bytes
) -> None:
    for name in (RECORD, "sandbox.json"):
        (standing.record.folder / name).write_bytes(content)

    assert down(standing.record.name)

    assert not standing.process.alive
    assert list(marked(standing.record.run_id)) == []
    assert not standing.record.folder.exists()
    assert other.process.alive
