"""Whether a host can be reached at all: asked once for each host and run, and answered within seconds."""

from __future__ import annotations

import threading
from urllib.parse import urlsplit

import requests

__all__ = ["Reachability"]


class Reachability:
    """Remembers for each host why it can't be reached.

    Args:
        seconds: How long a host has to answer, its name's resolution included.
    """

    def __init__(self, seconds: float = 3.0) -> None:
        self._seconds = seconds
        self._lock = threading.Lock()
        self._answers: dict[str, str] = {}

    def obstacle(self, url: str) -> str:
        """Give the reason why a URL's host can't be reached; empty when it can.

        Any HTTP answer counts. The question goes the way that a download would, through the user's proxy.
        """
        parts = urlsplit(url)
        host = f"{parts.scheme}://{parts.netloc}/"
        # Held while asking: others that want the same host wait for the one answer.
        with self._lock:
            if host not in self._answers:
                self._answers[host] = self._ask(host, parts.netloc)
            return self._answers[host]

    def _ask(self, host: str, name: str) -> str:
        reasons = [f"{name} did not answer within {self._seconds:g} s"]
        done = threading.Event()

        def knock() -> None:
            try:
                requests.head(host, timeout=self._seconds, allow_redirects=False).close()
                reasons.append("")
            except requests.RequestException as error:
                reasons.append(f"{name} can't be reached: {_cause(error)}")
            done.set()

        # A thread, since nothing else puts an end to a name's resolution that hangs.
        threading.Thread(target=knock, daemon=True).start()
        done.wait(self._seconds + 0.5)
        return reasons[-1]


def _cause(error: BaseException) -> str:
    """Give the innermost sentence of an error that wraps others."""
    inner = error.__cause__ or error.__context__
    while inner is not None:
        error, inner = inner, inner.__cause__ or inner.__context__
    return (getattr(error, "strerror", None) or str(error) or type(error).__name__).strip()
