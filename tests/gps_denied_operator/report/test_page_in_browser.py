"""The report in a real browser, opened from a file."""

from __future__ import annotations

import dataclasses
import json
import os
import shutil
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from gps_denied_onboard.geometry.geodesy import LocalFrame
from gps_denied_operator.report.html import render
from gps_denied_operator.report.model import FlightPart, MapPicture, Report
from gps_denied_operator.scoring.frames import FrameResult, RunFacts
from gps_denied_operator.scoring.metrics import figures

HOSTILE = "</script><img src=x onerror=alert(1)><b>\u2028{:03d}&amp;.jpg"
FLAGS = (
    "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--hide-scrollbars",
    "--disable-background-networking", "--disable-component-update", "--disable-sync", "--window-size=1366,768",
    "--remote-debugging-pipe",
)  # fmt: skip


class Browser:
    """A headless Chromium spoken to over the DevTools protocol through a pair of pipes."""

    def __init__(self, program: str, profile: str) -> None:
        to_browser, self._out = os.pipe()
        self._in, from_browser = os.pipe()
        command = [program, *FLAGS, f"--user-data-dir={profile}", "about:blank"]
        script = f'exec "$@" 3<&{to_browser} 4>&{from_browser}'
        self._process = subprocess.Popen(
            ["bash", "-c", script, "bash", *command], pass_fds=(to_browser, from_browser),
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        )  # fmt: skip
        os.close(to_browser)
        os.close(from_browser)
        self._buffer = b""
        self._number = 0
        self._session: str | None = None
        self.events: list[dict[str, Any]] = []
        targets = self.call("Target.getTargets")["targetInfos"]
        page = next(target["targetId"] for target in targets if target["type"] == "page")
        self._session = self.call("Target.attachToTarget", targetId=page, flatten=True)["sessionId"]
        for domain in ("Runtime", "Log", "Page", "Network"):
            self.call(f"{domain}.enable")

    def call(self, method: str, **parameters: Any) -> dict[str, Any]:
        """Send a command and wait for its answer; events that come before it are kept."""
        self._number += 1
        message: dict[str, Any] = {"id": self._number, "method": method, "params": parameters}
        if self._session is not None:
            message["sessionId"] = self._session
        os.write(self._out, json.dumps(message).encode() + b"\0")
        while True:
            answer = self._receive()
            if answer.get("id") == self._number:
                assert "error" not in answer, answer
                return dict(answer["result"])
            self.events.append(answer)

    def _receive(self) -> dict[str, Any]:
        while b"\0" not in self._buffer:
            part = os.read(self._in, 1 << 20)
            assert part, "the browser went away"
            self._buffer += part
        line, self._buffer = self._buffer.split(b"\0", 1)
        return dict(json.loads(line))

    def open(self, page: Path) -> None:
        """Open a file and wait until its script says that it has drawn."""
        self.call("Page.navigate", url=page.as_uri())
        assert self.wait("document.documentElement?.dataset.ready === 'yes'"), self.complaints()

    def evaluate(self, expression: str) -> Any:
        """Value of a JavaScript expression; promises are waited for."""
        answer = self.call("Runtime.evaluate", expression=expression, returnByValue=True, awaitPromise=True)
        assert "exceptionDetails" not in answer, answer
        return answer["result"].get("value")

    def wait(self, condition: str, limit_s: float = 20.0) -> bool:
        """Whether a condition comes true in time, asked once an animation frame."""
        until = time.monotonic() + limit_s
        while time.monotonic() < until:
            if self.evaluate(condition):
                return True
            self.evaluate("new Promise((done) => setTimeout(done, 30))")
        return False

    def complaints(self) -> list[Any]:
        """Errors and warnings of the console, exceptions, and what was loaded from anywhere but the file itself."""
        found: list[Any] = []
        for event in self.events:
            method, content = event.get("method"), event.get("params", {})
            said = content.get("type") if method == "Runtime.consoleAPICalled" else None
            logged = content["entry"]["level"] if method == "Log.entryAdded" else None
            if method == "Runtime.exceptionThrown" or {said, logged} & {"error", "warning", "assert"}:
                found.append(content)
            url = content["request"]["url"] if method == "Network.requestWillBeSent" else "about:"
            if not url.startswith(("data:", "about:", "file:")):
                found.append(url)
        return found

    def close(self) -> None:
        """End the browser."""
        os.write(self._out, b'{"id": 0, "method": "Browser.close"}\0')
        os.close(self._out)
        self._process.wait(timeout=20)
        os.close(self._in)


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """Start Chromium, or skip."""
    program = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if program is None:
        pytest.skip("no chromium here: install it (apt-get install chromium) to look at the report in a browser")
    with tempfile.TemporaryDirectory() as profile:
        running = Browser(program, profile)
        yield running
        running.close()


def picture(seed: int) -> bytes:
    """A small JPEG of noise."""
    image = np.random.default_rng(seed).integers(0, 255, (120, 180), dtype=np.uint8)
    return cv2.imencode(".jpg", cv2.GaussianBlur(image, (0, 0), 3.0))[1].tobytes()


