from __future__ import annotations

from dataclasses import replace

import pytest

from sandbox.engines.kind import Kind
from sandbox.engines.records import Record


@pytest.mark.parametrize(
    ("nodes", "ha", "said"),
    [(1, False, ""), (2, False, "it has 2 nodes, and"), (3, True, "it has 3 nodes with Argo CD's HA variant, and")],
    ids=["one node", "two nodes", "the HA variant"],
)
def test_only_a_sandbox_of_one_node_is_put_back_and_others_say_why_not(nodes: int, *, ha: bool, said: str) -> None:
    record = replace(Record("one", "kind", "run", nodes=nodes, created=0.0, versions="some"), ha=ha)
    why = Kind().why_no_moments(record)
    assert why.startswith(said)
    assert bool(why) == bool(said)
