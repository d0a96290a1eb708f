"""All pages have one look that is readable in sunlight, and need nothing but themselves."""

from __future__ import annotations

import itertools
import re
import shutil
import subprocess
import tempfile
from importlib import resources
from pathlib import Path

import cv2
import numpy as np
import pytest

from gps_denied_operator.report.html import page_style, plain_page
from gps_denied_operator.tiles.preview_page import preview_page

TEXT_ON = {
    "ink": ("paper", "panel", "chosen", "good-soft", "warn-soft", "bad-soft"),
    "soft": ("paper", "panel", "tag"),
    "good": ("paper", "good-soft"),
    "warn": ("paper", "warn-soft"),
    "bad": ("paper", "bad-soft"),
    "anchored": ("paper",),
    "reckoned": ("paper",),
}
CONTRAST_MIN = 5.4  # WCAG asks for 4.5 indoors, and for 7 as its best
CONTRAST_BODY_MIN = 7.0
GRAPHICS_MIN = 3.0  # WCAG 1.4.11: what a chart draws
APART_MIN = 14.0
"""Least distance of two colours of one chart in CIELAB, as any reader sees them; about 2.3 can just be told apart."""
# Machado, Oliveira and Fernandes 2009, severity 1: linear RGB as people without one kind of cone see it.
READERS = {
    "usual": ((1.0, 0.0, 0.0), (0.0, 1.0, 0.0), (0.0, 0.0, 1.0)),
    "protan": ((0.152286, 1.052583, -0.204868), (0.114503, 0.786281, 0.099216), (-0.003882, -0.048116, 1.051998)),
    "deutan": ((0.367322, 0.860646, -0.227968), (0.280085, 0.672501, 0.047413), (-0.011820, 0.042940, 0.968881)),
    "tritan": ((1.255528, -0.076749, -0.178779), (-0.078411, 0.930809, 0.147602), (0.004733, 0.691367, 0.303900)),
}
XYZ = np.array([[0.4124, 0.3576, 0.1805], [0.2126, 0.7152, 0.0722], [0.0193, 0.1192, 0.9505]])
WHITE = np.array([0.9505, 1.0, 1.089])


def themes() -> dict[str, dict[str, str]]:
    """The named colours of the style sheet, six digits each, in light and in dark."""
    light, _, rest = page_style().partition("@media (prefers-color-scheme: dark)")
    dark, _, _ = rest.partition("* { box-sizing")
    found = [dict(re.findall(r"--([a-z-]+): (#[0-9a-f]{3,6});", part)) for part in (light, dark)]
    assert len(found[1]) > 15
    return {"light": found[0], "dark": {**found[0], **found[1]}}


def drawn() -> dict[str, dict[str, list[str]]]:
    """The colours that canvases draw with, by theme: one by name, or several that stand beside each other."""
    script = resources.files("gps_denied_operator.report").joinpath("page", "base.js").read_text(encoding="utf-8")
    out = {}
    for name in ("light", "dark"):
        body = script.split(f"  {name}: {{")[1].split("},\n")[0]
        found = re.findall(r'([a-z]+): (?:"(#[0-9a-f]{6})"|\[([^\]]+)\])', body)
        out[name] = {key: [one] if one else re.findall(r"#[0-9a-f]{6}", many) for key, one, many in found}
    return out


def linear(colour: str) -> np.ndarray:
    """Linear RGB of a colour."""
    channels = np.array([int(colour[k : k + 2], 16) for k in (1, 3, 5)]) / 255.0
    return np.where(channels <= 0.04045, channels / 12.92, ((channels + 0.055) / 1.055) ** 2.4)


def contrast(one: str, other: str) -> float:
    """Contrast of two colours as WCAG 2 defines it."""
    dark, bright = sorted(float(linear(colour) @ (0.2126, 0.7152, 0.0722)) for colour in (one, other))
    return (bright + 0.05) / (dark + 0.05)


def lab(colour: str, reader: str) -> np.ndarray:
    """CIELAB of a colour as a reader sees it."""
    x = XYZ @ np.clip(np.array(READERS[reader]) @ linear(colour), 0.0, 1.0) / WHITE
    f = np.where(x > 0.008856, np.cbrt(x), 7.787 * x + 16.0 / 116.0)
    return np.array([116.0 * f[1] - 16.0, 500.0 * (f[0] - f[1]), 200.0 * (f[1] - f[2])])


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_text_stands_out_on_every_ground(theme: str) -> None:
    """Contrast of every text colour on every ground that it is used on."""
    known = themes()[theme]
    for text, grounds in TEXT_ON.items():
        for ground in grounds:
            least = CONTRAST_BODY_MIN if text in ("ink", "soft") else CONTRAST_MIN
            assert contrast(full(known[text]), full(known[ground])) >= least, (text, ground)


