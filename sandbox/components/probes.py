"""Looks at a server from outside: does it answer, and does it say that it is well?"""

from __future__ import annotations

import http.client
from pathlib import Path

from sandbox.core.conditions import Observation, met, pending
from sandbox.kube.tls import client_context

__all__ = ["http_ok"]

_SECONDS = 2.0


def http_ok(
    address: str,
    path: str,
    *,
    accept: str = "*/*",
    seconds: float = _SECONDS,
    authority: Path | None = None,
    certificate: Path | None = None,
    key: Path | None = None,
) -> Observation:
    """Look whether ``GET path`` answers with a 2xx.

    Args:
        address: ``host:port``.
        path: What to ask for.
        accept: In which form.
        seconds: How long the answer may take.
        authority: The CA that vouches for the server; plain HTTP without it.
        certificate: The client certificate to show, with its ``key``.
        key: Its key.
    """
    connection: http.client.HTTPConnection
    if authority is None:
        connection = http.client.HTTPConnection(address, timeout=seconds)
    else:
        tls = client_context(authority, certificate, key)
        connection = http.client.HTTPSConnection(address, timeout=seconds, context=tls)
    try:
        connection.request("GET", path, headers={"Accept": accept})
        answer = connection.getresponse()
        body = answer.read(4096).decode(errors="replace")
    except (OSError, http.client.HTTPException) as error:
        return pending(f"{address}{path}: {error}")
    finally:
        connection.close()
    if answer.status // 100 == 2:  # noqa: PLR2004  # the class of success
        return met(f"{path} says {answer.status}")
    return pending(f"{address}{path} says {answer.status}: {body.strip()[-300:]}")
