"""How the camera sits in the body, from a flight with good GPS: map fixes against the autopilot's attitude.

A picture over flat ground hardly tells a tilt from a displacement. With the position known by GPS it does: each fix's
rotation is conditioned on the GPS position (Gaussian conditioning of its covariance), and set against the autopilot's
attitude of the same moment. Errors of the autopilot's attitude and of the map last for tens of seconds, so the
uncertainty is that of means over BLOCK_S, not of single pictures. A tilt by which the autopilot itself is not level
is part of the answer: the navigation uses the same attitude. A turn about the down axis looks like an error of the
compass, which is larger: it is told, and left out of the mount.
"""

from __future__ import annotations

import math
from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from gps_denied_onboard.geometry.geodesy import LocalFrame
from gps_denied_onboard.geometry.rotations import (
    ROTATION_NED_TO_ENU,
    exp_rotation,
    log_rotation,
    matrix_from_quaternion,
)
from gps_denied_onboard.messages import (
    AttitudeSample,
    FixType,
    FloatArray,
    GpsHealth,
    GpsSample,
    NavState,
    PoseFix,
)
from gps_denied_operator.calibrate.errors import CalibrationRefusedError

FIXES_MIN = 30
BLOCK_S = 30.0
BLOCKS_MIN = 4
ACCURACY_M_MAX = 5.0
GPS_GAP_NS = 1_500_000_000
ATTITUDE_GAP_NS = 300_000_000
GPS_SIGMA_M = (1.5, 1.5, 4.0)
"""East, north, up: besides what the receiver claims, the map's own offset and the ground's height are in it."""
ATTITUDE_SIGMA_RAD = 0.011
HEADING_LENGTH_MAX = 0.85
"""Length of the mean heading vector; above it the flight went one way, and a map offset looks like a tilt."""
HUBER = 1.5
FLOOR_DEG = 0.1
SIGMA_DEG_MAX = 0.5
SCATTER_DEG_MAX = 3.0
TURN_DEG_MAX = 20.0
DRIFT_DEG_MAX = 1.0
"""Change of the tilt over the flight, by a straight line through the blocks; with more, something moves."""
DRIFT_SIGMAS = 3.0


@dataclass(frozen=True, slots=True, eq=False)
class Look:
    """One picture's word: `turn_rad` (3,) rotation vector in body axes from the nominal mount to the seen one, with
    covariance (3, 3); heading of the body in rad."""

    t_ns: int
    turn_rad: FloatArray
    covariance: FloatArray
    heading_rad: float


@dataclass(frozen=True, slots=True, eq=False)
class MountCalibration:
    """`rotation_camera_to_body` (3, 3). `turn_deg` (2,) is what it differs from the nominal mount about the body's
    forward and right axes, `sigma_deg` (2,) its uncertainty. `heading_deg` is the turn about down that the pictures
    see, mount and compass together, which is not in the rotation. `looks` and their `residual_deg` (N, 3)."""

    rotation_camera_to_body: FloatArray
    turn_deg: FloatArray
    sigma_deg: FloatArray
    heading_deg: float
    looks: tuple[Look, ...]
    residual_deg: FloatArray
    weight: FloatArray

    @property
    def tilt_deg(self) -> float:
        """Angle between the nominal and the found direction of view."""
        return math.hypot(*self.turn_deg)


def looks_of_flight(
    fixes: Sequence[PoseFix], attitudes: Sequence[AttitudeSample], gps: Sequence[GpsSample], states: Sequence[NavState],
    local: LocalFrame, nominal: FloatArray,
) -> list[Look]:  # fmt: skip
    """What each accepted fix says of the mount, where GPS was good and the attitude is known. All in time order."""
    attitude_times = [sample.t_ns for sample in attitudes]
    gps_times = [sample.t_ns for sample in gps]
    state_times = [state.t_ns for state in states]
    looks = []
    for fix in fixes:
        if not fix.accepted or not np.isfinite(fix.covariance).all():
            continue
        place = _position_enu_m(fix.t_ns, gps, gps_times, local)
        body = _body_to_enu(fix.t_ns, attitudes, attitude_times)
        after = bisect_left(state_times, fix.t_ns)
        spoofed = after < len(states) and states[after].gps_health is GpsHealth.SPOOFED
        if place is None or body is None or spoofed:
            continue
        looks.append(_look(fix, place, body, nominal))
    return looks


