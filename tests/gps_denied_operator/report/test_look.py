"""All pages have one look that is readable in sunlight, and need nothing but themselves."""

from __future__ import annotations

import re
import shutil
import subprocess
import tempfile
from pathlib import Path

import cv2
import numpy as np
import pytest

from gps_denied_operator.report.html import page_style, plain_page
from gps_denied_operator.tiles.preview_page import preview_page

TEXT_ON = {
    "ink": ("paper", "panel", "good-soft", "warn-soft", "bad-soft"),
    "soft": ("paper", "panel"),
    "good": ("paper", "good-soft"),
    "warn": ("paper", "warn-soft"),
    "bad": ("paper", "bad-soft"),
    "anchored": ("paper",),
    "reckoned": ("paper",),
}
CONTRAST_MIN = 5.4  # WCAG asks for 4.5 indoors, and for 7 as its best
CONTRAST_BODY_MIN = 7.0


def colours() -> dict[str, str]:
    """The named colours of the style sheet, six digits each."""
    found = dict(re.findall(r"--([a-z-]+): (#[0-9a-f]{3,6});", page_style()))
    return {
        name: value if len(value) == 7 else "#" + "".join(2 * c for c in value[1:]) for name, value in found.items()
    }


def luminance(colour: str) -> float:
    """Relative luminance as WCAG 2 defines it."""
    channels = np.array([int(colour[k : k + 2], 16) for k in (1, 3, 5)]) / 255.0
    linear = np.where(channels <= 0.04045, channels / 12.92, ((channels + 0.055) / 1.055) ** 2.4)
    return float(linear @ (0.2126, 0.7152, 0.0722))


def test_text_stands_out_on_every_ground() -> None:
    """Contrast of every text colour on every ground that it is used on."""
    known = colours()
    for text, grounds in TEXT_ON.items():
        for ground in grounds:
            bright, dark = sorted((luminance(known[text]), luminance(known[ground])), reverse=True)
            least = CONTRAST_BODY_MIN if text in ("ink", "soft") else CONTRAST_MIN
            assert (bright + 0.05) / (dark + 0.05) >= least, (text, ground)


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

    flight = resolved([(48.42, 37.1), (48.45, 37.2), (48.47, 37.15)], "a.plan", mission_id="a", buffer_m=2000.0)
    return plan_page(needs(flight, 18, "provider", None, TilesConfig(), datetime(2026, 6, 1, tzinfo=UTC)))


def camera() -> str:
    from gps_denied_onboard.geometry.camera import CameraModel
    from gps_denied_operator.calibrate.camera import CameraCalibration
    from gps_denied_operator.calibrate.pages import camera_page

    rng = np.random.default_rng(0)
    lens = CameraModel(640, 480, 620.0, 620.0, 320.0, 240.0, "brown", (-0.2, 0.1, 0.0, 0.0, 0.0))
    pixel = rng.uniform((0, 0), (640, 480), (400, 2))
    found = CameraCalibration(lens, 0.2, 0.2, 0.3, 0.3, 0.9, {"a.png": 0.2}, pixel, rng.normal(0.0, 0.2, (400, 2)), ())
    return camera_page(found, "board")
