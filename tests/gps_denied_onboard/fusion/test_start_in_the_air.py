"""A filter that starts in flight, in any order of its first messages."""

from __future__ import annotations

import itertools

import pytest

from gps_denied_onboard.fusion.config import FusionConfig
from gps_denied_onboard.fusion.eskf import Eskf
from gps_denied_onboard.geometry.camera import CameraModel
from gps_denied_onboard.geometry.geodesy import LocalFrame
from gps_denied_onboard.messages import AttitudeSample, BaroSample, ImuSample

KINDS = ("imu", "attitude", "baro")


@pytest.mark.parametrize("order", list(itertools.permutations(KINDS)), ids="-".join)
def test_the_first_barometer_value_sets_the_height(order: tuple[str, ...]) -> None:
    """600 m above the origin and without a take-off place, the height is right after a second, whatever came first."""
    fusion = Eskf(LocalFrame(48.0, 37.0, 100.0), CameraModel.from_fov(640, 480, 50.0), FusionConfig())
    for k in range(100):
        t_ns = 10**10 + k * 10**7
        for kind in order:
            if kind == "imu":
                fusion.update(ImuSample(t_ns + 1, (0.0, 0.0, -9.80665), (0.0, 0.0, 0.0)))
            elif kind == "attitude" and k % 4 == 0:
                fusion.update(AttitudeSample(t_ns, (1.0, 0.0, 0.0, 0.0)))
            elif kind == "baro" and k % 10 == 5:
                fusion.update(BaroSample(t_ns, 700.0))
    estimate = fusion.estimate(10**10 + 10**9)
    assert estimate is not None
    assert not estimate.position_known
    assert estimate.position_enu_m[2] == pytest.approx(600.0, abs=3.0)
    assert 0.5 < estimate.covariance[2, 2] ** 0.5 < 30.0
