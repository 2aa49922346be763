"""The verbs of a sandbox's life: up, stop, start, status, logs, down."""

from __future__ import annotations

from invoke.context import Context
from rich.table import Table

from sandbox.cli.flags import DEFAULT_NAME, Bringing
from sandbox.cli.output import Output
from sandbox.cli.own_repository import Owning, demand_whole_cluster, look_at
from sandbox.cli.session import bring_up, start_again, waiting
from sandbox.cli.verb import verb
from sandbox.engines import sandboxes
from sandbox.gitops.own.copying import check_repository
from sandbox.gitops.reporting import REPORTS
from sandbox.report.checked import checked_tables
from sandbox.report.tables import access_panel, status_table

__all__ = ["down", "logs", "start", "status", "stop", "up"]


@verb(
    help={"repo": "Your own repository, by path or address: mirrored, deployed and checked; once more after a change."}
)
def up(_: Context, *, bringing: Bringing, owning: Owning, repo: str = "", json: bool = False) -> None:
    """Bring a sandbox up, start a stopped one, or repair one that runs; with --repo, deploy your own repository in it.

    Examples: up; up --nodes 3; up --engine kind --ha; up --repo ~/src/environments; up --name workshop --json
    """
    output = Output(as_json=json)
    wishes = owning.wishes()
    if repo:
        check_repository(repo)
        demand_whole_cluster(bringing.name, bringing.options())
    access, _timeline = bring_up(output, bringing.name, bringing.options())
    looked = look_at(output, access, repo, wishes, owning, access.folder / REPORTS) if repo else None
    found = sandboxes.status(bringing.name)
    if looked is None:
        output.result(found, access_panel(found))
        return
    told = looked.to_json()
    output.result({**found, "own": told}, *checked_tables(told), access_panel(found))
    looked.raise_unless_held()


@verb()
def start(_: Context, *, name: str = DEFAULT_NAME, json: bool = False) -> None:
    """Bring a stopped sandbox back, with all that it held.

    Examples: start; start --name workshop --json
    """
    output = Output(as_json=json)
    start_again(output, name)
    found = sandboxes.status(name)
    output.result(found, access_panel(found))


@verb(help={"all": "All sandboxes of this user."})
def stop(_: Context, *, name: str = DEFAULT_NAME, all: bool = False, json: bool = False) -> None:  # noqa: A002  # the flag's name
    """End everything that runs of a sandbox, and keep what it holds for `start`.

    Examples: stop; stop --name workshop; stop --all
    """
    output = Output(as_json=json)
    stopped = sandboxes.stop_all() if all else [name] if sandboxes.stop(name, waiting(output, name)) else []
    said = f"stopped: {', '.join(stopped)}" if stopped else "nothing was running"
    output.result({"stopped": stopped}, said)


@verb(help={"all": "All sandboxes."})
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


@verb(
    words="component",
    help={"component": "Which component; all are named when left out.", "lines": "How many lines of each log."},
)
def logs(_: Context, component: str = "", *, name: str = DEFAULT_NAME, lines: int = 40, json: bool = False) -> None:
    """Show the end of a component's log: of its process, its container or its pods.

    Examples: logs; logs argocd-server; logs kube-apiserver --lines 200; logs argocd --json
    """
    output = Output(as_json=json)
    if component:
        said = sandboxes.log(name, component, lines)
        if not json:
            output.console.print(said or f"{component} has logged nothing yet", markup=False)
        output.result({"component": component, "log": said})
        return
    found = sandboxes.status(name)["components"]
    table = Table(box=None, pad_edge=False, show_header=False)
    for each in found:
        table.add_row(each["name"], each["log"] or f"./inv logs {each['name']}")
    output.result({"components": [{"name": each["name"], "log": each["log"]} for each in found]}, table)


@verb(help={"all": "All sandboxes of this user."})
def down(_: Context, *, name: str = DEFAULT_NAME, all: bool = False, json: bool = False) -> None:  # noqa: A002  # the flag's name
    """End a sandbox and remove its state, whatever became of it.

    Examples: down; down --name workshop; down --all
    """
    output = Output(as_json=json)
    ended = sandboxes.down_all() if all else [name] if sandboxes.down(name, waiting(output, name)) else []
    said = f"ended: {', '.join(ended)}" if ended else "there was nothing to end"
    output.result({"ended": ended}, said)
