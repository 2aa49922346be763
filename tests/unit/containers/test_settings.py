from __future__ import annotations

import json
from pathlib import Path

import pytest

from sandbox.containers.settings import container_proxies

USUAL = {"httpProxy": "http://usual.test:3128", "noProxy": ".corp.test"}
OTHER = {"httpsProxy": "http://other.test:3128"}


@pytest.fixture
def config(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("DOCKER_CONFIG", str(tmp_path))
    monkeypatch.delenv("DOCKER_HOST", raising=False)
    return tmp_path / "config.json"


def test_whoever_has_no_settings_has_no_proxies(config: Path) -> None:
    assert not config.exists()
    assert container_proxies() == {}


def test_a_daemon_s_own_proxies_come_before_the_usual_ones(config: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    config.write_text(json.dumps({"proxies": {"default": USUAL, "tcp://daemon.test:2376": OTHER}}))
    assert container_proxies() == {"http": "http://usual.test:3128", "no": ".corp.test"}
    monkeypatch.setenv("DOCKER_HOST", "tcp://daemon.test:2376")
    assert container_proxies() == {"https": "http://other.test:3128"}
