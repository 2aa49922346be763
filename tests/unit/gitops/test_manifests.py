from __future__ import annotations

import base64
import copy
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sandbox.core.errors import UnavailableError
from sandbox.gitops.manifests import Key, difference, key_of, render, with_namespace

# Nothing of these is a field whose values the API server rewrites.
MAPS = ["labels", "nodeSelector"]
NAMES = st.sampled_from(["a", "b", "c", "d.e/f", "g h", *MAPS])
LEAVES = st.integers() | st.booleans() | st.text(min_size=1) | st.floats(allow_nan=False, allow_infinity=False)
OBJECTS = st.recursive(
    LEAVES | st.none() | st.just(""),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(NAMES, inner, max_size=3),
    max_leaves=12,
)
MANIFESTS = st.dictionaries(NAMES, OBJECTS, min_size=1, max_size=4).map(lambda spec: {"kind": "A", "spec": spec})


def with_defaults(said: Any) -> Any:
    """Add what an API server adds: fields that were not said, at every depth."""
    if isinstance(said, dict):
        return {**{key: with_defaults(value) for key, value in said.items()}, "defaulted": {"by": ["the server"]}}
    return [with_defaults(item) for item in said] if isinstance(said, list) else said


def without_empty(said: Any) -> Any:
    """Drop what an API server drops: fields with nothing in them, but of mappings only those that it keeps as maps."""
    if isinstance(said, dict):
        inner = {key: without_empty(value) for key, value in said.items()}
        return {
            key: value
            for key, value in inner.items()
            if value not in (None, "", []) and not (key in MAPS and value == {})
        }
    return [without_empty(item) for item in said] if isinstance(said, list) else said


