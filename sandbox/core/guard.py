"""The guard of a supervisor: a fork of it that sleeps until it has ended, and then ends what escaped.

Parent-death signals reach a supervisor's children, but not a daemon that one of them left behind,
such as the gpg-agent of Argo CD's repo-server or a step of a workflow.
"""

from __future__ import annotations

import os
import signal

from sandbox.core.conditions import Deadline
from sandbox.core.processes import end_marked

__all__ = ["stand_guard"]

_END_SECONDS = 20.0


def stand_guard(run_id: str) -> None:
    """Fork a guard that kills every process that carries ``run_id`` once the calling process has ended.

    It carries the mark itself: whoever ends the sandbox by its mark ends the guard too, so that it
    never meets the sandbox's next supervisor.
    """
    watched, held = os.pipe()
    if os.fork():
        # The other end is never closed: the kernel does that when this process ends, however it ends.
        os.close(watched)
        return
    try:
        os.close(held)
        # Standard input is the lease of the supervisor, which must not outlive it here.
        os.close(0)
        os.setsid()
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            signal.signal(number, signal.SIG_IGN)
        os.read(watched, 1)
        end_marked(run_id, Deadline.after(_END_SECONDS))
    finally:
        os._exit(0)
