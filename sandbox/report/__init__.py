"""What a user sees of a run: progress while it goes on, tables when it has ended, a picture for the README."""

from sandbox.report.access import access_commands
from sandbox.report.lines import narrated
from sandbox.report.narrator import Narrator
from sandbox.report.recording import record_svg
from sandbox.report.streams import open_console
from sandbox.report.tables import access_panel, closing_table, status_table

__all__ = [
    "Narrator",
    "access_commands",
    "access_panel",
    "closing_table",
    "narrated",
    "open_console",
    "record_svg",
    "status_table",
]
