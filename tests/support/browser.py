"""A real headless Chromium, driven over the DevTools protocol by a pipe: no port, no driver, no package."""

from __future__ import annotations

import base64
import json
import os
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from select import select
from typing import Any

NAMES = ("chromium", "chromium-browser", "google-chrome-stable", "google-chrome", "chrome")
FLAGS = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--disable-dev-shm-usage",
    "--disable-extensions",
    "--hide-scrollbars",
    "--remote-debugging-pipe",
)
_TIMEOUT_SECONDS = 20.0

Event = Mapping[str, Any]


def chromium() -> str | None:
    """The browser's executable; ``None`` when there is none on this machine."""
    return next((found for name in NAMES if (found := shutil.which(name))), None)


class Page:
    """One tab, with everything that it complained about and asked for since it was opened."""

    def __init__(self, browser: Browser, session: str) -> None:
        self._browser, self._session = browser, session
        self.events: list[Event] = []
        # Known before it enables anything, or its first events would be nobody's.
        browser.pages[session] = self
        for domain in ("Page", "Runtime", "Log", "Network", "Audits"):
            self.call(f"{domain}.enable")

    def call(self, method: str, **parameters: Any) -> Any:
        """One command of the protocol; a failure is an ``AssertionError``."""
        return self._browser.call(method, parameters, self._session)

    def open(self, path: Path, *, width: int = 1280, height: int = 900, scripts: bool = True) -> None:
        """Loads a file in a window of this size, and waits until it is there."""
        self.call("Emulation.setScriptExecutionDisabled", value=not scripts)
        self.resize(width, height)
        self.events.clear()
        self.call("Page.navigate", url=path.resolve().as_uri())
        self.wait_for(lambda: any(event["method"] == "Page.loadEventFired" for event in self.events))

    def resize(self, width: int, height: int) -> None:
        """The size of the window, in CSS pixels."""
        self.call(
            "Emulation.setDeviceMetricsOverride",
            width=width,
            height=height,
            deviceScaleFactor=1,
            mobile=False,
        )

    def prefer(self, scheme: str) -> None:
        """What the system prefers: ``dark`` or ``light``."""
        self.call("Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": scheme}])

    def run(self, expression: str) -> Any:
        """The value of a script's expression in the page, which may be a promise."""
        answer = self.call("Runtime.evaluate", expression=expression, returnByValue=True, awaitPromise=True)
        assert "exceptionDetails" not in answer, answer["exceptionDetails"]
        return answer["result"].get("value")

    def press(self, key: str, *, shift: bool = False) -> None:
        """A key, as a keyboard sends it."""
        codes = {"Tab": 9, "Enter": 13, " ": 32, "ArrowRight": 39, "ArrowLeft": 37, "ArrowDown": 40}
        text = {"Enter": "\r", " ": " "}.get(key, key if len(key) == 1 else "")
        more = {"text": text} if text else {}
        number = codes.get(key, ord(key.upper()) if len(key) == 1 else 0)
        for kind in ("keyDown" if text else "rawKeyDown", "keyUp"):
            given = {"key": key, "windowsVirtualKeyCode": number, "modifiers": 8 if shift else 0}
            self.call("Input.dispatchKeyEvent", type=kind, **given, **(more if kind == "keyDown" else {}))

    def type(self, text: str) -> None:
        """Types into what has the focus."""
        for character in text:
            self.press(character)

    def settle(self) -> None:
        """Waits until the page has drawn what it was told to."""
        frame = "new Promise(done => requestAnimationFrame(() => setTimeout(done, 30)))"
        self.run(f"{frame}.then(() => {frame})")

    def wait_for(self, condition: Callable[[], bool]) -> None:
        """Reads events until the condition holds."""
        deadline = time.monotonic() + _TIMEOUT_SECONDS
        while not condition():
            assert time.monotonic() < deadline, "the browser takes too long"
            self._browser.read_events(0.05)

    def complaints(self) -> list[str]:
        """Errors of scripts, messages on the console, violations of the policy, issues that were found."""
        self.run("1")  # what was sent before this answer has been read now
        wanted = {
            "Runtime.exceptionThrown",
            "Runtime.consoleAPICalled",
            "Log.entryAdded",
            "Audits.issueAdded",
        }
        return [json.dumps(event) for event in self.events if event["method"] in wanted]

    def requests(self) -> list[str]:
        """The addresses that were asked for."""
        self.run("1")
        sent = (event for event in self.events if event["method"] == "Network.requestWillBeSent")
        return [event["params"]["request"]["url"] for event in sent]

    def screenshot(self, *, height: int | None = None) -> bytes:
        """The window as a PNG, or the page down to this height."""
        clip = {}
        if height is not None:
            width = self.run("innerWidth")
            clip = {"clip": {"x": 0, "y": 0, "width": width, "height": height, "scale": 1}}
        answer = self.call("Page.captureScreenshot", format="png", captureBeyondViewport=bool(clip), **clip)
        return base64.b64decode(answer["data"])


