from __future__ import annotations

import re

from hypothesis import given
from hypothesis import strategies as st

from sandbox.gitops.tenant import ENVIRONMENTS, Tenant

LABEL = re.compile(r"[a-z]([a-z0-9-]*[a-z0-9])?")


@given(st.text(), st.lists(st.text(), max_size=3))
def test_whatever_a_tenant_is_called_its_names_can_be_used_everywhere(said: str, apart: list[str]) -> None:
    tenant = Tenant.called(said, "x", *apart)
    assert LABEL.fullmatch(tenant.name)
    assert all(len(tenant.application(environment)) <= 63 for environment in ENVIRONMENTS)
    assert tenant == Tenant.called(said, "x", *apart)


@given(st.text(), st.lists(st.text(), max_size=2), st.lists(st.text(), max_size=2))
def test_what_tells_two_tenants_apart_gives_them_different_names(said: str, one: list[str], other: list[str]) -> None:
    assert (Tenant.called(said, "x", *one) == Tenant.called(said, "x", *other)) == (one == other)


def test_a_short_plain_name_stays_as_it_is() -> None:
    assert Tenant.called("core").name == "core"
    assert Tenant.called("Core Story").name.startswith("core-story-")
    assert Tenant.called("7").name != "7"
