"""The state's health over a flight: verdicts, what they do to an estimate, and how they end."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from gps_denied_onboard.fusion.reasons import FilterReason
from gps_denied_onboard.integrity.state_health_config import StateHealthConfig
from gps_denied_onboard.integrity.state_monitor import StateMonitor
from gps_denied_onboard.messages import AidRecord, AidSource, Estimate, ExcludedSource, PoseFix, SubsetSolution

CONFIG = StateHealthConfig()


def estimate(subsets: tuple[SubsetSolution, ...] = ()) -> Estimate:
    covariance = np.eye(9)
    covariance[:2, :2] = np.eye(2) * 9.0
    return Estimate(
        0, np.zeros(3), np.array([20.0, 0.0, 0.0]), np.eye(3), np.eye(3), covariance, np.eye(3) * 1e-4, np.zeros(2),
        True, subsets,
    )  # fmt: skip


def aid(source: AidSource, z: float, accepted: bool = True, reason: str = FilterReason.FUSED) -> AidRecord:
    return AidRecord(0, source, (), (), (z, 0.0, 0.0), (1.0, 1.0, 1.0), 0.0, accepted, reason)


def fix(reason: str = "") -> PoseFix:
    return PoseFix(0, reason == "", reason, np.zeros(3), np.eye(3), np.eye(6), 30, 40, 1.0, False)


class Flight:
    """A monitor whose frames lie 50 m apart."""

    def __init__(self) -> None:
        self.monitor = StateMonitor(CONFIG)
        self.flown_m = 0.0

    def fits(self, count: int, reason: str = FilterReason.FUSED) -> None:
        for _ in range(count):
            self.flown_m += 50.0
            self.monitor.on_records([aid(AidSource.FIX, 0.5, reason=reason)])
            self.monitor.on_picture(fix(), True, self.flown_m, 500.0)
            self.monitor.assess(estimate())

    def misses(self, count: int, reason: str = "few_inliers") -> None:
        for _ in range(count):
            self.flown_m += 50.0
            self.monitor.on_picture(fix(reason), False, self.flown_m, 500.0)

    @property
    def healthy(self) -> bool:
        self.monitor.assess(estimate())
        return self.monitor.healthy


@pytest.fixture
def flight() -> Flight:
    return Flight()


def test_a_state_that_fits_is_healthy_and_costs_nothing(flight: Flight) -> None:
    """Fair weather: the ellipse is the fusion's own, but for the camera's clock."""
    flight.fits(20)
    out = flight.monitor.protect(estimate())
    assert out is not None
    assert out.healthy
    assert out.anchored
    assert out.covariance[1, 1] == pytest.approx(9.0)
    assert out.covariance[0, 0] == pytest.approx(9.0 + (20.0 * CONFIG.camera_clock_sigma_s) ** 2)
    assert 15.0 < out.protection_level_m < 18.0


def test_pictures_that_may_be_late_widen_the_state_every_way(flight: Flight) -> None:
    """A second at 20 m/s is 20 m along a track that may have turned since, however well the camera's clock is known."""
    flight.fits(20)
    flight.monitor.camera_clock_sigma_s = 0.01
    for lag_s in (1.0, 0.0):
        flight.monitor.picture_lag_s = lag_s
        out = flight.monitor.protect(estimate())
        assert out is not None
        assert out.covariance[1, 1] == pytest.approx(9.0 + (20.0 * lag_s) ** 2)
        assert out.protection_level_m > 20.0 * lag_s


def test_fixes_that_do_not_fit_grow_the_ellipse_and_then_the_verdict(flight: Flight) -> None:
    """Refused fixes count against the state, not against themselves alone."""
    flight.fits(12)
    grown = []
    for _ in range(6):
        flight.monitor.on_records([aid(AidSource.FIX, 9.0, accepted=False)])
        out = flight.monitor.protect(estimate())
        assert out is not None
        grown.append(float(out.covariance[1, 1]))
    assert grown == sorted(grown)
    assert grown[-1] > 5 * 9.0
    assert not flight.healthy


def test_odometry_refused_on_one_side_is_evidence(flight: Flight) -> None:
    """Three refused steps of one sign: the state is in doubt until a fix settles it."""
    flight.fits(3)
    for _ in range(3):
        flight.monitor.on_records([aid(AidSource.ODOMETRY, 6.0, accepted=False, reason=FilterReason.OUTSIDE_GATE)])
    assert not flight.healthy
    assert "odometry" in flight.monitor.reason
    flight.fits(1)
    assert flight.healthy


def test_a_lying_source_is_told_and_covered(flight: Flight) -> None:
    """A subset far away makes the state unhealthy, and the ellipse hold it."""
    flight.fits(3)
    far = SubsetSolution(ExcludedSource.ODOMETRY, np.array([0.0, 80.0]), np.eye(2) * 25.0)
    assert flight.monitor.assess(estimate((far,))) is not None
    assert flight.monitor.reason == "sources disagree: 80 m without odometry"
    out = flight.monitor.protect(estimate((far,)))
    assert out is not None
    assert not out.healthy
    assert np.sqrt(5.991 * out.covariance[1, 1]) > 85.0


def test_an_unconfirmed_origin_is_searched_for_elsewhere(flight: Flight) -> None:
    """Frames that match nothing where the state began: unhealthy, and more of the map is searched."""
    assert flight.monitor.elsewhere_m == 0.0
    flight.misses(2)
    assert flight.monitor.elsewhere_m >= CONFIG.silence_sigma_m
    assert not flight.healthy
    out = flight.monitor.protect(estimate())
    assert out is not None
    assert np.sqrt(5.991 * out.covariance[1, 1]) > 300.0
    flight.fits(1)
    assert flight.healthy


