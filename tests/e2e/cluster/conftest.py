"""One cluster of plain kind for the whole suite; where there can be none, the suite is skipped, once and loudly."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.e2e.cluster.plain import PlainCluster, plain_cluster
from tests.e2e.kind.machine import demand_images


@pytest.fixture(scope="session")
def plain(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PlainCluster]:
    """Give a cluster that knows nothing of any sandbox, with an administrator."""
    demand_images("CLUSTER")
    with plain_cluster("plain-for-tests", tmp_path_factory.mktemp("plain")) as cluster:
        yield cluster
