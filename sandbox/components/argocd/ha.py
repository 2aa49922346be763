"""What is different in Argo CD's HA variant: redis in three with sentinels behind haproxy, and more of the servers."""

from __future__ import annotations

import re
from collections.abc import Mapping

from sandbox.core.errors import UsageError

__all__ = ["HA", "HA_NODES", "without_passwords_in_arguments"]

HA = "ha/install.yaml"
"""The official manifest, among the files of the tool argocd."""

HA_NODES = 3
"""How many nodes it needs at least: no two of its redis servers, nor of its proxies, go to one node."""

_SHOWN = '-a "${AUTH}" --no-auth-warning'
_CALL = re.compile(r"redis-cli(?P<before>[^|)\n]*?(?:\\\n\s*)?)" + re.escape(_SHOWN))


def without_passwords_in_arguments(scripts: Mapping[str, str]) -> dict[str, str]:
    """Have redis' client take its password from its environment (redis-cli, ``REDISCLI_AUTH``).

    As an argument, anybody who lists the machine's processes could read it.

    Args:
        scripts: Shell scripts by name, as the official manifest has them.

    Raises:
        UsageError: One is not written as in the version that this was written for.
    """
    changed = {name: _CALL.sub(r'REDISCLI_AUTH="${AUTH}" redis-cli\g<before>', text) for name, text in scripts.items()}
    for name, text in changed.items():
        if '-a "' in text:
            raise UsageError(
                f"the script {name} of Argo CD shows a password in an argument", hint=f"look at {__file__}"
            )
    return changed
