"""A report as one HTML file: it asks no server for anything, needs no script, and can be read by anybody."""

from __future__ import annotations

import base64
import functools
import hashlib
from importlib import resources

from jinja2 import DictLoader, Environment, StrictUndefined
from markupsafe import Markup

from sandbox.report.findings import Report
from sandbox.report.timeline_picture import NARROW, WIDE, clock, laid_out

__all__ = ["as_html"]

_TEMPLATES = ("report.html.j2", "timeline.svg.j2")


def as_html(report: Report) -> str:
    """Draw a report.

    Everything in it is escaped. Its Content-Security-Policy allows its one style sheet by hash, and nothing else.

    Args:
        report: Without secrets; see ``findings.scrubbed``.
    """
    style = _file("report.css")
    digest = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
    whats = {each.key: f"{each.lane.value}: {each.what}" for step in report.steps for each in step.happenings}
    return (
        _environment()
        .get_template("report.html.j2")
        .render(
            report=report,
            style=Markup(style),  # noqa: S704  # a file of ours, which names nothing of the run
            style_hash=f"sha256-{digest}",
            sheets=(WIDE, NARROW),
            laid_out=laid_out,
            clock=clock,
            whats=whats,
        )
    )


@functools.cache
def _environment() -> Environment:
    return Environment(
        loader=DictLoader({name: _file(name) for name in _TEMPLATES}),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )


def _file(name: str) -> str:
    return (resources.files("sandbox.report") / "templates" / name).read_text()
