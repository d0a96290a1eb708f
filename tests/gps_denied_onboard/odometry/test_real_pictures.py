"""Steps over real photographs: how many register, how well, how far the chain drifts."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

from gps_denied_onboard.geometry.camera import CameraModel
from gps_denied_onboard.odometry.config import OdometryConfig

from .real_pictures import Score, camera_of, read_stills, read_video, score

STILLS = OdometryConfig(relative_tilt_sigma_deg=5.0)
"""No attitude: the picture decides about tilt."""


@dataclass(frozen=True)
class Flight:
    """A folder, its camera, a rough height and what must come out."""

    folder: str
    camera: CameraModel
    height_m: float
    climbs: bool = False


ISLAMABAD = Flight("islamabad", camera_of(852, 480, 608.0, 852.0), 152.0)
CALITERRA = Flight("caliterra", camera_of(1600, 1200, 4.5, 6.17), 10.0, climbs=True)
SENECA = Flight("seneca", camera_of(1200, 900, 4.3, 6.17), 60.0)
GARFIELD = Flight(
    "garfield",
    CameraModel(1600, 1200, 1246.8, 1246.8, 788.2, 590.9, "brown", (0.17844, -0.47458, -0.0009, -0.00065, 0.40203)),
    110.0,
)


def run(flight: Flight, data: Path, say: bool = True) -> Score:
    """Score a flight and print its row."""
    folder = data / flight.folder
    views = read_video(folder, 10, flight.camera.fx_px) if flight.folder == "islamabad" else read_stills(folder)
    result = score(views, flight.camera, STILLS, flight.height_m, flight.climbs)
    if say:
        lost = Counter(s.reason for s in result.steps if s.status != "ok")
        print(
            f"\n{flight.folder}: {len(result.steps)} steps, registered {100 * result.registered:.1f} %, "
            f"drift {result.drift_percent():.2f} % (best turn and scale), "
            f"residual {result.residual_px:.2f} px, wrong {result.wrong()}, "
            f"{dict(Counter(s.method for s in result.steps if s.status == 'ok'))}, lost: {dict(lost)}"
        )
        if result.yaw_offset_rad:
            print(f"  drift {result.heading_drift_percent():.2f} % (only the initial heading taken out)")
    return result


@pytest.mark.slow
def test_video_registers_and_drifts_little(shared_data: Path) -> None:
    """Every tenth frame of the nadir video registers, sub-pixel, and the chain ends within 2.5 % of the distance."""
    result = run(ISLAMABAD, shared_data)
    assert result.registered >= 0.995
    assert result.residual_px < 0.5
    assert result.heading_drift_percent() < 2.5


@pytest.mark.slow
def test_stills_with_a_climb_register(shared_data: Path) -> None:
    """Nadir stills with 83 % overlap register through a climb and turns; their GPS is too coarse to score a step."""
    result = run(CALITERRA, shared_data)
    assert result.registered >= 0.99
    assert result.residual_px < 1.0


@pytest.mark.slow
def test_bare_fields_register_or_are_lost(shared_data: Path) -> None:
    """Of fixed-wing stills over bare fields the neighbouring ones register, and next to none is wrong."""
    result = run(SENECA, shared_data)
    near = [s.status == "ok" for s, t in zip(result.steps, result.truth, strict=True) if np.hypot(*t[:2]) < 40.0]
    assert np.mean(near) >= 0.95
    assert result.residual_px < 1.0
    assert len(result.wrong()) <= 3


@pytest.mark.slow
def test_forest_under_a_slow_shutter_is_not_far_wrong(shared_data: Path) -> None:
    """Stills of trees by a camera that bends straight lines: most register, lengths within a third or so."""
    result = run(GARFIELD, shared_data)
    assert result.registered >= 0.6
    assert len(result.wrong(0.4)) <= 1
