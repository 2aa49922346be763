"""TLS towards a sandbox's servers: certificates are read once, and not anew for each connection."""

from __future__ import annotations

import functools
import ssl
from pathlib import Path
from typing import Any

from urllib3.util.ssl_ import create_urllib3_context

__all__ = ["client_context", "share_context"]


def client_context(authority: Path, certificate: Path | None = None, key: Path | None = None) -> ssl.SSLContext:
    """Give a context that trusts one authority, the same one each time.

    Args:
        authority: The CA that vouches for the server.
        certificate: The client certificate to show, with its ``key``.
        key: Its key.

    Raises:
        OSError: A file can't be read.
    """
    return _made(authority, certificate, key, authority.stat().st_mtime_ns)


@functools.lru_cache(maxsize=64)
def _made(authority: Path, certificate: Path | None, key: Path | None, made: int) -> ssl.SSLContext:
    # A sandbox that was taken down and came up again has another authority at the same place.
    del made
    context = ssl.create_default_context(cafile=str(authority))
    if certificate is not None:
        context.load_cert_chain(certificate, key)
    return context


def share_context(settings: dict[str, Any]) -> None:
    """Have all connections of a pool share one TLS context: urllib3 would read the certificates for each anew.

    Args:
        settings: What the pool gives to its connections, as urllib3 knows it.
    """
    authority, certificate, key = (settings.pop(name, None) for name in ("ca_certs", "cert_file", "key_file"))
    context = create_urllib3_context(cert_reqs=settings["cert_reqs"])
    if authority:
        context.load_verify_locations(authority)
    else:
        context.load_default_certs()
    if certificate:
        context.load_cert_chain(certificate, key)
    settings["ssl_context"] = context