class Browser:
    """A process of Chromium, and the pipe to it."""

    def __init__(self, process: subprocess.Popen[bytes], commands: int, answers: int) -> None:
        self.process, self._commands, self._answers = process, commands, answers
        self._rest = b""
        self._last = 0
        self.pages: dict[str, Page] = {}
        self._results: dict[int, Any] = {}

    def page(self) -> Page:
        """A new tab."""
        target = self.call("Target.createTarget", {"url": "about:blank"})["targetId"]
        session = self.call("Target.attachToTarget", {"targetId": target, "flatten": True})["sessionId"]
        return Page(self, session)

    def call(self, method: str, parameters: Mapping[str, Any], session: str | None = None) -> Any:
        """One command and its answer."""
        self._last += 1
        number = self._last
        message = {"id": number, "method": method, "params": parameters}
        if session is not None:
            message["sessionId"] = session
        os.write(self._commands, json.dumps(message).encode() + b"\0")
        deadline = time.monotonic() + _TIMEOUT_SECONDS
        while number not in self._results:
            assert time.monotonic() < deadline, f"no answer to {method}"
            self.read_events(0.2)
        answer = self._results.pop(number)
        assert "error" not in answer, (method, answer["error"])
        return answer["result"]

    def read_events(self, seconds: float) -> None:
        """Takes in what the browser says within this time."""
        if not select([self._answers], [], [], seconds)[0]:
            assert self.process.poll() is None, "the browser has ended"
            return
        *messages, self._rest = (self._rest + os.read(self._answers, 1 << 20)).split(b"\0")
        for message in map(json.loads, messages):
            if "id" in message:
                self._results[message["id"]] = message
            elif message.get("sessionId") in self.pages:
                self.pages[message["sessionId"]].events.append(message)


@contextmanager
def running_browser() -> Iterator[Browser]:
    """Chromium with a profile of its own, gone afterwards with all its processes."""
    executable = chromium()
    assert executable is not None
    theirs, commands = os.pipe()
    answers, ours = os.pipe()
    with tempfile.TemporaryDirectory(prefix="alter-sync-browser-", ignore_cleanup_errors=True) as profile:
        # The protocol wants the numbers 3 and 4, whatever numbers the pipes have here.
        script = f'exec "$@" 3</dev/fd/{theirs} 4>/dev/fd/{ours}'
        process = subprocess.Popen(
            ["sh", "-c", script, "sh", executable, *FLAGS, f"--user-data-dir={profile}", "about:blank"],
            pass_fds=(theirs, ours),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            env={"PATH": os.environ["PATH"], "HOME": profile, "LANG": "C.UTF-8"},
            start_new_session=True,
        )
        os.close(theirs)
        os.close(ours)
        browser = Browser(process, commands, answers)
        try:
            yield browser
            # Asked to, it takes its children along; their files are then all closed.
            with suppress(AssertionError, subprocess.TimeoutExpired):
                browser.call("Browser.close", {})
                process.wait(5)
        finally:
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()
            os.close(commands)
            os.close(answers)
