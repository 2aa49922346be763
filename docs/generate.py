"""The reference: pages made from docstrings and from the command line's own help."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import griffe
from griffe2md import ConfigDict, default_config, render_object_docs
from invoke.collection import Collection
from invoke.parser.context import ParserContext

__all__ = ["PAGES", "commands", "stories", "write"]

FOLDER = Path(__file__).parent / "reference"
PACKAGE = "sandbox"

_CHAPTERS = {
    "A story, its steps and its sabotages": ("story.story", "story.step", "story.Sabotage"),
    "Blocks": ("telling.given", "telling.when", "telling.then"),
    "Demands": ("telling.eventually", "telling.consistently", "telling.expect", "telling.evidence"),
    "The world": ("world.World", "cluster.Cluster"),
    "Repositories": ("repositories.SourceRepo", "repositories.EnvironmentRepo"),
    "CI and the registry": ("pipeline.Pipeline", "registry.RegistryView"),
    "What is deployed": ("application.Application", "traffic.Service", "traffic.Traffic"),
}
"""What a story speaks of, in the order in which it meets it; all below ``sandbox.gitops``."""

# The names of types link to headings that only a page of every module would have.
_WITHIN = re.compile(r"\[([^]\[]*)\]\(#[^)]*\)")

_SHOWN = ConfigDict(
    **{
        **default_config,
        "members_order": "source",
        "show_if_no_docstring": False,
        "show_object_full_path": False,
        "show_root_members_full_path": False,
        "show_root_full_path": False,
        "show_signature_annotations": True,
        "line_length": 110,
        "signature_crossrefs": False,
        "summary": False,
        "inherited_members": False,
        "show_bases": False,
        "filters": ["!^_"],
        "heading_level": 3,
    }
)


def stories() -> str:
    """Give the page of the language that stories are told in, made from its docstrings."""
    loader = griffe.GriffeLoader(search_paths=[str(Path(__file__).parents[1])], docstring_parser=griffe.Parser.google)
    package = loader.load(PACKAGE)
    loader.resolve_aliases()
    parts = ["# The language of stories\n\nMade from the docstrings by `./inv docs`; change it there.\n"]
    for chapter, names in _CHAPTERS.items():
        parts.append(f"## {chapter}\n")
        parts += [f"{render_object_docs(package[f'gitops.{name}'], _SHOWN).strip()}\n" for name in names]
    return _WITHIN.sub(r"\1", "\n".join(parts)).replace("<code>", "`").replace("</code>", "`")


def commands(verbs: Collection) -> str:
    """Give the page of the command line.

    Args:
        verbs: The product's verbs.
    """
    head = "# Commands\n\nMade from the command line's own help by `./inv docs`; change it there.\n"
    return "\n".join([head, *(_command(verbs, name) for name in sorted(verbs.task_names))])


def _command(verbs: Collection, name: str) -> str:
    task = verbs[name]
    parser = ParserContext(name, args=task.get_arguments())
    flags = "\n".join(f"| `{flag.strip()}` | {meaning} |" for flag, meaning in parser.help_tuples())
    lines = [line.strip() for line in (task.__doc__ or "").strip().splitlines()]
    return "\n".join([f"## `{name}`\n", *lines, "", "| option | meaning |", "|---|---|", flags, ""])


PAGES: dict[str, Callable[[Collection], str]] = {"commands.md": commands, "stories.md": lambda _: stories()}
"""Each page of the reference, and what makes it of the product's verbs."""


def write(verbs: Collection) -> list[Path]:
    """Write every page; return where they are."""
    FOLDER.mkdir(exist_ok=True)
    written = []
    for name, make in PAGES.items():
        path = FOLDER / name
        path.write_text(make(verbs))
        written.append(path)
    return written
