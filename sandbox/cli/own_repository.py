"""The verb `check`, and `up --repo`: a repository of the user's own, and a verdict on each of its Applications."""

from __future__ import annotations

import datetime as dt
import secrets
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from invoke.context import Context
from rich.text import Text

from sandbox.cli.flags import DEFAULT_NAME, Bringing, flag
from sandbox.cli.output import Output
from sandbox.cli.session import bring_up
from sandbox.cli.verb import verb
from sandbox.core.conditions import Deadline
from sandbox.core.errors import DeadlineError, SandboxError, UsageError
from sandbox.core.folders import state_root
from sandbox.engines import sandboxes
from sandbox.engines.access import Access
from sandbox.engines.engine import WHOLE_CLUSTER
from sandbox.gitops.own.copying import check_repository
from sandbox.gitops.own.reporting import report_of
from sandbox.gitops.own.repository import Checked, OwnRepository, Wishes
from sandbox.report.checked import checked_tables
from sandbox.report.writing import ReportFiles, written

__all__ = ["Owning", "check", "demand_whole_cluster", "look_at"]

# Beside the sandboxes, since that of a check goes with it.
_REPORTS = ".reports"


@dataclass(frozen=True, slots=True)
class Owning:
    """What may be asked for of a user's own repository."""

    beside: str = flag("", "Other repositories that it needs, by path or address, joined by commas.")
    crds: str = flag("", "CustomResourceDefinitions to install first: files, folders or URLs, joined by commas.")
    given: str = flag("", "Manifests that the cluster has beforehand (Secrets, namespaces): the same way.")
    committed: bool = flag(False, "Leave out what is not committed.")  # noqa: FBT003  # a field's default
    create_namespaces: bool = flag(False, "Have the namespaces there that Applications deploy to.")  # noqa: FBT003
    within: int = flag(0, "Seconds until what has not settled is late (300, and 0.3 for each manifest).")
    report_to: str = flag("", "Folder for the report: HTML, JUnit and JSON (one beside the sandboxes otherwise).")

    def wishes(self) -> Wishes:
        """Read them.

        Raises:
            UsageError: A value can't be.
        """
        if self.within < 0:
            raise UsageError(f"--within {self.within} is no time", hint="--within 300")
        beside, crds, given = (
            tuple(part for part in text.split(",") if part) for text in (self.beside, self.crds, self.given)
        )
        for part in (*crds, *given):
            if "://" not in part and not Path(part).expanduser().exists():
                raise UsageError(f"there is no {part}", hint="give a file, a folder or an https address")
        return Wishes(self.committed, beside, crds, given, self.create_namespaces)


@verb(
    positional=["path"],
    help={"path": "A repository with manifests: a path, or an address for git clone.", "keep": "Keep the sandbox."},
)
def check(_: Context, path: str, *, bringing: Bringing, owning: Owning, keep: bool = False, json: bool = False) -> None:
    """Check your own repository before you push: whether each Application renders, syncs and gets healthy, and why not.

    A sandbox of its own comes up for it, and goes again whatever happens.

    Examples: check .; check ~/src/environments --crds crds/ --json; check . --report-to reports --engine kind
    """
    output = Output(as_json=json)
    wishes = owning.wishes()
    check_repository(path)
    name = f"check-{secrets.token_hex(3)}" if bringing.name == DEFAULT_NAME else bringing.name
    if name in sandboxes.known_names():
        raise UsageError(
            f"there is a sandbox {name} already, and a check makes one of its own",
            hint=f"up --repo {path} --name {name}",
        )
    demand_whole_cluster(name, bringing.options())
    began = time.monotonic()
    try:
        access, _timeline = bring_up(output, name, bringing.options())
        up_seconds = round(time.monotonic() - began, 3)
        looked = look_at(output, access, path, wishes, owning, state_root() / _REPORTS)
        told = looked.to_json()
        told["seconds"] = {"up": up_seconds, "check": told["seconds"]}
        output.result(told, *checked_tables(told), *looked.lines())
        looked.raise_unless_held()
    finally:
        if keep and name in sandboxes.known_names():
            output.note(f"sandbox {name} stays: status --name {name}, and down --name {name} in the end")
        else:
            sandboxes.down(name)


def demand_whole_cluster(name: str, options: sandboxes.UpOptions) -> None:
    """Refuse a sandbox that may not make whatever a repository of somebody's own says.

    Raises:
        UsageError: It may work in namespaces of its own only.
    """
    engine = sandboxes.engine_for(name, options)
    if WHOLE_CLUSTER not in engine.capabilities:
        raise UsageError(
            f"a repository of your own can't be deployed by the engine {engine.name}",
            why="it may say any namespace and any kind, and a sandbox there may work in namespaces of its own only",
            hint="--engine kind, or leave --engine and --context out",
        )


@dataclass(frozen=True, slots=True)
class Looked:
    """What a check has found, and where its report is.

    Attributes:
        sandbox: In which sandbox it was looked at.
        engine: On which engine that is.
        checked: What was found.
        files: The report; None where none could be written, which must not hide what was found.
    """

    sandbox: str
    engine: str
    checked: Checked
    files: ReportFiles | None

    def to_json(self) -> dict[str, Any]:
        """Give it as JSON data."""
        files = self.files
        paths = {"html": str(files.html), "junit": str(files.junit), "data": str(files.data)} if files else {}
        return {**self.checked.to_json(), "sandbox": self.sandbox, "engine": self.engine, "report": paths}

    def lines(self) -> list[Text]:
        """Give the lines that say where the report is; a path that is broken can't be copied."""
        return [Text(f"report: {self.files.html}", overflow="ignore")] if self.files else []

    def raise_unless_held(self) -> None:
        """End as the check did, its result having been told already.

        Raises:
            SandboxError: An Application does not work, or something about the repository is wrong.
            DeadlineError: All that is wrong is that the time was over.
        """
        if self.checked.held:
            return
        kind = DeadlineError if self.checked.timed_out else SandboxError
        what = self._complaint()
        error = kind(what, hint=f"read {self.files.html}" if self.files else "see the findings above")
        error.reported = True
        raise error

    def _complaint(self) -> str:
        verdicts = self.checked.verdicts
        if wrong := [each.name for each in verdicts if each.checked and not each.held]:
            return f"not every Application holds: {', '.join(wrong)}"
        if verdicts and not any(each.checked for each in verdicts):
            return f"no Application could be checked: {', '.join(each.name for each in verdicts)}"
        return "the repository can't be deployed as it is"


def look_at(output: Output, access: Access, given: str, wishes: Wishes, owning: Owning, reports: Path) -> Looked:
    """Take a repository over in a sandbox that stands, check it, and write the report.

    Args:
        output: Hears what is done.
        access: The way into the sandbox.
        given: The repository.
        wishes: What else is asked for.
        owning: How long to wait, and where the report goes.
        reports: Where it goes unless that says otherwise.
    """
    began = dt.datetime.now(dt.UTC)
    own = OwnRepository(access, given, wishes, output.note)
    with sandboxes.telling(access.name, wishes.owner):
        own.take_over()
        checked = own.check(Deadline.after(owning.within or own.usual_seconds))
    folder = Path(owning.report_to).expanduser() if owning.report_to else reports
    try:
        files = written(report_of(checked, access, began), folder, "check")
    except (SandboxError, OSError) as error:
        output.note(f"no report was written: {error}")
        return Looked(access.name, access.engine, checked, None)
    return Looked(access.name, access.engine, checked, files)