@pytest.mark.parametrize("reason", ["outside_map", "no_texture"])
def test_where_there_is_nothing_to_match_silence_says_nothing(flight: Flight, reason: str) -> None:
    """No map under the frame, or a dark frame, is no evidence against a place that a fix has confirmed."""
    flight.fits(1)
    flight.misses(10, reason)
    assert flight.healthy


def test_an_unconfirmed_origin_off_the_map_is_in_doubt(flight: Flight) -> None:
    """A take-off place ten kilometres wrong lies off the map: that too is silence, until a first fix."""
    flight.misses(1, "outside_map")
    assert not flight.healthy


def test_a_relocation_is_contested_until_evidence_decides(flight: Flight) -> None:
    """The old position stays within the ellipse until enough fixes over enough ground fit the new one."""
    flight.misses(4)
    flight.fits(1, FilterReason.RELOCATED)
    assert not flight.healthy
    assert not flight.monitor.anchored
    old = SubsetSolution(ExcludedSource.MAP, np.array([0.0, 300.0]), np.eye(2) * 100.0)
    out = flight.monitor.protect(estimate((old,)))
    assert out is not None
    assert np.sqrt(5.991 * out.covariance[1, 1]) > 300.0
    flight.fits(7)
    assert flight.healthy
    assert flight.monitor.anchored
    assert flight.monitor.drop_rival


def test_a_relocation_against_a_sound_state_takes_more(flight: Flight) -> None:
    """An aircraft does not jump: a state that fixes had just confirmed is not ruled out by a few others."""
    flight.fits(20)
    flight.fits(1, FilterReason.RELOCATED)
    flight.fits(10)
    assert not flight.healthy
    flight.fits(25)
    assert flight.healthy


def test_a_position_that_is_not_known_is_left_alone(flight: Flight) -> None:
    """Before the first position there is nothing to protect."""
    unknown = dataclasses.replace(estimate(), position_known=False)
    assert flight.monitor.protect(unknown) is unknown
    assert flight.monitor.protect(None) is None


def test_a_verdict_is_told_once(flight: Flight) -> None:
    """The same kind of trouble is told when it begins and when it ends, however its numbers change."""
    flight.fits(3)
    far = [SubsetSolution(ExcludedSource.AIR, np.array([0.0, m]), np.eye(2) * 25.0) for m in (80.0, 90.0)]
    assert flight.monitor.assess(estimate((far[0],)))
    assert flight.monitor.assess(estimate((far[1],))) is None
    assert flight.monitor.assess(estimate()) == ""


def east_m(flight: Flight, bearing: tuple[float, float] = (1.0, 0.0)) -> float:
    """Half the 95 % ellipse's width along a direction."""
    out = flight.monitor.protect(estimate())
    assert out is not None
    axis = np.array(bearing)
    return float(np.sqrt(5.991 * axis @ out.covariance[:2, :2] @ axis))


def test_a_gps_elsewhere_puts_a_state_in_doubt_that_nothing_confirmed(flight: Flight) -> None:
    """The place that somebody entered and the GPS are both within the ellipse, and neither is believed."""
    assert flight.monitor.on_gps(np.array([0.0, 900.0]), estimate())
    assert not flight.monitor.on_gps(np.array([0.0, 900.0]), estimate())
    assert flight.monitor.assess(estimate()) == "the GPS is not at the take-off place: 900 m away"
    flight.monitor.on_gps(np.array([0.0, 910.0]), estimate())
    assert flight.monitor.assess(estimate()) is None  # told once
    assert not flight.healthy
    assert flight.monitor.elsewhere_m == pytest.approx(910.0)
    assert 910.0 < east_m(flight, (0.0, 1.0)) < 1200.0
    assert east_m(flight) < 10.0
    out = flight.monitor.protect(estimate())
    assert out is not None
    assert out.protection_level_m > 910.0


def test_that_doubt_stays_when_the_gps_goes_and_ends_when_it_agrees(flight: Flight) -> None:
    """A GPS that was jammed since had said it all the same; one that comes to agree takes it back."""
    flight.monitor.on_gps(np.array([0.0, 900.0]), estimate())
    assert not flight.monitor.on_gps(None, estimate())
    assert not flight.monitor.on_gps(np.array([0.0, 0.0]), None)
    assert not flight.healthy
    assert flight.monitor.on_gps(np.array([6.0, 6.0]), estimate())
    assert flight.healthy
    assert flight.monitor.elsewhere_m == 0.0


@pytest.mark.parametrize(("reason", "count"), [(FilterReason.FUSED, 2), (FilterReason.POSITION_STARTS, 1)])
def test_that_doubt_ends_with_fixes(flight: Flight, reason: str, count: int) -> None:
    """Two fixes that fit confirm the state, and one that sets it anew replaces it, whatever the GPS says."""
    flight.monitor.on_gps(np.array([0.0, 900.0]), estimate())
    flight.fits(count, reason)
    assert flight.healthy
    assert east_m(flight, (0.0, 1.0)) < 15.0


def test_a_gps_is_no_evidence_against_fixes(flight: Flight) -> None:
    """A state that map fixes vouch for is not put in doubt by a GPS that may be forged; one fix does not yet vouch."""
    flight.fits(1)
    assert flight.monitor.on_gps(np.array([0.0, 900.0]), estimate())
    flight.fits(1)
    assert not flight.monitor.on_gps(np.array([0.0, 900.0]), estimate())
    assert flight.healthy


def test_a_gps_within_its_own_and_the_states_doubt_says_nothing(flight: Flight) -> None:
    """30 m are within the gate of a state known to 3 m and a GPS taken as 5 m; 33 m are not."""
    assert not flight.monitor.on_gps(np.array([30.0, 0.0]), estimate())
    assert flight.monitor.on_gps(np.array([33.0, 0.0]), estimate())
