"""The verbs that put a sandbox back to an earlier moment: reset, snapshot, restore."""

from __future__ import annotations

import time

from invoke.context import Context
from rich.table import Table

from sandbox.cli.flags import DEFAULT_NAME
from sandbox.cli.output import Output
from sandbox.cli.session import waiting
from sandbox.cli.verb import verb
from sandbox.core.errors import UsageError
from sandbox.engines import rewinding, sandboxes

__all__ = ["reset", "restore", "snapshot"]


@verb()
def reset(_: Context, *, name: str = DEFAULT_NAME, json: bool = False) -> None:
    """Bring a sandbox back to how it was when it had just come up: cluster, Git, images; reports stay.

    Examples: reset; reset --name workshop --json
    """
    output = Output(as_json=json)
    wait = waiting(output, name)
    with sandboxes.untold(name, wait):
        began = time.monotonic()
        rewinding.reset(name, wait)
    seconds = round(time.monotonic() - began, 3)
    output.result({"name": name, "seconds": seconds}, f"{name} is as it was when it had just come up ({seconds:.1f} s)")


@verb(
    words="label",
    help={
        "label": "What the snapshot is called; all are listed when left out.",
        "remove": "Remove the snapshot.",
    },
)
def snapshot(
    _: Context,
    label: str = "",
    *,
    name: str = DEFAULT_NAME,
    remove: bool = False,
    json: bool = False,
) -> None:
    """Keep a sandbox as it is now, under a name: the cluster, all Git refs, images and Argo CD's cache, together.

    Examples: snapshot before-the-change; snapshot; snapshot before-the-change --remove --json
    """
    output = Output(as_json=json)
    if remove and not label:
        raise UsageError("no snapshot was named", hint="snapshot NAME --remove; the list: snapshot alone")
    if not label:
        found = rewinding.snapshots(name)
        table = Table("snapshot", "made", box=None, pad_edge=False)
        for each in found:
            table.add_row(each.name, each.made)
        output.result(
            {"name": name, "snapshots": [each.to_json() for each in found]}, table if found else "there is no snapshot"
        )
    elif remove:
        rewinding.remove_snapshot(name, label, waiting(output, name))
        output.result({"name": name, "removed": label}, f"removed: {label}")
    else:
        _keep(output, name, label)


def _keep(output: Output, name: str, label: str) -> None:
    began = time.monotonic()
    kept = rewinding.snapshot(name, label, waiting(output, name))
    seconds = round(time.monotonic() - began, 3)
    output.result(
        {"name": name, "snapshot": kept.to_json(), "seconds": seconds},
        f"kept: {label} ({seconds:.1f} s); back to it: restore {label}",
    )


@verb(words="label", help={"label": "Which snapshot."})
def restore(_: Context, label: str = "", *, name: str = DEFAULT_NAME, json: bool = False) -> None:
    """Put a sandbox back to a snapshot of it: the cluster, all Git refs, images and Argo CD's cache, together.

    Examples: restore before-the-change; restore before-the-change --name workshop --json
    """
    output = Output(as_json=json)
    if not label:
        raise UsageError("no snapshot was named", hint="restore NAME; the list: snapshot alone")
    wait = waiting(output, name)
    with sandboxes.untold(name, wait):
        began = time.monotonic()
        rewinding.restore(name, label, wait)
    seconds = round(time.monotonic() - began, 3)
    output.result(
        {"name": name, "snapshot": label, "seconds": seconds}, f"{name} is as it was at {label} ({seconds:.1f} s)"
    )
