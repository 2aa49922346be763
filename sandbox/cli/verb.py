"""Marking functions as verbs: Invoke tasks whose errors are for people."""

from __future__ import annotations

import functools
from collections.abc import Callable
from types import FrameType
from typing import Any, ParamSpec

from invoke.exceptions import Exit
from invoke.parser.argument import Argument
from invoke.tasks import Task, task

from sandbox.cli.flags import Expansion
from sandbox.cli.output import Output
from sandbox.core.errors import SandboxError

__all__ = ["INTERRUPTED", "TerminatedError", "terminate", "verb"]

P = ParamSpec("P")
INTERRUPTED, _TERMINATED = 130, 143


class TerminatedError(BaseException):
    """SIGTERM came: like Ctrl-C, what was begun is undone on the way out."""


class _Verb(Task):  # type: ignore[type-arg]  # of what it wraps nobody asks
    """A task that can be asked for its arguments more than once."""

    def get_arguments(self, ignore_unknown_help: bool | None = None) -> list[Argument]:  # noqa: FBT001  # Invoke's own
        """Give the arguments; Invoke itself takes the help out of the task as it goes."""
        kept = dict(self.help)
        try:
            return super().get_arguments(ignore_unknown_help)
        finally:
            self.help = kept


def verb(*, words: str = "", **options: Any) -> Callable[[Callable[P, None]], Any]:
    """Mark a function as an Invoke task whose errors are for people.

    An argument that is annotated with a dataclass (``sandbox.cli.flags``) stands for all of its fields.

    Args:
        words: The argument that words right behind the verb are for, joined by commas: `scenario core`
            means `scenario --names core`. Invoke itself knows no positional argument that may be left out.
        **options: As for ``invoke.task``.
    """

    def decorate(function: Callable[P, None]) -> Any:
        expansion = Expansion(function)

        @functools.wraps(function)
        def guarded(*args: Any, **kwargs: Any) -> None:
            output = Output(as_json=bool(kwargs.get("json", False)))
            try:
                function(*args, **expansion.folded(kwargs))
            except SandboxError as error:
                output.error(error)
                raise Exit(code=error.exit_code) from None
            except KeyboardInterrupt:
                output.error(_interrupted("interrupted"))
                raise Exit(code=INTERRUPTED) from None
            except TerminatedError:
                output.error(_interrupted("told to end (SIGTERM)"))
                raise Exit(code=_TERMINATED) from None

        guarded.__signature__ = expansion.signature  # type: ignore[attr-defined]  # PEP 362; Invoke reads it
        # Invoke's letters depend on which flags come first: the same one would mean other things in other verbs.
        given = {**options, "help": expansion.help | options.get("help", {}), "auto_shortflags": False}
        made = task(klass=_Verb, **given)(guarded)
        made.words = words
        return made

    return decorate


def _interrupted(what: str) -> SandboxError:
    return SandboxError(what, why="what this command had begun is ended", hint="run it again, or: down")


def terminate(number: int, frame: FrameType | None) -> None:
    """Handle SIGTERM (``signal.signal``)."""
    del number, frame
    raise TerminatedError
