"""The verb that shows the tools."""

from __future__ import annotations

from invoke.context import Context
from rich.table import Table

from sandbox.cli.flags import PROVIDER_HELP
from sandbox.cli.output import Output
from sandbox.cli.verb import verb
from sandbox.toolchain import ensure_tools
from sandbox.toolchain.inventory import HEADINGS, tool_names, tools_json, tools_table, verify_tools
from sandbox.toolchain.progress import show_progress

__all__ = ["tools"]


@verb(
    help={
        "provider": PROVIDER_HELP,
        "verify": "Read every file again and compare it with its checksum.",
    }
)
def tools(_: Context, *, provider: str = "", verify: bool = False, json: bool = False) -> None:
    """Fetch or build every tool that is missing, verified, and show what there is.

    Examples: tools; tools --verify; tools --provider go
    """
    output = Output(as_json=json)
    names = tool_names()
    with show_progress(output.console) as progress:
        if verify:
            for name, damaged in verify_tools(names, progress=progress).items():
                if damaged:
                    output.note(f"{name}: made again, damaged were {', '.join(damaged)}")
        found = ensure_tools(names, provider=provider or None, progress=progress)
    table = Table(*HEADINGS, box=None, pad_edge=False)
    for row in tools_table(found.values()):
        table.add_row(*row)
    output.result({"tools": tools_json(found.values())}, table)
