"""The user's proxies: what goes to the internet goes through them, what goes to the sandbox's own servers never does.

Programs in Go leave loopback out by themselves (``net/http``, ``ProxyFromEnvironment``); curl, git and Python's
clients do so only where ``NO_PROXY`` tells them to.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from types import MappingProxyType
from urllib.parse import urlsplit
from urllib.request import getproxies_environment

import requests
from requests.utils import get_environ_proxies, select_proxy

from sandbox.core.ports import LOOPBACK

__all__ = ["asked_for", "direct_session", "is_loopback", "proxy_variables"]

_NAMES = {"http": "HTTP_PROXY", "https": "HTTPS_PROXY", "all": "ALL_PROXY"}
_EXCEPT = "NO_PROXY"
_LOCAL = ("localhost", LOOPBACK)
_NONE: Mapping[str, str] = MappingProxyType({})


def is_loopback(url: str) -> bool:
    """Whether a URL leads to a server of this machine, as Go's clients tell it."""
    host = urlsplit(url).hostname or ""
    return host in {"localhost", "::1"} or host.startswith("127.")


def asked_for(url: str) -> str:
    """Say which proxy a program asks for a URL that follows the environment to the letter, as git, curl and Python do.

    Returns:
        ``host:port`` of it, without any credentials; empty where none is asked.
    """
    proxy = select_proxy(url, get_environ_proxies(url)) or ""
    return urlsplit(proxy if "://" in proxy else f"//{proxy}").netloc.rpartition("@")[2]


def direct_session() -> requests.Session:
    """Make a session for servers of a sandbox: neither a proxy nor any other setting of the user's has a say in it."""
    session = requests.Session()
    session.trust_env = False
    return session


def proxy_variables(past: Iterable[str] = (), otherwise: Mapping[str, str] = _NONE) -> dict[str, str]:
    """Give the variables by which a program goes through the user's proxies, and past them to the sandbox's servers.

    Args:
        past: Hosts of the sandbox's, beside those of loopback.
        otherwise: The proxies, by scheme, that hold where the environment names none; under ``no`` what goes past them.

    Returns:
        Each variable in both spellings, since programs read one or the other; nothing when there is no proxy.
    """
    of_environment = getproxies_environment()
    found = of_environment if _NAMES.keys() & of_environment.keys() else otherwise
    named = {_NAMES[scheme]: found[scheme] for scheme in _NAMES if found.get(scheme)}
    if not named:
        return {}
    named[_EXCEPT] = ",".join([each for each in (found.get("no", ""), *_LOCAL, *past) if each])
    return {**named, **{name.lower(): value for name, value in named.items()}}
