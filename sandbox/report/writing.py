"""Putting reports where they are kept: an HTML, a JUnit and a JSON file for each, the newest of a sandbox's."""

from __future__ import annotations

import datetime as dt
import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from sandbox.core.files import make_private_dir, write_file
from sandbox.report.findings import Report
from sandbox.report.junit import as_junit

__all__ = ["ReportFiles", "written", "written_reports"]

_KEPT = 50
_STAMP = re.compile(r"\d{8}-\d{6}-\d{6}-.+")


@dataclass(frozen=True, slots=True)
class ReportFiles:
    """The files of one report.

    Attributes:
        html: For people.
        junit: For CI servers.
        data: Everything, as JSON.
    """

    html: Path
    junit: Path
    data: Path

    @classmethod
    def of(cls, folder: Path, stem: str) -> Self:
        """Give the files of a report by what they are called before the ending."""
        return cls(*(folder / f"{stem}.{ending}" for ending in ("html", "xml", "json")))

    def __iter__(self) -> Iterator[Path]:
        """Give each file."""
        return iter((self.html, self.junit, self.data))


def written(report: Report, folder: Path, name: str = "") -> ReportFiles:
    """Write a report, for this user alone; of those in the folder the newest are kept.

    Args:
        report: Without secrets; see ``findings.scrubbed``.
        folder: Where; made if need be.
        name: What it is called behind the time of writing; the scenario's name when left out.

    Raises:
        UnavailableError: It can't be written.
    """
    from sandbox.report.html import as_html  # noqa: PLC0415  # its library is read once there is something to draw

    make_private_dir(folder)
    stamp = dt.datetime.now(dt.UTC).strftime("%Y%m%d-%H%M%S-%f")
    files = ReportFiles.of(folder, f"{stamp}-{name or report.scenario}")
    write_file(files.html, as_html(report))
    write_file(files.junit, as_junit(report))
    # Last: where it is, the others are.
    write_file(files.data, json.dumps(report.to_json(), indent=1) + "\n")
    for old in written_reports(folder)[_KEPT:]:
        for path in old:
            path.unlink(missing_ok=True)
    return files


def written_reports(folder: Path) -> list[ReportFiles]:
    """Give the reports of a folder, the newest first."""
    stems = sorted((path.stem for path in folder.glob("*.json") if _STAMP.fullmatch(path.stem)), reverse=True)
    return [ReportFiles.of(folder, stem) for stem in stems]