def calibrate_mount(looks: Sequence[Look], nominal: FloatArray) -> MountCalibration:
    """The mount that all looks agree on. CalibrationRefusedError where they cannot support one."""
    _check_looks(looks)
    turns = np.array([look.turn_rad for look in looks])
    information = np.array([np.linalg.inv(look.covariance) for look in looks])
    mean = np.median(turns, axis=0)
    weight = np.ones(len(looks))
    for _ in range(20):
        off = turns - mean
        distance = np.sqrt(np.einsum("ni,nij,nj->n", off, information, off) / 3.0)
        weight = np.minimum(1.0, HUBER / np.maximum(distance, 1e-12))
        total = (weight[:, None, None] * information).sum(axis=0)
        mean = np.linalg.solve(total, (weight[:, None] * np.einsum("nij,nj->ni", information, turns)).sum(axis=0))
    residual_deg = np.degrees(turns - mean)
    sigma_deg = _sigma_deg(looks, residual_deg, information, weight)
    _check_scatter(residual_deg, weight)
    _check_drift(looks, residual_deg, weight)
    _check_answer(np.degrees(mean), sigma_deg)
    rotation = exp_rotation(np.array([mean[0], mean[1], 0.0])) @ nominal
    turn_deg = np.degrees(mean)
    heading_deg = float(turn_deg[2])
    return MountCalibration(rotation, turn_deg[:2], sigma_deg[:2], heading_deg, tuple(looks), residual_deg, weight)


def mount_toml(calibration: MountCalibration) -> str:
    """The line of the [camera] table of a configuration."""
    rows = ", ".join(
        "[" + ", ".join(f"{value:.8f}" for value in row) + "]" for row in calibration.rotation_camera_to_body
    )
    return f"[camera]\nrotation_camera_to_body = [{rows}]\n"


def _look(fix: PoseFix, place_enu_m: FloatArray, body_to_enu: FloatArray, nominal: FloatArray) -> Look:
    """Condition the fix's rotation on the GPS position, and express what is left in body axes."""
    covariance = np.asarray(fix.covariance, dtype=float).reshape(6, 6)
    gain = covariance[3:, :3] @ np.linalg.inv(covariance[:3, :3] + np.diag(np.square(GPS_SIGMA_M)))
    turned = exp_rotation(gain @ (place_enu_m - fix.position_enu_m)) @ fix.rotation_camera_to_enu
    left = covariance[3:, 3:] - gain @ covariance[:3, 3:]
    turn = log_rotation(body_to_enu.T @ turned @ nominal.T)
    in_body = body_to_enu.T @ left @ body_to_enu + ATTITUDE_SIGMA_RAD**2 * np.eye(3)
    return Look(fix.t_ns, turn, (in_body + in_body.T) / 2.0, math.atan2(body_to_enu[0, 0], body_to_enu[1, 0]))


def _position_enu_m(
    t_ns: int, gps: Sequence[GpsSample], times_ns: Sequence[int], local: LocalFrame
) -> FloatArray | None:
    after = bisect_left(times_ns, t_ns)
    if not 0 < after < len(gps):
        return None
    pair = gps[after - 1], gps[after]
    if pair[1].t_ns - pair[0].t_ns > GPS_GAP_NS or not all(_good(sample) for sample in pair):
        return None
    places = [local.enu_from_geodetic(s.latitude_deg, s.longitude_deg, s.altitude_amsl_m) for s in pair]
    share = (t_ns - pair[0].t_ns) / max(pair[1].t_ns - pair[0].t_ns, 1)
    return np.asarray(places[0] + share * (places[1] - places[0]), dtype=float)


def _good(sample: GpsSample) -> bool:
    return (
        sample.fix_type >= FixType.FIX_3D
        and sample.horizontal_accuracy_m <= ACCURACY_M_MAX
        and sample.interference == 0
    )


def _body_to_enu(t_ns: int, attitudes: Sequence[AttitudeSample], times_ns: Sequence[int]) -> FloatArray | None:
    after = bisect_left(times_ns, t_ns)
    if not 0 < after < len(attitudes) or times_ns[after] - times_ns[after - 1] > ATTITUDE_GAP_NS:
        return None
    first, last = (
        ROTATION_NED_TO_ENU @ matrix_from_quaternion(attitudes[k].quaternion_body_to_ned) for k in (after - 1, after)
    )
    share = (t_ns - times_ns[after - 1]) / max(times_ns[after] - times_ns[after - 1], 1)
    return np.asarray(first @ exp_rotation(share * log_rotation(first.T @ last)), dtype=float)


def _sigma_deg(
    looks: Sequence[Look], residual_deg: FloatArray, information: FloatArray, weight: FloatArray
) -> FloatArray:
    """The larger of what the blocks' means scatter by, and of what the single pictures promise; with a floor.

    Blocks that follow each other alike say less than as many independent ones: their number is reduced by the
    correlation of neighbours. What the tilt changes by over the flight counts as uniformly distributed on top.
    """
    means, _ = _block_means(looks, residual_deg, weight)
    off = means - means.mean(axis=0)
    spread = np.maximum((off**2).sum(axis=0), 1e-12)
    alike = np.clip((off[1:] * off[:-1]).sum(axis=0) / spread, 0.0, 0.9)
    independent = np.maximum(len(means) * (1.0 - alike) / (1.0 + alike), 1.0)
    of_blocks = means.std(axis=0, ddof=1) / np.sqrt(independent)
    promised = np.degrees(np.sqrt(np.diag(np.linalg.inv((weight[:, None, None] * information).sum(axis=0)))))
    drift, noise = drift_deg(looks, residual_deg, weight)
    moved = np.maximum(drift**2 - noise**2, 0.0) / 12.0
    return np.asarray(np.sqrt(np.maximum(of_blocks, promised) ** 2 + moved + FLOOR_DEG**2), dtype=float)


