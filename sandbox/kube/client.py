"""The ``kubernetes`` client: kubeconfig, TLS and the connection pool; the only module that imports it.

It is imported where a cluster is first spoken to, since reading it takes as long as some commands do, and by this one
name: its modules import each other in a circle, and threads that come in by different ones of them (parts that start
side by side, stories told at once) end with ``_DeadlockError`` or with half of a module. Here the first comes in and
the others wait.
"""

from __future__ import annotations

from pathlib import Path

from kubernetes.client import ApiClient, Configuration
from kubernetes.client.exceptions import ApiException
from kubernetes.config import ConfigException, load_kube_config
from kubernetes.utils.quantity import parse_quantity

from sandbox.core.errors import UnavailableError
from sandbox.core.proxies import is_loopback

__all__ = ["ApiClient", "ApiException", "client_of", "parse_quantity"]

# A telling watches a dozen kinds at once; a connection too many would be thrown away after its request.
_CONNECTIONS = 32


def client_of(kubeconfig: Path | str, context: str | None) -> ApiClient:
    """Give the client that a context of a kubeconfig describes.

    Raises:
        UnavailableError: The file is missing or names no cluster.
    """
    # A proxy that the file names holds always, one of the environment not on the way to loopback: as for kubectl.
    settings = Configuration(proxy="")
    settings.connection_pool_maxsize = _CONNECTIONS
    try:
        load_kube_config(str(kubeconfig), context, settings, persist_config=False)
    except ConfigException as error:
        # Missing, or empty since whoever was to write it was ended.
        raise UnavailableError(f"{kubeconfig} leads to no cluster", why=str(error)) from error
    if not settings.proxy and not is_loopback(settings.host):
        settings.proxy = Configuration(host=settings.host).proxy
    return ApiClient(configuration=settings)
