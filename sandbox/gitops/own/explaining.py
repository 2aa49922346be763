"""From the words of Argo CD, Kustomize, Helm and the API server to what is wrong and what to do about it."""

from __future__ import annotations

import functools
import re
from importlib import resources
from typing import NamedTuple

import yaml

__all__ = ["Explanation", "cleaned", "explained"]

# What the repo-server puts before the words that matter (reposerver/repository, gRPC's own marks).
_WRAPPING = re.compile(
    r"^(?:Failed to load target state: |Failed to load live state: |failed to generate manifest for source \d+ of \d+: "
    r"|rpc error: code = \w+ desc = |Manifest generation error \(cached\): |failed to generate manifests?: "
    r"|error generating manifests?: )+"
)
# Where its checkouts are.
_PLACES = re.compile(r"<path to cached source>/?|/\S*?/_argocd-repo/[0-9a-f-]{36}/?")
_LONGEST = 700


class Explanation(NamedTuple):
    """What a message means.

    Attributes:
        what: What is wrong.
        hint: What to do.
    """

    what: str
    hint: str


class _Known(NamedTuple):
    words: re.Pattern[str]
    what: str
    hint: str


@functools.cache
def _known() -> list[_Known]:
    text = (resources.files("sandbox.gitops.own") / "explanations.yaml").read_text()
    entries = yaml.safe_load(text)
    return [_Known(re.compile(each["words"], re.IGNORECASE), each["what"], each["next"]) for each in entries]


def cleaned(message: str) -> str:
    """Give a message without what wraps it, and without the folders of the repo-server."""
    text = _PLACES.sub("", _WRAPPING.sub("", " ".join(message.split())))
    return text if len(text) <= _LONGEST else f"{text[: _LONGEST // 2]} … {text[-_LONGEST // 2 :]}"


def explained(message: str, otherwise: Explanation) -> Explanation:
    """Give what a message means.

    Args:
        message: The words of whoever refused.
        otherwise: What is said where they are not known.
    """
    text = cleaned(message)
    for known in _known():
        if found := known.words.search(text):
            return Explanation(found.expand(known.what), found.expand(known.hint))
    return otherwise
