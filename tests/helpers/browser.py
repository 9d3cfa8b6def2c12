"""Headless Chromium for tests, spoken to over its debugging port; tests skip where it is not installed."""

from __future__ import annotations

import base64
import contextlib
import json
import os
import shutil
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

FLAGS = (
    "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--hide-scrollbars",
    "--disable-background-networking", "--disable-component-update", "--disable-sync", "--remote-debugging-port=0",
)  # fmt: skip


def chromium() -> str:
    """Find the browser; in CI it must be there (`.ci/run` installs it)."""
    found = shutil.which("chromium") or shutil.which("chromium-browser")
    if found is None:
        assert "CI" not in os.environ, ".ci/run installs chromium"
        pytest.skip("chromium is not installed")
    return found


class Page:
    """One open page."""

    def __init__(self, socket: Any) -> None:
        self._socket = socket
        self._id = 0
        self.problems: list[str] = []
        self.loaded_s: float | None = None

    def send(self, method: str, **parameters: Any) -> dict[str, Any]:
        """Call one method of the protocol, keeping what the page complained about meanwhile."""
        self._id += 1
        self._socket.send(json.dumps({"id": self._id, "method": method, "params": parameters}))
        while True:
            message = json.loads(self._socket.recv(timeout=30))
            self._note(message)
            if message.get("id") == self._id:
                assert "error" not in message, message
                result: dict[str, Any] = message["result"]
                return result

    def wait_for(self, event: str) -> None:
        while True:
            message = json.loads(self._socket.recv(timeout=30))
            self._note(message)
            if message.get("method") == event:
                return

    def value(self, expression: str) -> Any:
        """Evaluate JavaScript in the page."""
        found = self.send("Runtime.evaluate", expression=expression, returnByValue=True, awaitPromise=True)
        assert "exceptionDetails" not in found, found
        return found["result"].get("value")

    def open(self, path: Path, width: int = 1400, height: int = 900) -> None:
        self.send("Runtime.enable")
        self.send("Log.enable")
        self.send("Page.enable")
        self.send("Network.enable")
        self.send(
            "Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=width < 700
        )
        began = time.perf_counter()
        self.send("Page.navigate", url=path.as_uri())
        self.wait_for("Page.loadEventFired")
        # Two frames: everything is laid out and painted.
        self.value("new Promise(done => requestAnimationFrame(() => requestAnimationFrame(() => done(1))))")
        self.loaded_s = time.perf_counter() - began

    def picture(self, path: Path) -> None:
        """Take a picture of the whole page."""
        size = self.send("Page.getLayoutMetrics")["cssContentSize"]
        clip = {"x": 0, "y": 0, "width": size["width"], "height": size["height"], "scale": 1}
        shot = self.send("Page.captureScreenshot", captureBeyondViewport=True, clip=clip)
        path.write_bytes(base64.b64decode(shot["data"]))

    def _note(self, message: dict[str, Any]) -> None:
        method, parameters = message.get("method"), message.get("params", {})
        if method == "Runtime.exceptionThrown":
            self.problems.append(str(parameters["exceptionDetails"]))
        elif method == "Runtime.consoleAPICalled" and parameters["type"] in ("error", "warning"):
            self.problems.append(str(parameters["args"]))
        elif method == "Log.entryAdded" and parameters["entry"]["level"] in ("error", "warning"):
            self.problems.append(str(parameters["entry"]))
        elif method == "Network.requestWillBeSent" and not parameters["request"]["url"].startswith(("file:", "data:")):
            self.problems.append(f"asks the network for {parameters['request']['url']}")


@contextlib.contextmanager
def opened(path: Path, profile: Path, *, width: int = 1400, dark: bool = False) -> Iterator[Page]:
    """Open a file in a browser of its own."""
    client = pytest.importorskip("websockets.sync.client", reason="websockets is not installed")
    browser = subprocess.Popen(
        [chromium(), *FLAGS, f"--user-data-dir={profile}", *(("--force-dark-mode",) if dark else ()), "about:blank"],
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    try:
        port_file = profile / "DevToolsActivePort"
        deadline = time.monotonic() + 30
        while not port_file.exists() or len(port_file.read_text().split()) < 2:
            assert browser.poll() is None, "chromium ended at once"
            assert time.monotonic() < deadline, "chromium does not start"
            time.sleep(0.05)
        port = port_file.read_text().split()[0]
        import urllib.request

        with urllib.request.urlopen(f"http://127.0.0.1:{port}/json/list", timeout=10) as answer:
            address = next(each["webSocketDebuggerUrl"] for each in json.load(answer) if each["type"] == "page")
        with client.connect(address, max_size=None, compression=None) as socket:
            page = Page(socket)
            if dark:
                page.send("Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": "dark"}])
            page.open(path, width)
            yield page
    finally:
        browser.terminate()
        browser.wait(timeout=20)