def full(colour: str) -> str:
    """Six digits of three."""
    return colour if len(colour) == 7 else "#" + "".join(2 * c for c in colour[1:])


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_what_charts_draw_stands_out_and_keeps_apart(theme: str) -> None:
    """Text on a canvas meets AA, lines and dots 3 to 1; colours of one chart differ for colour-blind readers too."""
    known = drawn()[theme]
    (paper,) = known["paper"]
    for name in ("ink", "soft", "bad", "accent"):
        assert contrast(known[name][0], paper) >= 4.5, name
    for name in ("labels", "states", "pair", "sources", "receiver", "forged", "route", "none", "bound"):
        assert min(contrast(colour, paper) for colour in known[name]) >= GRAPHICS_MIN, name
    for group in ("labels", "states", "pair", "sources"):
        for reader in READERS:
            for one, other in itertools.combinations(known[group], 2):
                assert np.linalg.norm(lab(one, reader) - lab(other, reader)) > APART_MIN, (group, reader, one, other)


def test_the_store_and_the_reports_share_a_style() -> None:
    """`tiles serve` draws with the style sheet of the reports, and neither loads anything from elsewhere."""
    assert page_style() in preview_page()
    assert page_style() in plain_page("t", "e", [], "good", "v", "")
    for page in (preview_page(), plain_page("t", "e", [], "good", "v", "")):
        assert not re.search(r"https?://|@import|url\(", page)


@pytest.mark.slow
def test_plan_and_calibration_are_drawn_in_a_browser(tmp_path: Path) -> None:
    """In Chromium, on a small laptop's screen, both pages show their drawing and nothing reaches beyond the edge."""
    program = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if program is None:
        pytest.skip("no chromium here: install it (apt-get install chromium) to look at the pages in a browser")
    for name, page in (("plan", plan()), ("camera", camera())):
        (tmp_path / f"{name}.html").write_text(page)
        shot = tmp_path / f"{name}.png"
        with tempfile.TemporaryDirectory() as profile:
            flags = ["--headless", "--no-sandbox", "--disable-gpu", "--hide-scrollbars", "--window-size=1280,1600",
                     f"--user-data-dir={profile}", f"--screenshot={shot}"]  # fmt: skip
            subprocess.run([program, *flags, (tmp_path / f"{name}.html").as_uri()], capture_output=True, check=True)
        picture = cv2.imread(str(shot))
        assert picture is not None
        drawn = picture[420:1100].reshape(-1, 3).astype(int)
        assert 0.01 < float((np.abs(drawn - drawn[0]).sum(axis=1) > 60).mean()) < 0.9
        assert (picture[200:, -3:].min(axis=(0, 1)) >= 190).all()  # the page's margin, empty


def plan() -> str:
    from datetime import UTC, datetime

    from gps_denied_onboard.tiles.config import TilesConfig
    from gps_denied_operator.missions.needs import needs
    from gps_denied_operator.missions.plan_page import plan_page
    from gps_denied_operator.missions.route import resolved
    from gps_denied_operator.missions.route_map import route_map

    flight = resolved([(48.42, 37.1), (48.45, 37.2), (48.47, 37.15)], "a.plan", mission_id="a", buffer_m=2000.0)
    found = needs(flight, 18, "provider", None, TilesConfig(), datetime(2026, 6, 1, tzinfo=UTC))
    return plan_page(found, route_map(flight, "provider", 18, None, None))


def camera() -> str:
    from gps_denied_onboard.geometry.camera import CameraModel
    from gps_denied_operator.calibrate.camera import CameraCalibration
    from gps_denied_operator.calibrate.pages import camera_page

    rng = np.random.default_rng(0)
    lens = CameraModel(640, 480, 620.0, 620.0, 320.0, 240.0, "brown", (-0.2, 0.1, 0.0, 0.0, 0.0))
    pixel = rng.uniform((0, 0), (640, 480), (400, 2))
    found = CameraCalibration(lens, 0.2, 0.2, 0.3, 0.3, 0.9, {"a.png": 0.2}, pixel, rng.normal(0.0, 0.2, (400, 2)), ())
    return camera_page(found, "board")
