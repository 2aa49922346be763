"""Pausing in a story so that somebody can look: it says how to get in, waits for Enter, and leaves all as it is."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from typing import IO

from rich.text import Text

from sandbox.cli.flags import Pausing
from sandbox.cli.output import Output
from sandbox.core.errors import UsageError
from sandbox.engines.access import Access
from sandbox.gitops.story import Conduct, StepResult
from sandbox.report.access import access_commands
from sandbox.servers.repositories import list_repositories

__all__ = ["Pauses", "pauses"]

_TERMINAL = "/dev/tty"
_SHOWN = ("export KUBECONFIG=", "git clone ")


@dataclass(frozen=True, slots=True)
class Pauses:
    """Where a telling is to pause, and the terminal at which somebody says that it goes on.

    Attributes:
        output: Where the words go.
        wanted: Where to pause.
        terminal: What Enter is read from; None where it never pauses.
    """

    output: Output
    wanted: Pausing
    terminal: IO[str] | None

    def conduct(self, access: Access, tenant: str, cancelled: threading.Event | None = None) -> Conduct:
        """Give what a telling is to be conducted by.

        Args:
            access: The way into the sandbox, which is shown.
            tenant: Whose repositories are shown.
            cancelled: Set to break the telling off.
        """

        def before(step: StepResult) -> None:
            if self.wanted.step:
                self._pause(f"next: {step.name}: {step.sentence}", access, tenant)

        def failed(step: StepResult) -> None:
            if self.wanted.pause_on_failure:
                self._pause(f"failed: {step.name}; everything is as it was then", access, tenant)

        return Conduct(before, failed, cancelled or threading.Event())

    def _pause(self, why: str, access: Access, tenant: str) -> None:
        own = [name for name in list_repositories(access.repositories) if name.startswith(f"{tenant}/")]
        way = access.to_json(own)
        commands = [command.line for command in access_commands(way) if command.line.startswith(_SHOWN)]
        argocd = way["argocd"]
        page = f"  {argocd['url']}  Argo CD, as {argocd['username']}; its password: {argocd['password_file']}"
        lines = [
            f"paused; {why}",
            *(f"  {line}" for line in commands),
            *([page] if argocd["url"] else []),
            "  Enter goes on; Ctrl-C ends the story and leaves everything as it is",
        ]
        for line in lines:
            # A command that is broken can't be pasted.
            self.output.console.print(Text(line, style="bold" if line.startswith("paused") else ""), soft_wrap=True)
        if self.terminal is not None:
            self.terminal.readline()


@contextlib.contextmanager
def pauses(output: Output, wanted: Pausing) -> Iterator[Pauses]:
    """Give what pauses where it is wanted.

    Raises:
        UsageError: It is, and nobody is there to go on.
    """
    if not (wanted.step or wanted.pause_on_failure):
        yield Pauses(output, wanted, None)
        return
    try:
        terminal = open(_TERMINAL)  # noqa: PTH123, SIM115  # closed below; a terminal is no file to seek in
    except OSError as error:
        raise UsageError(
            "there is no terminal to pause at",
            why=f"{_TERMINAL}: {error.strerror}",
            hint="leave --step and --pause-on-failure out, or run it in a terminal",
        ) from error
    with terminal:
        yield Pauses(output, wanted, terminal)
