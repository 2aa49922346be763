from __future__ import annotations

from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from sandbox.gitops.tenant import Tenant, Tenants

LABELS = st.from_regex(r"[a-z0-9]([a-z0-9-]{0,8}[a-z0-9])?", fullmatch=True)


@given(name=LABELS, rest=LABELS)
def test_a_tenant_claims_its_own_name_and_what_goes_on_behind_it_with_a_dash(name: str, rest: str) -> None:
    tenant = Tenant(name)
    assert tenant.claims(name)
    assert tenant.claims(f"{name}-{rest}")
    assert not tenant.claims(f"{name}{rest}") or f"{name}{rest}".startswith(f"{name}-")
    assert Tenant(name, "somebody-").claims(f"somebody-{name}-{rest}")


@given(name=LABELS, rest=LABELS, names=st.lists(LABELS, max_size=4))
def test_of_all_tenants_at_most_one_claims_a_name(name: str, rest: str, names: list[str]) -> None:
    tenants = sorted({name, f"{name}-{rest}", *names})
    for wanted in (f"{name}-{rest}-greeter", f"{name}-greeter", name):
        claiming = [each for each in tenants if Tenant(each).claims(wanted, [one for one in tenants if one != each])]
        assert len(claiming) == 1
        assert claiming[0] == max((each for each in tenants if Tenant(each).claims(wanted)), key=len)


def test_a_name_of_a_tenant_with_a_longer_name_is_not_claimed() -> None:
    assert Tenant("core").claims("core-two-greeter-dev")
    assert not Tenant("core").claims("core-two-greeter-dev", others=["core-two"])
    assert Tenant("core").claims("core-twofold", others=["core-two"])
    assert not Tenant("core").claims("scores-core")


def test_a_tenant_stays_as_old_as_it_was_when_it_comes_again(tmp_path: Path) -> None:
    tenants, core = Tenants(tmp_path), Tenant("core")
    assert (tenants.names(), tenants.since(core)) == ([], None)
    tenants.add(core)
    since = (tmp_path / "tenants" / "core").read_text()
    (tmp_path / "tenants" / "core").write_text("2001-01-01T00:00:00Z")
    tenants.add(core)
    assert len(since) == len("2001-01-01T00:00:00Z")
    assert tenants.since(core) == "2001-01-01T00:00:00Z"
    tenants.add(Tenant("other"))
    assert tenants.names() == ["core", "other"]
    tenants.discard(core)
    tenants.discard(core)
    assert tenants.names() == ["other"]
