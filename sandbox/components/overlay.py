"""Official manifests through a Kustomize overlay of ours."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import yaml

from sandbox.components.base import Context
from sandbox.components.kept_manifests import kept
from sandbox.core.commands import run
from sandbox.core.files import digest, writing_errors

__all__ = ["rendered"]

_FOLDER = Path(__file__).parent / "manifests"
_SECONDS = 30.0


def rendered(
    context: Context, overlay: str, official: Path, edits: Iterable[Sequence[str]] = ()
) -> list[dict[str, Any]]:
    """Give what an overlay makes of an official manifest.

    Args:
        context: The sandbox; its folder is used for a moment.
        overlay: Which one, as a path below ``manifests``: "flannel", "argocd/plain". Files beside it, in the folder
            above, are what `kustomize edit` may add to it.
        official: The publisher's manifest; the overlay names it as a resource by its file's name.
        edits: What `kustomize edit` changes in the overlay first: its arguments.

    Raises:
        UnavailableError: Kustomize refuses it; carries its words.
    """
    kustomize = context.tools["kustomize"]
    top = _FOLDER / overlay.partition("/")[0]
    words = [list(each) for each in edits]
    own = {str(path.relative_to(top)): path.read_text() for path in sorted(top.rglob("*.yaml"))}
    goes_in = ["rendered", kustomize.version, overlay, own, official.name, digest(official), words]
    return kept(goes_in, lambda: _rendered(context.folder, kustomize.binary(), overlay, official, words))


def _rendered(
    scratch: Path, kustomize: Path, overlay: str, official: Path, edits: Iterable[Sequence[str]]
) -> list[dict[str, Any]]:
    top = overlay.partition("/")[0]
    with tempfile.TemporaryDirectory(dir=scratch) as name:
        folder = Path(name, overlay)
        with writing_errors(folder):
            # Kustomize reads no file that is outside of the overlay's own folder, and writes into that.
            shutil.copytree(_FOLDER / top, Path(name, top))
            for path in [official, *folder.parent.glob("*.yaml")]:
                shutil.copy(path, folder)
        for words in edits:
            run([kustomize, "edit", *words], timeout=_SECONDS, cwd=folder)
        text = run([kustomize, "build", folder], timeout=_SECONDS)
    return list(yaml.load_all(text, Loader=yaml.CSafeLoader))
