from __future__ import annotations

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from sandbox.gitops.own.planning import _folders, _name, _roots, deployed_spec, destination_of, sources_of

KEYS = st.sampled_from(
    ["source", "sources", "destination", "template", "spec", "generators", "git", "directories", "path", "matrix", "x"]
)
ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS, inner, max_size=4),
    max_leaves=15,
)
SPECS = st.dictionaries(KEYS, ANYTHING, max_size=5)


@given(st.sampled_from(["Application", "ApplicationSet"]), SPECS)
def test_whatever_a_user_wrote_into_a_spec_can_be_read(kind: str, spec: dict[str, Any]) -> None:
    found = deployed_spec({"kind": kind, "spec": spec})
    assert all(isinstance(str(source), str) for source in sources_of(found))
    assert destination_of(found).keys() == {"server", "name", "namespace"}
    assert isinstance(_folders(spec), list)


@given(st.dictionaries(st.integers(0, 8), st.sets(st.integers(0, 8)), max_size=9))
def test_from_the_roots_everything_is_reached_whatever_circles_there_are(graph: dict[int, set[int]]) -> None:
    parents = {key: {each for each in found if each in graph and each != key} for key, found in graph.items()}
    roots = _roots(parents)
    reached, open_ones = set(), list(roots)
    while open_ones:
        current = open_ones.pop()
        if current not in reached:
            reached.add(current)
            open_ones += [key for key, found in parents.items() if current in found]
    assert reached == set(graph)
    assert {key for key, found in parents.items() if not found} <= set(roots)


@given(st.text(), st.text())
def test_any_folder_gets_a_name_that_the_api_server_takes(prefix: str, folder: str) -> None:
    name = _name(prefix, folder)
    assert name.replace("-", "").isalnum()
    assert name.isascii()
    assert not name.startswith("-")
    assert not name.endswith("-")
    assert 1 <= len(name) <= 50
