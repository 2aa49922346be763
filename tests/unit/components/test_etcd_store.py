from __future__ import annotations

from collections import Counter
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from sandbox.components import etcd_store
from sandbox.components.cluster_state import put_back, stated

KINDS = st.sampled_from(
    ["pods/one", "services/specs/one", "argoproj.io/applications/argocd", "argoproj.io/appprojects"]
)
KEYS = st.builds(lambda kind, number: f"/registry/{kind}/{number}", KINDS, st.integers(0, 300))


class Memory:
    """What an etcd holds, and nothing else of it."""

    def __init__(self, objects: dict[str, str]) -> None:
        self.objects = objects

    def read(self) -> dict[str, str]:
        """Give it."""
        return dict(self.objects)

    def write(self, puts: Any, removals: Any) -> None:
        """Change it."""
        self.objects.update(puts)
        for key in removals:
            del self.objects[key]


def put(value: str) -> dict[str, Any]:
    return {"request_put": {"value": value}}


@given(keys=st.sets(KEYS, max_size=400), size=st.sampled_from([1, 1000, 500_000]))
def test_no_transaction_changes_two_objects_of_one_resource_or_is_larger_than_etcd_takes(
    keys: set[str], size: int
) -> None:
    operations = {key: put("x" * size) for key in keys}
    batches = list(etcd_store._batches(operations))
    assert sum(map(len, batches)) == len(keys)
    of = {id(operation): etcd_store.resource_of(key) for key, operation in operations.items()}
    for batch in batches:
        assert max(Counter(of[id(operation)] for operation in batch).values()) == 1
        assert len(batch) <= 100
        assert len(batch) == 1 or sum(len(each["request_put"]["value"]) for each in batch) <= 1024 * 1024


def test_custom_types_of_one_group_are_resources_of_their_own() -> None:
    assert etcd_store.resource_of("/registry/argoproj.io/applications/argocd/one") == "argoproj.io/applications"
    assert etcd_store.resource_of("/registry/pods/default/one") == "pods"


@given(before=st.dictionaries(KEYS, st.text(max_size=2)), after=st.dictionaries(KEYS, st.text(max_size=2)))
def test_objects_are_put_back_whatever_became_of_them(before: dict[str, str], after: dict[str, str]) -> None:
    store: Any = Memory(after)
    differ = len({*before.items()} ^ {*after.items()})
    assert (put_back(store, before) == 0) == (differ == 0)
    assert store.objects == before
    assert put_back(store, before) == 0


def test_signs_of_life_are_left_alone_where_both_have_them() -> None:
    beat = "/registry/leases/kube-node-lease/node-0"
    authority = "/registry/configmaps/one/kube-root-ca.crt"
    own = "/registry/leases/one/operator"
    store: Any = Memory({beat: "new", authority: "new", own: "new", "/registry/leases/kube-node-lease/guest": "new"})
    assert put_back(store, {beat: "old", authority: "old", own: "old"}) == 2
    assert store.objects == {beat: "new", authority: "new", own: "old"}
    assert put_back(store, {beat: "old", "/registry/configmaps/two/kube-root-ca.crt": "old"}) == 3
    assert store.objects == {beat: "new", "/registry/configmaps/two/kube-root-ca.crt": "old"}


def test_where_the_api_server_is_is_left_to_itself() -> None:
    places = ("/registry/services/endpoints/default/kubernetes", "/registry/endpointslices/default/kubernetes")
    store: Any = Memory(dict.fromkeys(places, "now"))
    assert put_back(store, dict.fromkeys(places, "then")) == 0
    assert store.objects == dict.fromkeys(places, "now")


def test_events_are_taken_away_and_do_not_count_and_api_servers_are_none_of_ours() -> None:
    event, server = "/registry/events/default/one", "/registry/masterleases/127.0.0.1"
    assert stated({event: "a", server: "a", "/registry/pods/one": "a"}) == {"/registry/pods/one": "a"}
    store: Any = Memory({event: "a", server: "a"})
    assert put_back(store, {}) == 0
    assert store.objects == {server: "a"}
