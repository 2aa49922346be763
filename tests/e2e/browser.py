"""Debian's Chromium without a screen, spoken to by its DevTools protocol."""

from __future__ import annotations

import asyncio
import base64
import os
import shutil
import signal
import subprocess
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp

from sandbox.core.conditions import Deadline, Observation, met, pending, wait_for

__all__ = ["PROGRAM", "Page", "opened"]

PROGRAM = shutil.which("chromium") or shutil.which("chromium-browser")
_START_SECONDS = 60.0
_ANSWER_SECONDS = 60.0


class Page:
    """One page; ``requested`` names every URL that it has asked for."""

    def __init__(self, socket: aiohttp.ClientWebSocketResponse) -> None:
        self._socket = socket
        self._number = 0
        self._loaded = 0
        self.requested: list[str] = []
        self.complaints: list[str] = []

    async def call(self, method: str, **parameters: Any) -> Mapping[str, Any]:
        """Call a method of the protocol, and note what happens until it answers."""
        self._number += 1
        await self._socket.send_json({"id": self._number, "method": method, "params": parameters})
        while True:
            message = await self._socket.receive_json(timeout=_ANSWER_SECONDS)
            if message.get("id") == self._number:
                assert "error" not in message, f"{method}: {message}"
                return dict(message["result"])
            self._note(message)

    def _note(self, message: Mapping[str, Any]) -> None:
        if message.get("method") == "Network.requestWillBeSent":
            self.requested.append(message["params"]["request"]["url"])
        elif message.get("method") == "Page.loadEventFired":
            self._loaded += 1
        elif message.get("method") == "Log.entryAdded":
            self.complaints.append(message["params"]["entry"]["text"])

    async def look(self, *, width: int, height: int = 900, scheme: str = "light") -> None:
        """See the page on a screen of this size, in this colour scheme."""
        await self.call(
            "Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=width < 500
        )
        feature = {"name": "prefers-color-scheme", "value": scheme}
        await self.call("Emulation.setEmulatedMedia", features=[feature])

    async def visit(self, url: str) -> None:
        """Go to a page and wait until it is loaded."""
        before = self._loaded
        await self.call("Page.navigate", url=url)
        async with asyncio.timeout(_ANSWER_SECONDS):
            while self._loaded == before:
                self._note(await self._socket.receive_json())

    async def says(self, expression: str) -> Any:
        """Evaluate JavaScript in the page, from outside its own policy."""
        answer = await self.call("Runtime.evaluate", expression=expression, returnByValue=True)
        assert "exceptionDetails" not in answer, answer
        return answer["result"].get("value")

    async def press(self, key: str) -> None:
        """Press a key."""
        code = {"Tab": 9, "Enter": 13}[key]
        text = {"text": "\r"} if key == "Enter" else {}
        for kind in ("keyDown", "keyUp"):
            await self.call("Input.dispatchKeyEvent", type=kind, key=key, code=key, windowsVirtualKeyCode=code, **text)

    async def picture(self, path: Path) -> Path:
        """Take a picture of the whole page."""
        answer = await self.call("Page.captureScreenshot", format="png", captureBeyondViewport=True)
        await asyncio.to_thread(path.write_bytes, base64.b64decode(answer["data"]))
        return path


@asynccontextmanager
async def opened(profile: Path) -> AsyncIterator[Page]:
    """Give an empty page of a browser that has nothing but this new profile, and talks to nobody by itself."""
    assert PROGRAM is not None
    flags = [
        *("--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"),
        *("--disable-background-networking", "--disable-component-update", "--disable-sync", "--disable-dev-shm-usage"),
        *("--remote-debugging-port=0", f"--user-data-dir={profile}", "about:blank"),
    ]
    browser = _started([PROGRAM, *flags], profile)
    try:
        port = await asyncio.to_thread(_port, profile)
        async with aiohttp.ClientSession() as session:
            async with session.get(f"http://127.0.0.1:{port}/json/list") as answer:
                target = next(each for each in await answer.json() if each["type"] == "page")
            async with session.ws_connect(target["webSocketDebuggerUrl"], max_msg_size=0) as socket:
                page = Page(socket)
                for domain in ("Page", "Network", "Runtime", "Log"):
                    await page.call(f"{domain}.enable")
                yield page
    finally:
        # Its helpers too: it leads a group of its own.
        os.killpg(browser.pid, signal.SIGKILL)
        browser.wait(10)


def _started(argv: Sequence[str], profile: Path) -> subprocess.Popen[bytes]:
    profile.mkdir()
    with (profile / "chromium.log").open("wb") as log:
        return subprocess.Popen(
            argv,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,
            env={"PATH": os.defpath, "HOME": str(profile), "LANG": "C.UTF-8"},
        )


def _port(profile: Path) -> int:
    file = profile / "DevToolsActivePort"

    def look() -> Observation:
        lines = file.read_text().splitlines() if file.exists() else []
        return met(lines[0]) if lines else pending((profile / "chromium.log").read_text(errors="replace")[-500:])

    return int(wait_for(look, Deadline.after(_START_SECONDS), wanted="Chromium to listen").seen)
