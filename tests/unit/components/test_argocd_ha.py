from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from sandbox.components.argocd.ha import without_passwords_in_arguments
from sandbox.core.errors import UsageError

SCRIPT = """\
response=$(
  redis-cli \\
    -a "${AUTH}" --no-auth-warning \\
    -h localhost \\
    ping
)
role=$(redis-cli  -a "${AUTH}" --no-auth-warning -p "${REDIS_PORT}" info | tr a-z A-Z)
MASTER=there
redis-cli -h "${MASTER}" -a "${AUTH}" --no-auth-warning -p "${REDIS_PORT}" ping
redis-cli -h argocd-redis-ha -p 26379 sentinel get-master-addr-by-name argocd
echo "$response" "$role"
"""
# Says what it was given, and whether by its arguments or by its environment.
CLIENT = """\
#!/bin/sh
echo "$* <${REDISCLI_AUTH:-nothing}>"
"""


def test_a_script_calls_the_client_with_the_password_in_its_environment_alone(tmp_path: Path) -> None:
    client = tmp_path / "redis-cli"
    client.write_text(CLIENT)
    client.chmod(0o755)
    script = without_passwords_in_arguments({"health.sh": SCRIPT})["health.sh"]
    environment = {"PATH": f"{tmp_path}:/usr/bin:/bin", "AUTH": "secret", "REDIS_PORT": "6379"}
    ran = subprocess.run(["sh", "-euc", script], env=environment, capture_output=True, text=True, check=True)
    assert ran.stdout.splitlines() == [
        "-h there -p 6379 ping <secret>",
        "-h argocd-redis-ha -p 26379 sentinel get-master-addr-by-name argocd <nothing>",
        "-h localhost ping <secret> -P 6379 INFO <SECRET>",
    ]


def test_what_shows_no_password_stays_as_it_is() -> None:
    files = {"haproxy.cfg": 'tcp-check send "AUTH ${AUTH}"\\r\\n', "redis.conf": "requirepass replace-default-auth"}
    assert without_passwords_in_arguments(files) == files


def test_a_script_that_shows_a_password_in_another_way_is_an_error_and_not_let_through() -> None:
    with pytest.raises(UsageError, match=r"other\.sh"):
        without_passwords_in_arguments({"other.sh": 'redis-cli -a "$PASSWORD" ping'})
