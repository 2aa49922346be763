from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sandbox.gitops.own.addresses import has_password, is_address, place_of

PARTS = st.from_regex(r"[a-z0-9][a-z0-9_-]{0,8}", fullmatch=True)


@given(st.from_regex(r"[a-z0-9][a-z0-9-]{0,8}", fullmatch=True), PARTS, PARTS)
def test_every_way_to_write_an_address_means_the_same_place(host: str, owner: str, name: str) -> None:
    written = [
        f"https://{host}.example/{owner}/{name}",
        f"https://{host}.example/{owner}/{name}.git",
        f"https://someone@{host}.example:8443/{owner}/{name}.git/",
        f"https://{host.upper()}.example/{owner.upper()}/{name}",
        f"ssh://git@{host}.example:2222/{owner}/{name}.git",
        f"git@{host}.example:{owner}/{name}.git",
        f"{host}.example:{owner}/{name}",
    ]
    assert {place_of(address) for address in written} == {f"{host}.example/{owner}/{name}"}


@given(st.text())
def test_any_text_can_be_asked(text: str) -> None:
    assert place_of(text) == place_of(text.strip())
    assert not is_address(text) or text.strip() == text


@pytest.mark.parametrize("text", ["", ".", "environments", "./x/y", "--upload-pack=x", "ext::sh -c id", "https://host"])
def test_what_git_would_not_clone_over_a_network_is_no_address(text: str) -> None:
    assert not is_address(text)


@pytest.mark.parametrize("address", ["-oProxyCommand=id:x", "git@host:-x"])
def test_what_git_could_take_for_an_option_is_no_address(address: str) -> None:
    assert not is_address(address)


def test_a_password_in_an_address_is_seen_and_an_account_is_none() -> None:
    assert has_password("https://user:hunter2@host/x/y.git")
    assert not has_password("https://user@host/x/y.git")
    assert not has_password("https://host/x:y@z/y.git")
