"""What a user sees of a run: progress while it goes on, tables when it has ended, a picture for the README."""

from sandbox.report.narrator import Narrator
from sandbox.report.streams import open_console

__all__ = ["Narrator", "open_console"]