def mappings(said: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Give the path of every mapping that was said and is no map of the API server's, the object itself left out."""
    if isinstance(said, dict):
        if path and path[-1] not in MAPS:
            yield path
        for key, value in said.items():
            yield from mappings(value, (*path, key))
    elif isinstance(said, list):
        for index, value in enumerate(said):
            yield from mappings(value, (*path, index))


def places(said: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Give the path of everything that was said and is not empty."""
    if isinstance(said, dict):
        for key, value in said.items():
            yield from places(value, (*path, key))
    elif isinstance(said, list):
        for index, value in enumerate(said):
            yield from places(value, (*path, index))
    elif said is not None and said != "":
        yield path


def changed(said: Any, path: tuple[Any, ...], value: Any) -> Any:
    changed = copy.deepcopy(said)
    inner = changed
    for step in path[:-1]:
        inner = inner[step]
    inner[path[-1]] = value
    return changed


@given(MANIFESTS)
def test_an_object_equals_itself_with_whatever_the_server_added(said: dict[str, Any]) -> None:
    assert difference(said, said) is None
    assert difference(said, with_defaults(said)) is None


@given(MANIFESTS)
def test_what_the_server_drops_because_it_is_empty_is_no_difference(said: dict[str, Any]) -> None:
    assert difference(said, without_empty(said)) is None


@given(MANIFESTS, st.data())
def test_a_mapping_that_is_missing_is_found_even_where_it_is_empty(said: dict[str, Any], data: st.DataObject) -> None:
    path = data.draw(st.sampled_from(list(mappings(said))))
    assert difference(said, with_defaults(changed(said, path, None))) is not None


@given(MANIFESTS, LEAVES, st.data())
def test_any_change_of_what_was_said_is_found(said: dict[str, Any], value: Any, data: st.DataObject) -> None:
    path = data.draw(st.sampled_from(list(places(said))))
    before = said
    for step in path:
        before = before[step]
    if type(before) is type(value) and before == value:
        value = f"not {value}"
    assert difference(said, with_defaults(changed(said, path, value))) is not None


@given(MANIFESTS, st.data())
def test_a_field_that_is_missing_is_found(said: dict[str, Any], data: st.DataObject) -> None:
    path = data.draw(st.sampled_from(list(places(said))))
    value: Any = said
    for step in path:
        value = value[step]
    # A zero or false that the server leaves out means the same as one that it writes.
    assert (difference(said, changed(said, path, None)) is None) == (not value)


@pytest.mark.parametrize(
    ("path", "said", "lives"),
    [
        ("requests.cpu", "1000m", "1"),
        ("requests.cpu", 1, "1"),
        ("limits.memory", "1024Mi", "1Gi"),
        ("limits.nvidia.com/gpu", 1, "1"),
        ("hard.count/deployments.apps", 5, "5"),
        ("hard.requests.cpu", "2000m", "2"),
        ("sizeLimit", "1024Ki", "1Mi"),
        ("capacity.storage", "0.5Gi", "512Mi"),
    ],
)
def test_a_quantity_that_the_server_wrote_otherwise_is_the_same(path: str, said: Any, lives: Any) -> None:
    parent, _, name = path.partition(".")

    def holding(value: Any) -> dict[str, Any]:
        return {"kind": "A", "spec": {"resources": {parent: {name: value}} if name else {parent: value}}}

    assert difference(holding(said), holding(lives)) is None
    assert difference(holding(said), holding("3")) is not None
    assert difference(holding(said), holding("lots")) is not None


def test_only_quantities_are_read_as_such() -> None:
    for key in ("requests", "max", "sizeLimit", "cpu"):
        found = difference({"kind": "ConfigMap", "data": {key: "1000m"}}, {"kind": "ConfigMap", "data": {key: "1"}})
        assert found == f"data.{key} is '1', the commit says '1000m'"
    label = {"metadata": {"labels": {"limits": "1.0"}}}
    assert difference(label, {"metadata": {"labels": {"limits": "1"}}}) is not None


def test_a_secret_is_compared_as_the_server_keeps_it() -> None:
    encoded = base64.b64encode("pässword".encode()).decode()
    said = {"kind": "Secret", "stringData": {"a": "pässword"}, "data": {"b": "Yg=="}}
    assert difference(said, {"kind": "Secret", "data": {"a": encoded, "b": "Yg=="}}) is None
    found = difference(said, {"kind": "Secret", "data": {"a": "Yg==", "b": "Yg=="}})
    assert found == f"data.a is 'Yg==', the commit says {encoded!r}"
    assert difference({"kind": "Secret", "stringData": None, "data": None}, {"kind": "Secret"}) is None
    assert difference({"kind": "Secret", "stringData": {"a": "a"}, "data": None}, {"kind": "Secret"}) is not None


def test_lists_of_another_length_differ_and_say_so() -> None:
    said = {"spec": {"containers": [{"name": "a"}, {"name": "b"}]}}
    lives = {"spec": {"containers": [{"name": "a"}]}}
    assert difference(said, lives) == "spec.containers has 1 entries, the commit says 2"
    assert difference(lives, said) == "spec.containers has 2 entries, the commit says 1"
    assert difference(said, {"spec": {}}) is not None
    assert difference({"spec": {"list": []}}, {"spec": {"list": ["more"]}}) is not None


def test_a_difference_deep_inside_is_named_by_its_place() -> None:
    said = {"spec": {"containers": [{"env": [{"name": "A", "value": "1"}]}]}}
    lives = {"spec": {"containers": [{"env": [{"name": "A", "value": "2"}]}]}}
    assert difference(said, lives) == "spec.containers[0].env[0].value is '2', the commit says '1'"


def test_an_empty_mapping_that_says_something_must_be_there() -> None:
    pod = {"kind": "Pod", "spec": {"volumes": [{"name": "v", "emptyDir": {}}]}}
    assert difference(pod, pod) is None
    assert (
        difference(pod, {"kind": "Pod", "spec": {"volumes": [{"name": "v", "emptyDir": {"medium": "Memory"}}]}}) is None
    )
    found = difference(pod, {"kind": "Pod", "spec": {"volumes": [{"name": "v", "hostPath": {"path": "/"}}]}})
    assert found == "spec.volumes[0].emptyDir is not set, the commit says {}"
    for kind, spec in (
        ("PodDisruptionBudget", {"selector": {}}),
        ("NetworkPolicy", {"ingress": [{"from": [{"podSelector": {}}]}]}),
        ("Pod", {"affinity": {"nodeAffinity": {}}}),
    ):
        assert difference({"kind": kind, "spec": spec}, {"kind": kind, "spec": {}}) is not None


@pytest.mark.parametrize(
    ("kind", "spec"),
    [
        ("Service", {"selector": {}}),
        ("Deployment", {"strategy": {}, "template": {"metadata": {"labels": {}, "annotations": {}}}}),
        ("Pod", {"nodeSelector": {}, "securityContext": {}, "resources": {"limits": {}, "requests": {}}}),
        ("ResourceQuota", {"hard": {}}),
    ],
)
def test_an_empty_mapping_that_means_the_same_as_none_may_be_absent(kind: str, spec: dict[str, Any]) -> None:
    assert difference({"kind": kind, "spec": spec, "status": {}}, {"kind": kind, "spec": {"template": {}}}) is None


def test_a_status_in_a_commit_says_nothing() -> None:
    assert difference({"kind": "A", "status": {"replicas": 1}}, {"kind": "A", "status": {"replicas": 2}}) is None
    assert difference({"spec": {"status": 1}}, {"spec": {"status": 2}}) is not None


def test_a_field_that_a_commit_sets_to_null_is_left_to_the_server() -> None:
    # Every manifest that kubectl writes by --dry-run has this one.
    said = {"kind": "A", "metadata": {"name": "a", "creationTimestamp": None}}
    lives = {"kind": "A", "metadata": {"name": "a", "creationTimestamp": "2026-01-01T00:00:00Z"}}
    assert difference(said, lives) is None


def test_a_number_is_not_the_text_of_it() -> None:
    assert difference({"data": {"a": "1"}}, {"data": {"a": 1}}) is not None
    assert difference({"spec": {"replicas": 1}}, {"spec": {"replicas": True}}) is not None
    assert difference({"spec": {"replicas": 0}}, {"spec": {"replicas": 1}}) is not None
    assert difference({"spec": {"on": False}}, {"spec": {"on": True}}) is not None


def test_an_object_is_named_by_its_version_kind_namespace_and_name() -> None:
    manifest = {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "a", "namespace": "b"}}
    assert key_of(manifest) == Key("apps/v1", "Deployment", "b", "a")
    assert str(key_of(manifest)) == "Deployment a"
    assert key_of({"apiVersion": "v1", "kind": "Node", "metadata": {"name": "n"}}) == Key("v1", "Node", "", "n")


def test_objects_without_a_namespace_go_into_the_applications_own() -> None:
    manifests: list[dict[str, Any]] = [
        {"kind": "ConfigMap", "metadata": {"name": "a"}},
        {"kind": "ConfigMap", "metadata": {"name": "a", "namespace": "theirs"}},
        {"kind": "ClusterRole", "metadata": {"name": "a"}},
    ]
    with_namespace(manifests, "own", {"ClusterRole"})
    assert [manifest["metadata"].get("namespace") for manifest in manifests] == ["own", "theirs", None]


def test_an_overlay_that_the_commit_does_not_have_is_named(tmp_path: Path) -> None:
    with pytest.raises(UnavailableError, match="the commit has no folder staging"):
        render(Path("/no/kustomize"), tmp_path / "staging")
