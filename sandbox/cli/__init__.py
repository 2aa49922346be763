"""The command line: thin Invoke tasks that parse, call and print."""

from sandbox.cli.program import main, verb

__all__ = ["main", "verb"]
