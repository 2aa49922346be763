"""The proof that what lives is what was rendered, whatever rendered it and whatever Argo CD says of it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Any

from sandbox.gitops.manifests import Key, difference, key_of, with_namespace
from sandbox.kube.api import KubeApi, KubeError

__all__ = ["Difference", "differences", "is_hook", "placed"]

_HOOKS = ("argocd.argoproj.io/hook", "helm.sh/hook")
# Of other versions of the same object, what the server writes itself.
_BOOKKEEPING = ("managedFields", "resourceVersion", "generation", "uid", "creationTimestamp", "selfLink")
_MANAGER = "argocd-controller"

Json = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Difference:
    """One object that does not live as it was rendered.

    Attributes:
        key: The object.
        said: How it differs.
    """

    key: Key
    said: str


def is_hook(manifest: Mapping[str, Any]) -> bool:
    """Whether an object is run at a sync instead of being kept."""
    annotations = manifest["metadata"].get("annotations") or {}
    return any(hook in annotations for hook in _HOOKS)


def placed(api: KubeApi, manifests: list[Json], namespace: str) -> list[Json]:
    """Give what is kept, hooks left out, each object in the namespace that it goes to."""
    kept = [each for each in manifests if not is_hook(each)]
    cluster_kinds = {each["kind"] for each in kept if not _is_namespaced(api, each)}
    with_namespace(kept, namespace, cluster_kinds)
    return kept


def _is_namespaced(api: KubeApi, manifest: Json) -> bool:
    try:
        return api.resource(manifest["apiVersion"], manifest["kind"]).namespaced
    except KubeError:
        # A kind that is not served: the sync has said so.
        return True


def differences(api: KubeApi, kept: list[Json], application: Mapping[str, Any]) -> Iterator[Difference]:
    """Compare objects with what lives.

    Args:
        api: The cluster.
        kept: What was rendered, as ``placed`` gives it; the values of Secrets are hidden, so only their keys count.
        application: The Application: its ``ignoreDifferences`` name what may differ where Argo CD agrees.
    """
    live = _live(api, kept)
    for manifest in kept:
        key = key_of(manifest)
        if key not in live:
            yield Difference(key, "does not exist")
            continue
        said = difference(_comparable(manifest), live[key])
        if said and not _may_differ(application, key) and not _says_the_same(api, manifest, live[key]):
            yield Difference(key, said)


def _live(api: KubeApi, kept: list[Json]) -> dict[Key, Json]:
    """Give what lives of these kinds, by one request for each kind and namespace."""
    places = dict.fromkeys((each["apiVersion"], each["kind"], each["metadata"].get("namespace")) for each in kept)
    found: dict[Key, Json] = {}
    for api_version, kind, namespace in places:
        try:
            items = api.list(api_version, kind, namespace)
        except KubeError as error:
            if error.status != 404:  # noqa: PLR2004  # a kind that is not served has no objects
                raise
            items = []
        found |= {key_of(item): item for item in items}
    return found


def _comparable(manifest: Json) -> Json:
    if manifest["kind"] != "Secret":
        return manifest
    return {key: value for key, value in manifest.items() if key not in ("data", "stringData")}


def _may_differ(application: Mapping[str, Any], key: Key) -> bool:
    group = key.api_version.rpartition("/")[0]
    rules = application["spec"].get("ignoreDifferences") or ()
    named = any(
        fnmatchcase(group, rule.get("group") or "")
        and fnmatchcase(key.kind, rule.get("kind") or "*")
        and rule.get("name", key.name) in ("", key.name)
        and rule.get("namespace", key.namespace) in ("", key.namespace)
        for rule in rules
    )
    told = application.get("status", {}).get("resources") or ()
    return named and any(
        each["kind"] == key.kind and each["name"] == key.name and each.get("status") == "Synced" for each in told
    )


def _says_the_same(api: KubeApi, manifest: Json, live: Json) -> bool:
    """Whether applying it would change nothing: the server knows defaults and spellings that no comparison does."""
    if manifest["kind"] == "Secret":
        return False
    try:
        would_be = api.apply(manifest, manager=_MANAGER, dry_run=True)
    except KubeError:
        return False
    return _substance(would_be) == _substance(live)


def _substance(item: Mapping[str, Any]) -> Json:
    metadata = {key: value for key, value in item["metadata"].items() if key not in _BOOKKEEPING}
    return {**{key: value for key, value in item.items() if key != "status"}, "metadata": metadata}
