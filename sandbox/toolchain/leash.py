"""Runs a program that ends, with all that it started, when whoever asked for it ends in whatever way.

Started as a file, in a process group of its own, with a pipe as standard input whose other end the asker holds: when
the asker is killed the kernel closes that end. So nobody has to handle a signal to leave no compilers behind.
"""

from __future__ import annotations

import os
import select
import signal
import subprocess
import sys

__all__ = ["leashed", "main"]


def leashed(argv: list[str]) -> list[str]:
    """Give the arguments that run ``argv`` on a leash; to be started in a session of its own, with a piped stdin."""
    # Isolated and without site-packages: this file needs the standard library alone, and starts in a few milliseconds.
    return [sys.executable, "-I", "-S", __file__, *argv]


def main(argv: list[str]) -> int:
    """Run the program and give its exit code, unless standard input closes first: then kill the whole group."""
    process = subprocess.Popen(argv, stdin=subprocess.DEVNULL)
    ended = os.pidfd_open(process.pid)
    ready, _, _ = select.select([sys.stdin.fileno(), ended], [], [])
    if ended not in ready:
        os.killpg(0, signal.SIGKILL)
    return process.wait()


if __name__ == "__main__":
    # A program that a signal ended says so by an exit code, as a shell does.
    code = main(sys.argv[1:])
    sys.exit(128 - code if code < 0 else code)