@pytest.fixture(scope="module")
def page(make_flight: Callable[..., list[FrameResult]], origin: LocalFrame) -> Iterator[Path]:
    """Write a report of two flights with hostile file names; one of them without any estimate."""
    first = make_flight(1, 240, name=HOSTILE)
    worst = range(95, 110, 5)
    first = [
        dataclasses.replace(row, frame_jpeg=picture(i), map_jpeg=picture(i + 1)) if i in worst else row
        for i, row in enumerate(first)
    ]
    second = [dataclasses.replace(row, state=None, fix=None, aids=(), stage_ms={}) for row in make_flight(2, 60)]
    run = RunFacts(12.0, 800.0, "0123456789ab", 2)
    background = MapPicture(picture(9), 48.435, 48.405, 37.12, 37.08)
    parts = [
        FlightPart(HOSTILE, first, figures([first], run), origin, background, note="<i>note</i>"),
        FlightPart("lost", second, figures([second], run), origin),
    ]
    report = Report(HOSTILE.format(0), figures([first, second], run), parts, [("command", "a <b> & 'c'")])
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "report.html"
        path.write_text(render(report), encoding="utf-8")
        yield path


DRAWN = """
Object.fromEntries([...document.querySelectorAll('canvas[id]')].map((canvas) => {
  const data = canvas.getContext('2d').getImageData(0, 0, canvas.width, canvas.height).data, seen = new Set();
  for (let i = 0; i < data.length; i += 4) if (data[i + 3]) seen.add(data[i] << 16 | data[i + 1] << 8 | data[i + 2]);
  return [canvas.id, seen.size];
}))
"""
CANVASES = {"share", "map", "strips", "error", "aids", "height", "stages", "latency"}


def test_the_page_draws_from_a_file_without_complaint(browser: Browser, page: Path) -> None:
    """Opened from file:// every chart has content, nothing is loaded from elsewhere and the console stays empty."""
    browser.open(page)
    assert browser.wait("document.querySelector('.pair img').complete")
    drawn = browser.evaluate(DRAWN)
    assert {name for name, colours in drawn.items() if colours > 5} == CANVASES
    assert browser.complaints() == []


CURVE = """
(async () => {
  const pen = CanvasRenderingContext2D.prototype, { beginPath, lineTo, stroke } = pen, found = [];
  let path = [];
  pen.beginPath = function () { path = []; return beginPath.call(this); };
  pen.lineTo = function (x, y) { path.push([x, y]); return lineTo.call(this, x, y); };
  pen.stroke = function () {
    if (this.canvas.id === "share" && this.lineWidth > 2.7) found.push(path);
    return stroke.call(this);
  };
  DARK.dispatchEvent(new Event("change"));
  for (let k = 0; k < 100 && !found.length; k++) await new Promise((done) => setTimeout(done, 20));
  Object.assign(pen, { beginPath, lineTo, stroke });
  return [found[found.length - 1], document.getElementById("share").clientHeight];
})()
"""


def test_the_curve_of_shares_rises_to_the_frames_with_an_estimate(browser: Browser, page: Path) -> None:
    """From no frame at the smallest error up to the 240 of 300 frames that have one: misses never count."""
    browser.open(page)
    points, height = browser.evaluate(CURVE)
    x, y = np.array(points, dtype=float).T
    bottom, top = height - 40.0, 10.0
    assert np.all(np.diff(x) >= 0.0)
    assert np.all(np.diff(y) < 0.0)
    assert (bottom - y[0]) / (bottom - top) == pytest.approx(0.0, abs=0.01)
    assert (bottom - y[-1]) / (bottom - top) == pytest.approx(240 / 300, abs=0.015)


def test_hostile_names_stay_text(browser: Browser, page: Path) -> None:
    """Markup in titles, notes and file names is shown as it is and makes no element."""
    browser.open(page)
    assert browser.evaluate("document.querySelector('h1').textContent") == HOSTILE.format(0)
    assert browser.evaluate("document.querySelectorAll('img[onerror], h1 b, .note i, .meta b b').length") == 0
    assert "<i>note</i>" in browser.evaluate("document.getElementById('flight').textContent")


def test_a_click_on_the_error_chart_shows_that_frame(browser: Browser, page: Path) -> None:
    """Clicking into a chart pins the frame at that time and the inspector tells its label, error and map fix."""
    browser.open(page)
    browser.evaluate("document.getElementById('error').scrollIntoView({block: 'center'})")
    box = browser.evaluate("(({x, y, width, height}) => [x, y, width, height])"
                           "(document.getElementById('error').getBoundingClientRect())")  # fmt: skip
    at = {"x": box[0] + box[2] / 2, "y": box[1] + box[3] / 2, "button": "left", "clickCount": 1}
    for kind in ("mouseMoved", "mousePressed", "mouseReleased"):
        browser.call("Input.dispatchMouseEvent", type=kind, **at)
    said = browser.evaluate("document.querySelector('.inspect').innerText")
    assert "error" in said
    assert "map fix" in said
    assert any(label in said for label in ("satellite anchored", "visual propagated", "dead reckoned"))
    assert browser.complaints() == []


def test_a_flight_without_any_estimate_is_shown_too(browser: Browser, page: Path) -> None:
    """The second flight, where nothing was estimated, can be chosen and says that there is no estimate."""
    browser.open(page)
    browser.evaluate("document.querySelectorAll('#flights tr')[1].click()")
    assert browser.wait("document.querySelector('#flight h2').textContent === 'lost'")
    assert "100 %" in browser.evaluate("document.querySelector('.shares').lastChild.textContent")
    assert browser.complaints() == []
