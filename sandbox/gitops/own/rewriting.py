"""Having a repository's own manifests name its mirror: the one thing that is changed in it, and nothing beside.

A text is edited at the place where the address stands, so that comments and layout stay. What counts as such a place:

- the value of a key ``repoURL`` anywhere, also in Helm templates, patches and values that are no YAML by themselves;
- in an Application, ApplicationSet or AppProject, every value that is nothing but the address;
- in an AppProject's ``sourceRepos``, a pattern that allows or denies the address: the mirror is put behind it;
- in the values of a chart whose templates take their ``repoURL`` from there, every value that is the address;
- the ``url`` of a submodule.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from fnmatch import fnmatchcase
from typing import NamedTuple

import yaml

from sandbox.gitops.own.addresses import place_of

__all__ = ["ARGO_KINDS", "rewritten", "takes_address_from_values"]

ARGO_KINDS = ("Application", "ApplicationSet", "AppProject")
_KEY = re.compile(
    r"""(?<![\w.-])repoURL["']?[ \t]*[:=][ \t]*(?:&[\w-]+[ \t]+)?"""
    r"""(["']?)(?P<address>[^\s"',}\]#{]+)\1(?=[\s,}\]#"']|$)""",
    re.MULTILINE,
)
# A JSON patch (RFC 6902) that sets it.
_PATCHED = re.compile(
    r"""path:[ \t]*["']?/\S*repoURL["']?[ \t]*\n[ \t]*value:[ \t]*(["']?)(?P<address>[^\s"'#{]+)\1(?=[\s#"']|$)""",
    re.MULTILINE,
)
_SUBMODULE = re.compile(r"^[ \t]*url[ \t]*=[ \t]*(?P<address>\S+)[ \t]*$", re.MULTILINE)
_TEMPLATED = re.compile(r"repoURL:[ \t]*[\"']?\{\{")
_COMMENT = re.compile(r"[ \t]*#")


class _Edit(NamedTuple):
    """Replace ``text[begin:end]``."""

    begin: int
    end: int
    new: str


def takes_address_from_values(template: str) -> bool:
    """Whether a Helm template makes an Application whose ``repoURL`` is a value."""
    return _TEMPLATED.search(template) is not None


def rewritten(text: str, mirrors: Mapping[str, str], *, path: str = "", values: bool = False) -> str:
    """Give a file's text with the mirror's address where it names a mirrored repository.

    Args:
        text: The file's content.
        mirrors: The address of each mirror by the place of the repository (``addresses.place_of``); that of a
            submodule also by its relative address.
        path: The file's path.
        values: Whether it holds the values of a chart that takes addresses from them.
    """
    patterns = [_SUBMODULE] if path.endswith(".gitmodules") else [_KEY, _PATCHED]
    edits = {edit for pattern in patterns for edit in _keyed(text, pattern, mirrors)}
    if path.endswith((".yaml", ".yml", ".json")):
        edits |= set(_structured(text, mirrors, values=values))
    for edit in sorted(edits, reverse=True):
        text = text[: edit.begin] + edit.new + text[edit.end :]
    return text


def _keyed(text: str, pattern: re.Pattern[str], mirrors: Mapping[str, str]) -> Iterator[_Edit]:
    for found in pattern.finditer(text):
        line = text.rfind("\n", 0, found.start("address")) + 1
        # A submodule may be named by a relative address, which is no place by itself.
        new = mirrors.get(place_of(found["address"]) or found["address"])
        if new and not _COMMENT.match(text, line):
            yield _Edit(*found.span("address"), new)


def _structured(text: str, mirrors: Mapping[str, str], *, values: bool) -> Iterator[_Edit]:
    try:
        documents = list(yaml.compose_all(text, Loader=yaml.CSafeLoader))
    except yaml.YAMLError:
        # A template, or broken: what is wrong with it the renderer says.
        return
    for document in documents:
        fields = _fields(document)
        kind, api = _text(fields.get("kind")), _text(fields.get("apiVersion"))
        if api.startswith("argoproj.io/") and kind in ARGO_KINDS:
            spec = fields.get("spec")
            yield from _whole(text, spec, mirrors)
            yield from _allowed(text, _fields(spec).get("sourceRepos"), mirrors)
        elif values:
            yield from _whole(text, document, mirrors)


def _whole(text: str, node: yaml.Node | None, mirrors: Mapping[str, str]) -> Iterator[_Edit]:
    """Find the scalars below a node that are an address and nothing else."""
    if isinstance(node, yaml.ScalarNode):
        if new := mirrors.get(place_of(node.value)):
            begin = text.find(node.value, node.start_mark.index, node.end_mark.index)
            if begin >= 0:
                yield _Edit(begin, begin + len(node.value), new)
    elif isinstance(node, yaml.SequenceNode):
        for item in node.value:
            yield from _whole(text, item, mirrors)
    elif isinstance(node, yaml.MappingNode):
        for _, value in node.value:
            yield from _whole(text, value, mirrors)


def _allowed(text: str, node: yaml.Node | None, mirrors: Mapping[str, str]) -> Iterator[_Edit]:
    """Put a mirror behind each pattern that speaks of its repository (``!`` denies; AppProject, ``sourceRepos``)."""
    if not isinstance(node, yaml.SequenceNode):
        return
    for item in node.value:
        denial = "!" if _text(item).startswith("!") else ""
        pattern = _text(item).removeprefix("!")
        exact = not denial and place_of(pattern) in mirrors
        if exact or pattern == "*" or not pattern:
            continue
        for place, mirror in mirrors.items():
            if _speaks_of(pattern, place):
                line = text[text.rfind("\n", 0, item.start_mark.index) + 1 : item.start_mark.index]
                between = ", " if node.flow_style else f"\n{line}"
                yield _Edit(item.end_mark.index, item.end_mark.index, f"{between}'{denial}{mirror}'")


def _speaks_of(pattern: str, place: str) -> bool:
    # The same marks as an address has are taken off a pattern; its stars stay.
    shape = place_of(pattern)
    return bool(shape) and fnmatchcase(place, shape)


def _fields(node: yaml.Node | None) -> dict[str, yaml.Node]:
    return {_text(key): value for key, value in node.value} if isinstance(node, yaml.MappingNode) else {}


def _text(node: yaml.Node | None) -> str:
    return str(node.value) if isinstance(node, yaml.ScalarNode) else ""
