"""The program that ``./inv`` and ``gitops-sandbox`` run: Invoke, with our exit codes and no traceback for a mistake."""

from __future__ import annotations

import difflib
import itertools
import os
import re
import select
import signal
import sys

from invoke.collection import Collection
from invoke.exceptions import Exit, ParseError
from invoke.program import Program

import sandbox
from sandbox.cli import doctor, moments, own_repository, reports, roles, sabotages, stories, tooling, verbs
from sandbox.cli.verb import INTERRUPTED, terminate

__all__ = ["main", "product"]

WRONG_USE = 2
UNHEARD = 128 + signal.SIGPIPE
_HELP = frozenset({"--help", "-h"})
_NO_SUCH_TASK = re.compile(r"No idea what '(.*)' is!")  # invoke.parser.parser


class _Program(Program):
    """Invoke's program, whose own errors exit with 2 and name the closest task."""

    def run(self, argv: list[str] | None = None, exit: bool = True) -> None:  # noqa: A002, FBT001, FBT002  # Invoke's own signature
        """Run, with exit code 2 for wrong use."""
        try:
            try:
                super().run(argv, exit=False) if not exit else self._run(argv)
            finally:
                sys.stdout.flush()
        except KeyboardInterrupt:
            sys.exit(INTERRUPTED)
        except BrokenPipeError:
            if not _unheard():
                raise
            # Whoever read this, such as `head`, has seen enough. What is left must not be tried again at exit
            # (Python, "Note on SIGPIPE").
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            sys.exit(UNHEARD)

    def _run(self, argv: list[str] | None) -> None:
        try:
            self.create_config()
            self.parse_core(argv)
            self.parse_collection()
            self.core.unparsed = self._with_words_named(self._without_help(self.core.unparsed))
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

    def _without_help(self, given: list[str]) -> list[str]:
        """Take a call for help off the verb that it is about, which would take it for one of its own words."""
        if not given or given[0] not in self.collection.task_names or _HELP.isdisjoint(given[1:]):
            return given
        self.args.help.set_value(given[0], cast=False)
        return []

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
        if unknown[1].startswith("-"):
            # Invoke takes an option that a task does not have for the name of the next task.
            return f"there is no option {unknown[1]!r}; those of a task are shown by --help TASK"
        known = sorted(self.collection.task_names)
        close = difflib.get_close_matches(unknown[1], known, n=1)
        return f"there is no task {unknown[1]!r}" + (f"; did you mean {close[0]!r}?" if close else "")


def _unheard() -> bool:
    """Whether nobody reads standard output any more, which poll(2) tells of a pipe without being asked for it."""
    output = select.poll()
    output.register(sys.stdout.fileno(), 0)
    return bool(output.poll(0))


def product() -> Collection:
    """Give the verbs of the product, for a checkout's ``tasks.py`` and for the installed program."""
    collection = Collection()
    for module in (verbs, moments, stories, sabotages, own_repository, reports, tooling, doctor, roles):
        for found in Collection.from_module(module).tasks.values():
            collection.add_task(found)
    return collection


def main() -> None:
    """Run the command line: the product's verbs, and in a checkout what its ``tasks.py`` has beside them."""
    signal.signal(signal.SIGTERM, terminate)
    # Only `inv` says where to look: a tasks.py that happens to lie in the user's folder is none of ours.
    in_checkout = "--search-root" in sys.argv
    _Program(
        name="gitops-sandbox",
        binary="inv" if in_checkout else "gitops-sandbox",
        namespace=None if in_checkout else product(),
        version=sandbox.__version__,
    ).run()
