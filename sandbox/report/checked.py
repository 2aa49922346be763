"""What was found about a user's repository, drawn from the JSON of ``check --json``."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from rich import box
from rich.console import RenderableType
from rich.table import Table
from rich.text import Text

__all__ = ["checked_tables"]

Json = Mapping[str, Any]

_STAGES = ("renders", "accepted", "synced", "proved", "healthy")
_SIGNS = {
    "yes": ("✓", "green"),
    "no": ("✗", "bold red"),
    "not reached": ("·", "dim"),
    "as far as shown": ("~", "yellow"),
}
_LEVELS = {"error": "bold red", "warning": "yellow", "note": "dim"}


def checked_tables(checked: Json) -> list[RenderableType]:
    """Draw a row for each Application, and below it every finding with its cause and what to do.

    Args:
        checked: The object of ``check --json``.
    """
    findings = [*checked["findings"], *(found for each in checked["applications"] for found in each["findings"])]
    return [_applications(checked["applications"]), *_findings(findings)]


def _applications(verdicts: Sequence[Json]) -> Table:
    held = sum(bool(each["held"]) for each in verdicts)
    unseen = sum(each["renders"] == "not reached" for each in verdicts)
    words = Text(f"  {held} of {len(verdicts)} Applications hold")
    words.append(f", {unseen} could not be checked" if unseen else "")
    words.append("   ✓ yes  ✗ no  ~ as far as this engine shows it  · not reached", "dim")
    table = Table(box=box.SIMPLE_HEAD, caption=words, caption_justify="left")
    table.add_column("Application", overflow="fold")
    table.add_column("source", overflow="fold")
    for stage in _STAGES:
        table.add_column(stage, justify="center")
    table.add_column("seconds", justify="right")
    for each in verdicts:
        signs = [Text(*_SIGNS[each[stage]]) for stage in _STAGES]
        name = Text(each["name"], style="" if each["held"] else "bold")
        table.add_row(name, Text(each["source"], style="dim"), *signs, f"{each['seconds']:.1f}")
    return table


def _findings(findings: Sequence[Json]) -> Iterator[RenderableType]:
    ordered = sorted(findings, key=lambda each: list(_LEVELS).index(each["level"]))
    for each in ordered:
        style = _LEVELS[each["level"]]
        place = ": ".join(filter(None, (each["application"], each["thing"])))
        text = Text.assemble((f"{each['level']:7} ", style), (f"{place}: " if place else "", "bold"), each["what"])
        for name in ("why", "next"):
            if each[name]:
                text.append(f"\n        {name + ':':5} {each[name]}", "dim" if name == "why" else "")
        yield text
