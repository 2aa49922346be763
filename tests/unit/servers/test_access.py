from __future__ import annotations

import base64

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sandbox.servers.access import Right, User, authenticate
from sandbox.servers.signatures import is_signed, sign

CI = User("ci", "pass:wörd", read=("*",), write=("*/environment",))


def basic(user: str, password: str) -> str:
    return "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode()


def test_the_right_password_gives_the_user_and_no_other_does() -> None:
    assert authenticate({"ci": CI}, basic("ci", "pass:wörd")) is CI
    for user, password in (("ci", "pass"), ("ci", ""), ("argocd", "pass:wörd"), ("", "")):
        assert authenticate({"ci": CI}, basic(user, password)) is None


@given(
    st.text()
    | st.text().map(lambda text: f"Basic {text}")
    | st.binary().map(lambda raw: f"Basic {base64.b64encode(raw).decode()}")
)
def test_no_header_that_a_client_may_send_is_let_in_or_breaks(header: str) -> None:
    assert authenticate({"ci": CI}, header) is None


@pytest.mark.parametrize(
    ("right", "repository", "allowed"),
    [
        (Right.READ, "core/greeter", True),
        (Right.WRITE, "core/environment", True),
        (Right.WRITE, "core/greeter", False),
        (Right.WRITE, "environment", False),
    ],
)
def test_a_right_reaches_as_far_as_its_patterns(right: Right, repository: str, *, allowed: bool) -> None:
    assert CI.may(right, repository) is allowed


def test_a_password_does_not_show_when_a_user_is_printed() -> None:
    assert "wörd" not in repr(CI)


@given(st.text(min_size=1), st.binary(), st.text())
def test_a_signature_holds_for_its_own_secret_and_body_only(secret: str, body: bytes, other: str) -> None:
    assert is_signed(secret, body, sign(secret, body))
    assert not is_signed(secret, body + b"x", sign(secret, body))
    assert not is_signed(secret, body, other)


def test_the_signature_is_githubs_own_example() -> None:
    # From GitHub's documentation, "Validating webhook deliveries".
    expected = "sha256=757107ea0eb2509fc211221cce984b8a37570b6d7586c22c46f4379c8b043e17"
    assert sign("It's a Secret to Everybody", b"Hello, World!") == expected
