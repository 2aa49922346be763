from __future__ import annotations

import os
import threading

import pytest

from sandbox.components.base import Context
from sandbox.components.embedded.redis import Redis
from sandbox.core.processes import RUN_ID_VARIABLE


def test_a_secret_is_made_once_for_this_user_alone(context: Context) -> None:
    before = os.umask(0)
    try:
        file = context.secrets.file("git")
    finally:
        os.umask(before)
    assert file.read_text() == context.secrets.value("git") != context.secrets.value("registry")
    assert file.stat().st_mode & 0o777 == 0o600
    assert file.parent.stat().st_mode & 0o777 == 0o700


def test_components_that_ask_for_a_secret_at_the_same_moment_get_the_same(context: Context) -> None:
    start, got = threading.Barrier(8), list[str]()

    def ask() -> None:
        start.wait()
        got.append(context.secrets.value("git"))

    threads = [threading.Thread(target=ask) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(got) == 8
    assert len(set(got)) == 1


def test_nothing_of_the_callers_environment_leaks_into_a_component(
    context: Context, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("KUBECONFIG", "/home/user/production")
    monkeypatch.setenv("HTTPS_PROXY", "http://proxy")
    environment = context.environment("etcd", EXTRA="1")
    assert set(environment) == {"PATH", "HOME", "TMPDIR", "LANG", "PYTHONPATH", RUN_ID_VARIABLE, "EXTRA"}
    assert environment[RUN_ID_VARIABLE] == "unit"
    assert environment["HOME"] == str(context.folder / "run/etcd")


def test_the_password_of_the_cache_stands_in_its_file_and_not_in_its_arguments(context: Context) -> None:
    component = Redis()
    component.prepare(context)
    configuration = context.folder / "run/redis/valkey.conf"
    password = context.secrets.value("redis")
    assert f"requirepass {password}\n" in configuration.read_text()
    assert configuration.stat().st_mode & 0o777 == 0o600
    tools = {**context.tools, "valkey": context.tools["kwok"]}
    with_tool = Context(context.name, context.run_id, context.folder, context.ports, tools, 1, context.supervisor)
    assert not any(password in word for word in component.argv(with_tool))
