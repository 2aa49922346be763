"""The program that ``./inv`` and ``gitops-sandbox`` run: Invoke, with our exit codes and no traceback for a mistake."""

from __future__ import annotations

import difflib
import functools
import itertools
import re
import signal
import sys
from collections.abc import Callable
from types import FrameType
from typing import Any, ParamSpec

from invoke.collection import Collection
from invoke.exceptions import CollectionNotFound, Exit, ParseError
from invoke.program import Program
from invoke.tasks import task

import sandbox
from sandbox.cli.output import Output
from sandbox.core.errors import SandboxError

__all__ = ["main", "verb"]

P = ParamSpec("P")
WRONG_USE = 2
_NO_SUCH_TASK = re.compile(r"No idea what '(.*)' is!")  # invoke.parser.parser
_INTERRUPTED, _TERMINATED = 130, 143


class _TerminatedError(BaseException):
    """SIGTERM came: like Ctrl-C, what was begun is undone on the way out."""


def verb(*, words: str = "", **options: Any) -> Callable[[Callable[P, None]], Any]:
    """Mark a function as an Invoke task whose errors are for people.

    Args:
        words: The argument that words right behind the verb are for, joined by commas: `scenario core`
            means `scenario --names core`. Invoke itself knows no positional argument that may be left out.
        **options: As for ``invoke.task``.
    """

    def decorate(function: Callable[P, None]) -> Any:
        @functools.wraps(function)
        def guarded(*args: P.args, **kwargs: P.kwargs) -> None:
            output = Output(as_json=bool(kwargs.get("json", False)))
            try:
                function(*args, **kwargs)
            except SandboxError as error:
                output.error(error)
                raise Exit(code=error.exit_code) from None
            except KeyboardInterrupt:
                output.error(_interrupted("interrupted"))
                raise Exit(code=_INTERRUPTED) from None
            except _TerminatedError:
                output.error(_interrupted("told to end (SIGTERM)"))
                raise Exit(code=_TERMINATED) from None
            except BrokenPipeError:
                # The reader of our output went away, as `| head` does; there is nobody left to tell.
                raise Exit(code=1) from None

        made = task(**options)(guarded)
        made.words = words
        return made

    return decorate


def _interrupted(what: str) -> SandboxError:
    return SandboxError(what, why="what this command had begun is ended", hint="run it again, or: down")


def _terminate(number: int, frame: FrameType | None) -> None:
    del number, frame
    raise _TerminatedError


class _Program(Program):
    """Invoke's program, whose own errors exit with 2 and name the closest task."""

    def parse_collection(self) -> None:
        """Load the tasks; those of a checkout's ``tasks.py`` where there is one."""
        try:
            super().parse_collection()
        except CollectionNotFound:
            self.collection = self.scoped_collection = product()

    def run(self, argv: list[str] | None = None, exit: bool = True) -> None:  # noqa: A002, FBT001, FBT002  # Invoke's own signature
        """Run, with exit code 2 for wrong use."""
        try:
            super().run(argv, exit=False) if not exit else self._run(argv)
        except KeyboardInterrupt:
            sys.exit(_INTERRUPTED)

    def _run(self, argv: list[str] | None) -> None:
        try:
            self.create_config()
            self.parse_core(argv)
            self.parse_collection()
            self.core.unparsed = self._with_words_named(self.core.unparsed)
            self.parse_tasks()
            self.parse_cleanup()
            self.update_config()
            self.execute()
        except ParseError as error:
            print(f"error: {self._explained(error)}\n  next: {self.binary} --list", file=sys.stderr)  # noqa: T201
            sys.exit(WRONG_USE)
        except Exit as error:
            if error.message:
                print(error.message, file=sys.stderr)  # noqa: T201
            sys.exit(error.code)

    def _with_words_named(self, given: list[str]) -> list[str]:
        """Give words right behind a verb to the argument that they are for."""
        known = self.collection.task_names
        named: list[str] = []
        rest = list(given)
        while rest:
            name = rest.pop(0)
            named.append(name)
            flag = getattr(self.collection[name], "words", "") if name in known else ""
            words = list(itertools.takewhile(lambda word: not word.startswith("-") and word not in known, rest))
            if flag and words:
                named += [f"--{flag}", ",".join(words)]
                del rest[: len(words)]
        return named

    def _explained(self, error: ParseError) -> str:
        """Name the closest task where the user mistyped one; Invoke's own words otherwise."""
        unknown = _NO_SUCH_TASK.fullmatch(str(error))
        if unknown is None:
            return str(error)
        known = sorted(self.collection.task_names)
        close = difflib.get_close_matches(unknown[1], known, n=1)
        return f"there is no task {unknown[1]!r}" + (f"; did you mean {close[0]!r}?" if close else "")


def product() -> Collection:
    """Give the verbs of the product, for a checkout's ``tasks.py`` and for the installed program."""
    from sandbox.cli import stories, tooling, verbs  # noqa: PLC0415  # they import ``verb`` from here

    collection = Collection()
    for module in (verbs, stories, tooling):
        for found in Collection.from_module(module).tasks.values():
            collection.add_task(found)
    return collection


def main() -> None:
    """Run the command line."""
    signal.signal(signal.SIGTERM, _terminate)
    _Program(
        name="gitops-sandbox",
        binary="inv" if "--search-root" in sys.argv else "gitops-sandbox",
        version=sandbox.__version__,
    ).run()
