from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml

from sandbox.components.base import Context
from sandbox.components.embedded.kwok import Kwok

FOLDERS = ("node/fast", "node/heartbeat-with-lease", "pod/fast", "volume/fast")
CEL = "self.spec.storageClassName == 'kwok-volume' && self.x == 'other'"


def stage(name: str, *expressions: dict[str, Any]) -> dict[str, Any]:
    return {"kind": "Stage", "metadata": {"name": name}, "spec": {"selector": {"matchExpressions": [*expressions]}}}


def put(context: Context, folder: str, file: str, *documents: dict[str, Any] | None) -> None:
    path: Path = context.tools["kwok"].file("stage") / folder / file
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(yaml.safe_dump_all(documents))


def written(context: Context) -> list[dict[str, Any]]:
    Kwok().prepare(context)
    return list(yaml.safe_load_all((context.folder / "run/kwok/stages.yaml").read_text()))


def test_upstreams_storage_class_is_replaced_by_the_one_that_users_name(context: Context) -> None:
    put(context, "volume/fast", "claim.yaml", stage("claim", {"cel": {"expression": CEL}}, {"key": ".a"}))
    claim = next(document for document in written(context) if document["metadata"]["name"] == "claim")
    assert claim["spec"]["selector"]["matchExpressions"] == [
        {"cel": {"expression": "self.spec.storageClassName == 'standard' && self.x == 'other'"}},
        {"key": ".a"},
    ]


def test_only_stages_of_the_folders_in_use_are_played_and_our_own(context: Context) -> None:
    for folder in FOLDERS:
        put(context, folder, "one.yaml", stage(folder), None, {"kind": "Kustomization"})
    put(context, "pod/chaos", "one.yaml", stage("chaos"))
    documents = written(context)
    assert {document["kind"] for document in documents} == {"Stage"}
    assert [document["metadata"]["name"] for document in documents] == [
        *FOLDERS,
        "service-load-balancer",
        "ingress-address",
    ]


def test_a_stage_without_expressions_is_left_as_it_is(context: Context) -> None:
    put(context, "pod/fast", "one.yaml", {"kind": "Stage", "metadata": {"name": "a"}, "spec": {"selector": {}}})
    assert written(context)[0]["spec"] == {"selector": {}}
