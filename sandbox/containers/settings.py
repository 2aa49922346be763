"""What the user's own settings of Docker say (``config.json``) of the containers that are started."""

from __future__ import annotations

import os

from docker.utils.config import load_general_config

__all__ = ["container_proxies"]

_NAMES = {"http": "httpProxy", "https": "httpsProxy", "no": "noProxy"}


def container_proxies() -> dict[str, str]:
    """Give the proxies that containers are to have, by scheme, and under ``no`` what goes past them.

    As the docker command chooses them: those of the daemon that DOCKER_HOST names, or else the usual ones
    (Docker, "Use a proxy server with the Docker CLI").
    """
    proxies = load_general_config().get("proxies", {})
    given = proxies.get(os.environ.get("DOCKER_HOST", ""), proxies.get("default", {}))
    return {scheme: given[name] for scheme, name in _NAMES.items() if given.get(name)}
