"""What pods refer to and nobody creates: a kubelet would wait for it, and played nodes would not notice."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from sandbox.gitops.own.findings import Level
from sandbox.kube.api import KubeApi

__all__ = ["Lack", "lacking", "pod_specs", "unpinned_images"]

_TEMPLATES: Mapping[str, tuple[str, ...]] = {
    "Pod": ("spec",),
    "Deployment": ("spec", "template", "spec"),
    "StatefulSet": ("spec", "template", "spec"),
    "DaemonSet": ("spec", "template", "spec"),
    "ReplicaSet": ("spec", "template", "spec"),
    "Job": ("spec", "template", "spec"),
    "CronJob": ("spec", "jobTemplate", "spec", "template", "spec"),
    "Rollout": ("spec", "template", "spec"),
}
_CONTAINERS = ("initContainers", "containers", "ephemeralContainers")
# Made by the control plane in every namespace.
_ALWAYS_THERE = {("ConfigMap", "kube-root-ca.crt"), ("ServiceAccount", "default")}

Json = Mapping[str, Any]


class Lack(NamedTuple):
    """Something that is referred to and not there.

    Attributes:
        level: How much it weighs.
        thing: Who refers to it.
        what: What is missing.
        why: What comes of it.
        hint: What to do.
    """

    level: Level
    thing: str
    what: str
    why: str
    hint: str


class _Reference(NamedTuple):
    kind: str
    name: str
    key: str = ""


def pod_specs(manifests: Iterable[Json]) -> Iterator[tuple[Json, Json]]:
    """Give each object that makes pods, with the pod's spec."""
    for manifest in manifests:
        spec: Any = manifest
        for part in _TEMPLATES.get(manifest["kind"], ("nothing",)):
            spec = (spec or {}).get(part)
        if isinstance(spec, Mapping):
            yield manifest, spec


def lacking(api: KubeApi, manifests: Sequence[Json], namespace: str) -> Iterator[Lack]:
    """Find what the pods of an Application refer to and the cluster does not have.

    Args:
        api: The cluster, after the Application was synced.
        manifests: Its objects.
        namespace: Where those that name none are.
    """
    makers = _makers(manifests)
    for manifest, spec in pod_specs(manifests):
        where = str(manifest["metadata"].get("namespace") or namespace)
        thing = f"{manifest['kind']} {manifest['metadata']['name']}"
        for wanted in sorted(set(_references(spec))):
            if (wanted.kind, wanted.name) in _ALWAYS_THERE:
                continue
            found = api.get("v1", wanted.kind, wanted.name, where)
            if found is None:
                yield _missing(thing, wanted, where, makers.get(wanted.name, ""))
            elif wanted.key and not any(wanted.key in (found.get(part) or {}) for part in ("data", "binaryData")):
                yield _without_key(thing, wanted, where)
    yield from _unclaimed(api, manifests)


def _references(spec: Json) -> Iterator[_Reference]:
    if account := spec.get("serviceAccountName"):
        yield _Reference("ServiceAccount", str(account))
    for volume in spec.get("volumes") or ():
        yield from _of_volume(volume)
        for part in (volume.get("projected") or {}).get("sources") or ():
            yield from _of_volume(part)
    for container in (each for key in _CONTAINERS for each in spec.get(key) or ()):
        for entry in container.get("envFrom") or ():
            for field, kind in (("secretRef", "Secret"), ("configMapRef", "ConfigMap")):
                yield from _named(entry.get(field), kind)
        for entry in container.get("env") or ():
            source = entry.get("valueFrom") or {}
            for field, kind in (("secretKeyRef", "Secret"), ("configMapKeyRef", "ConfigMap")):
                yield from _named(source.get(field), kind)


def _of_volume(volume: Json) -> Iterator[_Reference]:
    secret = volume.get("secret") or {}
    if not secret.get("optional"):
        name = secret.get("secretName") or secret.get("name")
        yield from [_Reference("Secret", str(name))] if name else []
    yield from _named(volume.get("configMap"), "ConfigMap")
    claim = volume.get("persistentVolumeClaim") or {}
    if claim.get("claimName"):
        yield _Reference("PersistentVolumeClaim", str(claim["claimName"]))


def _named(entry: Any, kind: str) -> Iterator[_Reference]:
    if isinstance(entry, Mapping) and entry.get("name") and not entry.get("optional"):
        yield _Reference(kind, str(entry["name"]), str(entry.get("key") or ""))


def _makers(manifests: Sequence[Json]) -> dict[str, str]:
    """Say which object of another kind is to make a Secret of some name: a SealedSecret, an ExternalSecret."""
    found = {}
    for manifest in manifests:
        if "Secret" in manifest["kind"] and manifest["kind"] != "Secret":
            name = manifest["metadata"]["name"]
            spec = manifest.get("spec") if isinstance(manifest.get("spec"), Mapping) else {}
            target = (spec or {}).get("target")
            made = target.get("name", name) if isinstance(target, Mapping) else name
            found[str(made)] = f"{manifest['kind']} {name}"
    return found


def _missing(thing: str, wanted: _Reference, namespace: str, maker: str) -> Lack:
    if maker:
        return Lack(
            Level.WARNING,
            thing,
            f"{wanted.kind} {wanted.name} is to be made by {maker}, whose controller the sandbox does not have",
            "pods can't start before it is there",
            f"give one for the check: --given FILE with {wanted.kind} {wanted.name} in namespace {namespace}",
        )
    return Lack(
        Level.ERROR,
        thing,
        f"there is no {wanted.kind} {wanted.name} in namespace {namespace}, and nothing in Git makes it",
        "pods can't start without it",
        f"put it (sealed or external, if it is secret) into Git, or if your clusters have it already: --given FILE"
        f" with {wanted.kind} {wanted.name}",
    )


def _without_key(thing: str, wanted: _Reference, namespace: str) -> Lack:
    return Lack(
        Level.ERROR,
        thing,
        f"{wanted.kind} {wanted.name} in namespace {namespace} has no key {wanted.key}",
        "pods can't start without it",
        "mend the key's name on one of both sides",
    )


def _unclaimed(api: KubeApi, manifests: Sequence[Json]) -> Iterator[Lack]:
    """Find claims for a storage class that is not there."""
    claims = [each for each in manifests if each["kind"] == "PersistentVolumeClaim"]
    claims += [
        {**claim, "kind": f"volume claim of StatefulSet {each['metadata']['name']}:"}
        for each in manifests
        if each["kind"] == "StatefulSet"
        for claim in (each.get("spec") or {}).get("volumeClaimTemplates") or ()
    ]
    for claim in claims:
        name = (claim.get("spec") or {}).get("storageClassName")
        if name and api.get("storage.k8s.io/v1", "StorageClass", name) is None:
            yield Lack(
                Level.WARNING,
                f"{claim['kind']} {claim['metadata']['name']}",
                f"the sandbox has no storage class {name}",
                "the claim stays pending here",
                "if your clusters have it: --given FILE with the StorageClass",
            )


def unpinned_images(manifests: Iterable[Json]) -> Iterator[tuple[str, str]]:
    """Give who names an image that may be another one tomorrow: by ``latest``, or by no tag at all."""
    for manifest, spec in pod_specs(manifests):
        for container in (each for key in _CONTAINERS for each in spec.get(key) or ()):
            image = str(container.get("image") or "")
            tag = image.rpartition("/")[2].partition(":")[2]
            if "@" not in image and tag in ("", "latest"):
                yield f"{manifest['kind']} {manifest['metadata']['name']}", image
