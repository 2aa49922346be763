"""What a cluster has before its Applications come: definitions, namespaces and Secrets that the user gives."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import requests
import yaml

from sandbox.core.conditions import Deadline, Observation, met, pending, wait_for
from sandbox.core.errors import UnavailableError, UsageError
from sandbox.gitops.manifests import render
from sandbox.kube.api import KubeApi

__all__ = ["CRD", "applied", "loaded"]

CRD = "CustomResourceDefinition"
_CRD_API = "apiextensions.k8s.io/v1"
_SECONDS = 30.0
_MOST_BYTES = 64 * 2**20
_NEEDED = {"apiVersion", "kind", "metadata"}


def loaded(given: str, kustomize: Path) -> list[dict[str, Any]]:
    """Read manifests: a file, a folder (as Kustomize renders it, or all its YAML files), or an address.

    Raises:
        UsageError: It is none of these, or holds no manifests.
        UnavailableError: It can't be fetched or rendered.
    """
    path = Path(given).expanduser()
    try:
        if given.startswith(("https://", "http://")):
            texts = [_fetched(given)]
        elif path.is_dir() and any((path / name).exists() for name in ("kustomization.yaml", "kustomization.yml")):
            return render(kustomize, path.resolve())
        elif path.is_dir():
            texts = [each.read_text() for each in sorted(path.rglob("*")) if each.suffix in (".yaml", ".yml", ".json")]
        else:
            texts = [path.read_text()]
        found = [each for text in texts for each in yaml.load_all(text, Loader=yaml.CSafeLoader) if each]
    except OSError as error:
        raise UsageError(f"can't read {given}", why=error.strerror or str(error)) from error
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise UsageError(f"{given} is no YAML", why=str(error)) from error
    if not found or not all(isinstance(each, dict) and each.keys() >= _NEEDED for each in found):
        raise UsageError(f"{given} holds no manifests", why="each needs apiVersion, kind and metadata")
    return found


def _fetched(address: str) -> str:
    try:
        answer = requests.get(address, timeout=_SECONDS)
        answer.raise_for_status()
    except requests.RequestException as error:
        raise UnavailableError(
            f"can't fetch {address}", why=str(error), hint="fetch it by hand and give the file"
        ) from error
    if len(answer.content) > _MOST_BYTES:
        raise UsageError(f"{address} is larger than {_MOST_BYTES >> 20} MiB")
    return answer.text


def applied(api: KubeApi, manifests: Iterable[dict[str, Any]]) -> list[str]:
    """Apply manifests: definitions first, then namespaces, then the rest in their order.

    Returns:
        What was applied, as people say it.

    Raises:
        KubeError: The API server refuses one.
        DeadlineError: A definition is not served in time.
    """
    rest = list(manifests)
    definitions = [each for each in rest if each["kind"] == CRD]
    for each in definitions:
        api.apply(each)
    for each in definitions:
        _wait_established(api, each["metadata"]["name"])
    others = [each for each in rest if each["kind"] != CRD]
    for namespace in sorted({*_namespaces(others)}):
        api.apply({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": namespace}})
    for each in others:
        if each["kind"] != "Namespace" and api.resource(each["apiVersion"], each["kind"]).namespaced:
            each["metadata"].setdefault("namespace", "default")
        api.apply(each)
    return [f"{each['kind']} {each['metadata']['name']}" for each in [*definitions, *others]]


def _namespaces(manifests: Iterable[dict[str, Any]]) -> Iterator[str]:
    for each in manifests:
        if each["metadata"].get("namespace"):
            yield each["metadata"]["namespace"]


def _wait_established(api: KubeApi, name: str) -> None:
    def look() -> Observation:
        found = api.get(_CRD_API, CRD, name) or {}
        said = {each["type"]: each for each in found.get("status", {}).get("conditions") or ()}
        if said.get("Established", {}).get("status") == "True":
            return met("established")
        refused = said.get("NamesAccepted", {})
        return pending(str(refused.get("message") or "not established yet"))

    wait_for(look, Deadline.after(_SECONDS), wanted=f"the definition {name} to be served")
