"""The verb that looks at this host."""

from __future__ import annotations

from collections.abc import Sequence

from invoke.context import Context
from rich import box
from rich.table import Table
from rich.text import Text

from sandbox.cli.flags import DEFAULT_NAME
from sandbox.cli.output import Output
from sandbox.cli.verb import verb
from sandbox.core.errors import UnavailableError
from sandbox.core.names import check_choice, check_sandbox_name
from sandbox.engines import sandboxes
from sandbox.engines.doctor import Finding, Host, Status, examine, works

__all__ = ["doctor"]

_STYLES = {Status.OK: "green", Status.WARNING: "yellow", Status.WRONG: "bold red"}


@verb(
    help={
        "engine": f"Only what matters to this one: {', '.join(sandboxes.ENGINES)}.",
        "context": "Look at the cluster of this context of your kubeconfig too, and at what you may do there.",
        "argocd": "Look also at the Argo CD in this namespace of that cluster, as its guest.",
        "name": "What the sandbox in that cluster would be called.",
    }
)
def doctor(  # one for each flag
    _: Context,
    *,
    engine: str = "",
    context: str = "",
    argocd: str = "",
    name: str = DEFAULT_NAME,
    json: bool = False,
) -> None:
    """Look at this host: what works for each engine, what is wrong, and how to mend it.

    Examples: doctor; doctor --engine kind; doctor --engine cluster --context team; doctor --json
    """
    output = Output(as_json=json)
    asked = [check_choice("engine", engine, sandboxes.ENGINES)] if engine else list(sandboxes.ENGINES)
    findings = examine(Host.here(context, check_sandbox_name(name), argocd), asked)
    verdicts = {name: works(name, findings) for name in asked}
    output.result(
        {"engines": verdicts, "checks": [found.to_json() for found in findings]},
        _table(findings),
        *(f"{name}: {'can work here' if can else 'can not work here'}" for name, can in verdicts.items()),
    )
    unable = [name for name, can in verdicts.items() if not can]
    if unable:
        error = UnavailableError(f"this host is not ready for: {', '.join(unable)}", hint="mend what is marked wrong")
        error.reported = True
        raise error


def _table(findings: Sequence[Finding]) -> Table:
    table = Table("check", "for", "status", "seen, and what to do", box=box.SIMPLE_HEAD)
    for found in findings:
        seen = Text(found.seen.seen)
        if found.seen.next:
            seen.append(f"\nnext: {found.seen.next}", style="dim")
        status = Text(found.seen.status.value, style=_STYLES[found.seen.status])
        table.add_row(found.check.name, ", ".join(found.check.engines), status, seen)
    return table
