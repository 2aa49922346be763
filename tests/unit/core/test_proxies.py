from __future__ import annotations

import pytest

from sandbox.core.proxies import asked_for, direct_session, is_loopback, proxy_variables


@pytest.mark.parametrize(
    "url", ["https://127.0.0.1:6443", "http://127.8.0.1", "http://localhost:80/x", "https://[::1]:1"]
)
def test_an_address_of_this_machine_is_loopback(url: str) -> None:
    assert is_loopback(url)


@pytest.mark.parametrize(
    "url", ["https://10.0.0.1", "https://localhost.example.test", "https://example.test/127.0.0.1"]
)
def test_any_other_address_is_not(url: str) -> None:
    assert not is_loopback(url)


def test_there_are_no_variables_where_there_is_no_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NO_PROXY", "example.test")
    assert proxy_variables(["registry"]) == {}


def test_what_the_user_leaves_out_stays_so_beside_loopback_and_the_sandbox_s_hosts(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("https_proxy", "http://proxy.test:3128")
    monkeypatch.setenv("NO_PROXY", ".corp.test")
    assert proxy_variables(["registry"]) == {
        "HTTPS_PROXY": "http://proxy.test:3128",
        "https_proxy": "http://proxy.test:3128",
        "NO_PROXY": ".corp.test,localhost,127.0.0.1,registry",
        "no_proxy": ".corp.test,localhost,127.0.0.1,registry",
    }


def test_the_proxies_of_the_environment_come_before_others(monkeypatch: pytest.MonkeyPatch) -> None:
    others = {"http": "http://other.test", "no": ".other.test"}
    assert proxy_variables(otherwise=others)["HTTP_PROXY"] == "http://other.test"
    assert proxy_variables(otherwise=others)["NO_PROXY"] == ".other.test,localhost,127.0.0.1"
    monkeypatch.setenv("HTTPS_PROXY", "http://proxy.test:3128")
    assert set(proxy_variables(otherwise=others).values()) == {"http://proxy.test:3128", "localhost,127.0.0.1"}


def test_a_direct_session_knows_of_no_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTP_PROXY", "http://proxy.test:3128")
    session = direct_session()
    settings = session.merge_environment_settings("http://127.0.0.1:1", {}, stream=False, verify=True, cert=None)
    assert not settings["proxies"]


@pytest.mark.parametrize(
    ("left_out", "asked"), [("", "proxy.test:3128"), ("localhost", "proxy.test:3128"), ("127.0.0.1", "")]
)
def test_a_proxy_is_named_without_its_password_where_loopback_is_not_left_out(
    monkeypatch: pytest.MonkeyPatch, left_out: str, asked: str
) -> None:
    monkeypatch.setenv("ALL_PROXY", "http://me:secret@proxy.test:3128")
    monkeypatch.setenv("NO_PROXY", left_out)
    assert asked_for("http://127.0.0.1:23909") == asked
