from __future__ import annotations

import pytest

from sandbox.core.conditions import State
from sandbox.core.errors import UnavailableError
from sandbox.core.ports import LOOPBACK
from sandbox.gitops.registry import RegistryView

# Port 1 of loopback: whoever is asked there does not answer.
NOBODY = RegistryView(f"{LOOPBACK}:1", "ci", "hush")
DIGEST = "sha256:" + "0" * 64


@pytest.mark.parametrize(
    "image",
    [
        "",
        "greeter",
        f"greeter:1@{DIGEST}",
        f"127.0.0.1:2/core/greeter:1@{DIGEST}",
        f"{NOBODY.address}/core/greeter:1",
        f"{NOBODY.address}/core/greeter@{DIGEST}",
        f"{NOBODY.address}/core/greeter:1@",
        f"{NOBODY.address}/core/greeter:@{DIGEST}",
        f"{NOBODY.address}/:1@{DIGEST}",
        f"{NOBODY.address}:1@{DIGEST}",
        f"x{NOBODY.address}/core/greeter:1@{DIGEST}",
    ],
)
def test_a_name_without_this_registry_a_tag_and_a_digest_is_told_without_asking(image: str) -> None:
    seen = NOBODY.holds(image)()
    assert seen.state is State.PENDING
    assert seen.seen == f"{image!r} does not name an image of this registry by tag and digest"


def test_a_registry_that_does_not_answer_is_told() -> None:
    with pytest.raises(UnavailableError, match="the registry does not answer"):
        NOBODY.holds(f"{NOBODY.address}/core/greeter:1@{DIGEST}")()


def test_the_password_is_not_shown() -> None:
    assert "hush" not in repr(NOBODY)
