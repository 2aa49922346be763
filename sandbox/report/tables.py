"""What stands at the end of a verb, drawn from the same JSON that ``--json`` gives.

Each function takes the JSON data of a verb as the contract of ``--json`` describes it, and nothing else: a table can
be drawn again from a file.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from rich import box
from rich.console import Group
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from sandbox.report.access import access_commands, account_of

__all__ = ["access_panel", "closing_table", "shortened", "status_table"]

Json = Mapping[str, Any]

_STATUS = {"passed": ("✓", "green"), "failed": ("✗", "bold red"), "skipped": ("–", "yellow")}  # noqa: RUF001
_STATES = {"running": "green", "up": "green", "stopped": "red", "down": "red"}

_SHA = re.compile(r"(?<![0-9a-f])[0-9a-f]{40}(?![0-9a-f])")
_DIGEST = re.compile(r"(sha256:[0-9a-f]{8})[0-9a-f]{56}")
_LOOPBACK_REGISTRY = re.compile(r"127\.0\.0\.1:\d+/")
_MOST_CHARACTERS = 140
_SHORT_ID = 12  # as Docker shows an id
_MOST_ITEMS = 8


def closing_table(steps: Sequence[Json], seconds: Json) -> Table:
    """Draw a story's steps: what each shows, how it ended, its time, and its evidence in short.

    Args:
        steps: ``steps`` of ``demo --json``.
        seconds: ``seconds`` of ``demo --json``: ``up`` and ``story``; what is missing is left out.
    """
    table = Table(box=box.SIMPLE_HEAD, caption=_closing_words(steps, seconds), caption_justify="left")
    table.add_column("")
    table.add_column("step and evidence", overflow="fold")
    table.add_column("seconds", justify="right")
    for step in steps:
        sign, style = _STATUS.get(str(step["status"]), ("?", "bold red"))
        sentence = Text(str(step.get("sentence") or step["name"]))
        reason = Text(str(step.get("reason") or ""), style=style.removeprefix("bold "))
        below = [part for part in (reason, _evidence(step.get("evidence") or {})) if part]
        took = Text("" if step["status"] == "skipped" else f"{step['seconds']:.1f}")
        table.add_row(Text(sign, style=style), Group(sentence, *below), took)
    return table


def _closing_words(steps: Sequence[Json], seconds: Json) -> Text:
    words = []
    for status, (_, style) in _STATUS.items():
        if number := sum(step["status"] == status for step in steps):
            words.append(Text(f"{number} {status}", style=style))
    words += [Text(f"{name} {taken:.1f} s") for name, taken in seconds.items() if isinstance(taken, int | float)]
    return Text("  ") + Text(" · ").join(words)


def _evidence(evidence: Json) -> Text:
    parts = [f"{name.replace('_', ' ')} {shortened(value)}" for name, value in evidence.items()]
    return Text(" · ".join(parts), style="dim")


def shortened(value: object) -> str:
    """Give evidence in short: 8 characters of a SHA, of a digest after ``sha256:``, no address of the registry.

    The whole of it stands in the JSON.
    """
    if isinstance(value, Mapping):
        return ", ".join(f"{shortened(name)}: {shortened(part)}" for name, part in value.items())
    if isinstance(value, Sequence) and not isinstance(value, str):
        more = f", … {len(value) - _MOST_ITEMS} more" if len(value) > _MOST_ITEMS else ""
        return ", ".join(shortened(part) for part in value[:_MOST_ITEMS]) + more
    text = _DIGEST.sub(r"\1…", " ".join(str(value).split()))
    text = _LOOPBACK_REGISTRY.sub("", _SHA.sub(lambda found: found[0][:8], text))
    return text if len(text) <= _MOST_CHARACTERS else f"{text[: _MOST_CHARACTERS - 1]}…"


def access_panel(access: Json) -> Group:
    """Draw where the servers are, who may log in, which files hold the passwords, and commands to paste.

    Args:
        access: The object of ``up --json`` or ``status --json``.
    """
    table = Table.grid(padding=(0, 2))
    table.add_column(style="bold")
    table.add_column(overflow="fold")
    table.add_row("Kubernetes", Text(str(access["kubeconfig"])))
    for title, key in (("Argo CD", "argocd"), ("Git", "git"), ("Registry", "registry")):
        server = access[key]
        table.add_row(title, Text(str(server["url"] or f"namespace {server['namespace']}"), style="cyan"))
        if password_file := server.get("password_file"):
            table.add_row("", Text(f"{account_of(server)}, password in {password_file}", style="dim"))
    heading = Text(f"{access['name']} ({access['engine']})")
    # No sides to either part: what is copied out of it holds no frame.
    return Group(
        Panel(table, title=heading, title_align="left", box=box.HORIZONTALS, padding=(0, 0)), *access_commands(access)
    )


def status_table(status: Json) -> Table:
    """Draw how each component is: its state with restarts and the last end, and its process.

    Args:
        status: The object of ``status --json``.
    """
    folder = Path(status["state_dir"]) / "logs"
    state = str(status["state"])
    caption = Text.assemble(
        f"  {status['name']} ({status['engine']}) is ",
        (state, _STATES.get(state, "yellow")),
        f" \n  logs: {folder}",
    )
    table = Table(box=box.SIMPLE_HEAD, caption=caption, caption_justify="left")
    # Only the state may be broken: a name or number that is broken can't be found again.
    table.add_column("component", no_wrap=True)
    table.add_column("process", justify="right", no_wrap=True)
    table.add_column("state", overflow="fold")
    for component in status["components"]:
        process = component.get("pid") or str(component.get("container") or "")[:_SHORT_ID]
        table.add_row(Text(str(component["name"])), Text(str(process)), _state(component, folder))
    return table


def _state(component: Json, folder: Path) -> Text:
    state = str(component["state"])
    said = Text.assemble((state, _STATES.get(state, "yellow")))
    if restarts := component.get("restarts"):
        said.append(f" · {restarts} restart{'s' if restarts > 1 else ''}", "yellow")
    last = (component.get("last_exit") or {}).get("reason")
    log = component["log"]
    usual = str(folder / f"{component['name']}.log")
    for more in (component.get("seen"), last and f"last: {last}", log not in ("", usual) and f"log: {log}"):
        if more:
            said.append(f"\n{shortened(more)}", "dim")
    return said
