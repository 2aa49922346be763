from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from sandbox.core.errors import UsageError
from sandbox.core.files import write_json
from sandbox.servers.ci_settings import CiSettings
from sandbox.servers.git_settings import GitServerSettings

GIT: dict[str, Any] = {
    "host": "127.0.0.1",
    "port": 3000,
    "root": "/abs/repositories",
    "public_url": "http://127.0.0.1:3000/",
    "users": {"ci": {"password": "canary", "read": ["*"]}},
    "webhooks": [{"url": "http://127.0.0.1:1", "secret": "canary"}],
    "deliveries": "/abs/deliveries.jsonl",
}
CI: dict[str, Any] = {
    "port": 3001,
    "webhook_secret": "canary",
    "git": {"url": "http://127.0.0.1:3000", "user": "ci", "password": "canary"},
    "registry": {"address": "127.0.0.1:5000", "user": "ci", "password": "canary"},
    "runs": "/abs/runs",
    "tools_path": ["/abs/bin"],
    "act": "/abs/act",
    "cache": "/abs/cache",
}


def test_a_good_configuration_is_read_and_shows_no_secret(tmp_path: Path) -> None:
    git = GitServerSettings.read(write_json(tmp_path / "git.json", GIT))
    ci = CiSettings.read(write_json(tmp_path / "ci.json", CI))

    assert git.public_url == "http://127.0.0.1:3000"
    assert git.users["ci"].write == ()
    assert git.webhooks[0].wants("core/environment")
    assert "canary" not in repr(git) + repr(ci)


@pytest.mark.parametrize(
    ("change", "place"),
    [
        ({"port": 0}, "port"),
        ({"port": True}, "port"),
        ({"port": None}, "port is missing"),
        ({"root": "relative"}, "root must be an absolute path"),
        ({"users": []}, "users"),
        ({"users": {"ci": {"password": ""}}}, "users.ci.password"),
        ({"users": {"ci": {"password": "x", "read": "*"}}}, "users.ci.read"),
        ({"webhooks": [{"url": "http://127.0.0.1:1"}]}, "webhooks[0].secret is missing"),
        ({"webhooks": ["x"]}, "webhooks"),
    ],
)
def test_a_wrong_field_is_named_by_its_place(tmp_path: Path, change: dict[str, object], place: str) -> None:
    with pytest.raises(UsageError) as caught:
        GitServerSettings.read(write_json(tmp_path / "git.json", GIT | change))

    assert place in caught.value.why
    assert "canary" not in str(caught.value)


@pytest.mark.parametrize("change", [{"time_limit": 0}, {"tools_path": [1]}, {"git": {}}])
def test_a_wrong_field_of_the_runner_is_refused(tmp_path: Path, change: dict[str, object]) -> None:
    with pytest.raises(UsageError):
        CiSettings.read(write_json(tmp_path / "ci.json", CI | change))


def test_a_file_that_is_no_json_is_called_damaged(tmp_path: Path) -> None:
    (tmp_path / "git.json").write_text(json.dumps(GIT)[:-5])
    with pytest.raises(UsageError, match="is damaged"):
        GitServerSettings.read(tmp_path / "git.json")


def test_a_workflow_is_told_where_its_image_and_its_environment_are(tmp_path: Path) -> None:
    settings = CiSettings.read(write_json(tmp_path / "ci.json", CI))

    assert settings.variables("core/greeter") == {
        "REGISTRY": "127.0.0.1:5000",
        "IMAGE": "127.0.0.1:5000/core/greeter",
        "ENVIRONMENT_REPOSITORY": "http://127.0.0.1:3000/core/environment.git",
        "ENVIRONMENT_OVERLAY": "dev",
    }
    assert settings.variables("greeter")["ENVIRONMENT_REPOSITORY"] == "http://127.0.0.1:3000/environment.git"
    assert set(settings.secrets()) == {
        "REGISTRY_USERNAME",
        "REGISTRY_PASSWORD",
        "ENVIRONMENT_USERNAME",
        "ENVIRONMENT_TOKEN",
    }