def drift_deg(looks: Sequence[Look], residual_deg: FloatArray, weight: FloatArray) -> tuple[FloatArray, FloatArray]:
    """(3,) change over the flight of a straight line through the blocks' means, and its standard deviation; degrees."""
    means, times_s = _block_means(looks, residual_deg, weight)
    since = times_s - times_s.mean()
    slope = since @ means / (since @ since)
    left = means - means.mean(axis=0) - since[:, None] * slope
    freedom = max(len(means) - 2, 1)
    sigma = np.sqrt((left**2).sum(axis=0) / freedom / (since @ since))
    span_s = (looks[-1].t_ns - looks[0].t_ns) / 1e9
    return np.abs(slope) * span_s, sigma * span_s


def _block_means(looks: Sequence[Look], residual_deg: FloatArray, weight: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Means of the residuals over BLOCK_S, (n, 3), and the blocks' middles in s, (n,)."""
    start_ns = looks[0].t_ns
    number = np.array([int((look.t_ns - start_ns) / (BLOCK_S * 1e9)) for look in looks])
    blocks = sorted(set(number.tolist()))
    means = [np.average(residual_deg[number == k], axis=0, weights=weight[number == k]) for k in blocks]
    times_s = np.array([look.t_ns / 1e9 for look in looks])
    return np.array(means), np.array([float(times_s[number == k].mean()) for k in blocks])


def _check_looks(looks: Sequence[Look]) -> None:
    if len(looks) < FIXES_MIN:
        raise CalibrationRefusedError(
            f"{len(looks)} map fixes with good GPS (3D, to {ACCURACY_M_MAX:g} m, not spoofed) and a known attitude, "
            f"{FIXES_MIN} are needed: fly over the map with GPS, and give that recording."
        )
    span_s = (looks[-1].t_ns - looks[0].t_ns) / 1e9
    blocks = len({int((look.t_ns - looks[0].t_ns) / (BLOCK_S * 1e9)) for look in looks})
    if blocks < BLOCKS_MIN:
        raise CalibrationRefusedError(
            f"The usable fixes span {span_s:.0f} s, {BLOCKS_MIN * BLOCK_S:.0f} s are needed: errors of the attitude "
            "last for tens of seconds and would be taken for the mount."
        )
    headings = np.array([look.heading_rad for look in looks])
    length = math.hypot(float(np.cos(headings).mean()), float(np.sin(headings).mean()))
    if length > HEADING_LENGTH_MAX:
        raise CalibrationRefusedError(
            "The flight went one way only: an offset of the map would be taken for a tilt. Fly it with turns, some "
            "legs at least 90 degrees from others."
        )


def _check_drift(looks: Sequence[Look], residual_deg: FloatArray, weight: FloatArray) -> None:
    drift, sigma = drift_deg(looks, residual_deg, weight)
    for axis, name in enumerate(("roll", "pitch")):
        if drift[axis] > DRIFT_DEG_MAX and drift[axis] > DRIFT_SIGMAS * sigma[axis]:
            raise CalibrationRefusedError(
                f"The tilt in {name} changes by {drift[axis]:.1f} degrees over the flight (at most {DRIFT_DEG_MAX:g}): "
                "the camera slips in its mount, or the autopilot's attitude drifts. Fix the mount, let the autopilot "
                "calibrate its sensors, then fly again."
            )


def _check_scatter(residual_deg: FloatArray, weight: FloatArray) -> None:
    scatter = float(np.sqrt(np.average(np.sum(residual_deg[:, :2] ** 2, axis=1), weights=weight) / 2.0))
    if scatter > SCATTER_DEG_MAX:
        raise CalibrationRefusedError(
            f"Single pictures differ by {scatter:.1f} degrees (at most {SCATTER_DEG_MAX:g}): the mount moves, the "
            "attitude is wrong, or the picture's time is; check vibration and time_offset_s."
        )


def _check_answer(turn_deg: FloatArray, sigma_deg: FloatArray) -> None:
    if float(sigma_deg[:2].max()) > SIGMA_DEG_MAX:
        raise CalibrationRefusedError(
            f"The tilt is known to {float(sigma_deg[:2].max()):.2f} degrees only ({SIGMA_DEG_MAX:g} are needed): fly "
            "longer, higher, and with more turns."
        )
    turn = float(np.linalg.norm(turn_deg))
    if turn > TURN_DEG_MAX:
        raise CalibrationRefusedError(
            f"The camera sits {turn:.0f} degrees from what the configuration says: correct rotation_camera_to_body to "
            "the nearest quarter turn first, then fly again."
        )
