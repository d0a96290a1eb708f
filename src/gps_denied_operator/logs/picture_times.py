"""When the pictures beside a log were taken, on the log's clock: by camera messages, their own times, or the turns that
pictures and gyros both saw. Each answer comes with its sigma, and with what it rests on."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

import numpy as np

from gps_denied_onboard.messages import AttitudeSample, FixType, FloatArray, GpsSample, ImuSample
from gps_denied_operator.logs.flight_log import FlightLog

EVENT_SIGMA_S = 0.03
"""Of a camera message: the shutter's own delay and the logger's."""
INTERVAL_TOLERANCE_S = 0.7
QUARTER_HOUR_S = 900.0
ZONE_QUARTERS_MAX = 56
STAMP_SIGMA_S, SUBSECOND_SIGMA_S = 0.6, 0.3
GRID_HZ = 10.0
CORRELATION_MIN = 0.5
FRAME_SHARE = 0.15
"""No turn is placed better than this share of the time between two pictures."""
OVERLAP_S_MIN = 20.0
PLACE_WORTH = 3
SEARCH_S, SEARCH_STEP_S = 30.0, 0.1


class AlignedBy(StrEnum):
    """What the offset rests on."""

    CAMERA_MESSAGES = "camera messages"
    POSITIONS = "positions of the pictures"
    TIMES = "times of the pictures"
    TURNS = "turns seen by gyro and pictures"
    NOTHING = "nothing"


@dataclass(frozen=True, slots=True)
class Alignment:
    """Times of the pictures in ns of the log (None: that picture has none). `offset_s` is what was added to the
    pictures' own clock (None: they have none), `sigma_s` how well that is known."""

    times_ns: tuple[int | None, ...]
    by: AlignedBy
    offset_s: float | None
    sigma_s: float
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Stamp:
    """What one picture says of itself. `own_s` is on the camera's clock, `utc_s` by a clock that is known."""

    own_s: float | None = None
    utc_s: float | None = None
    subsecond: bool = False
    latitude_deg: float | None = None
    longitude_deg: float | None = None


def unaligned(count: int, why: str) -> Alignment:
    """No picture can be placed."""
    return Alignment((None,) * count, AlignedBy.NOTHING, None, math.inf, (why,))


def align_stamps(log: FlightLog, stamps: Sequence[Stamp]) -> Alignment:
    """Place stills on the log's clock by the best that there is."""
    notes: list[str] = []
    by_events = _by_events(log.camera_ns, [s.own_s for s in stamps], notes)
    if by_events is not None:
        return by_events
    own = [s.utc_s if s.utc_s is not None else s.own_s for s in stamps]
    known = [t for t in own if t is not None]
    if not known:
        return unaligned(len(stamps), "the pictures have no times, and the log has no camera message for each.")
    if len(known) < len(stamps):
        notes.append(f"{len(stamps) - len(known)} pictures have no time: left out.")
    if log.unix_ns_at_zero is None:
        notes.append("the log never tells UTC: the pictures are placed by their positions alone.")
        guess_s = -float(np.median(known)) + log.duration_ns / 2e9
        candidates = [guess_s]
    else:
        zero_s = -log.unix_ns_at_zero / 1e9
        utc = all(s.utc_s is not None for s in stamps if s.own_s is not None or s.utc_s is not None)
        zones = [0] if utc else sorted(range(-ZONE_QUARTERS_MAX, ZONE_QUARTERS_MAX + 1), key=abs)
        candidates = [zero_s + zone * QUARTER_HOUR_S for zone in zones]
        if not utc:
            notes.append("the pictures' times name no time zone: the one that puts them into the flight was taken.")
    inside = [c for c in candidates if _inside(known, c, log.duration_ns / 1e9)]
    if not inside:
        return unaligned(len(stamps), "by their times the pictures were not taken during this log.")
    placed = [(s, t) for s, t in zip(stamps, own, strict=True) if t is not None and s.latitude_deg is not None]
    if len(placed) >= PLACE_WORTH:
        found = _by_positions(log, placed, inside, wide=log.unix_ns_at_zero is None)
        if found is not None:
            return _shifted(own, found[0], AlignedBy.POSITIONS, found[1], notes)
    if log.unix_ns_at_zero is None:
        return unaligned(len(stamps), "the log tells no UTC and the pictures no positions: nothing places them.")
    if len(inside) > 1:
        spread = max(abs(c - inside[0]) for c in inside)
        notes.append(
            f"{len(inside)} time zones fit, up to {spread / 3600.0:.2g} h apart: the one nearest to UTC was taken; "
            "check it."
        )
    sigma = SUBSECOND_SIGMA_S if all(s.subsecond for s in stamps) else STAMP_SIGMA_S
    return _shifted(own, inside[0], AlignedBy.TIMES, sigma, notes)


def _inside(times_s: Sequence[float], offset_s: float, duration_s: float) -> bool:
    """Whether half of the pictures or more are of this log."""
    return sum(0.0 <= t + offset_s <= duration_s for t in times_s) * 2 >= len(times_s)


def _shifted(
    own: Sequence[float | None], offset_s: float, by: AlignedBy, sigma_s: float, notes: Sequence[str]
) -> Alignment:
    times = tuple(None if t is None else round((t + offset_s) * 1e9) for t in own)
    return Alignment(times, by, offset_s, sigma_s, tuple(notes))


def _by_events(events_ns: Sequence[int], own_s: Sequence[float | None], notes: list[str]) -> Alignment | None:
    """One message for each picture: all of them, or a run of them that fits the pictures' own intervals."""
    if not events_ns:
        return None
    count = len(own_s)
    if len(events_ns) == count:
        return _matched(list(events_ns), own_s, notes)
    known = [t for t in own_s if t is not None]
    if len(known) < count or count < 3 or len(events_ns) < count:
        notes.append(f"{len(events_ns)} camera messages and {count} pictures: which belongs to which nothing tells.")
        return None
    gaps = np.diff(np.array(known))
    runs = [(float(np.max(np.abs(np.diff(np.array(events_ns[k : k + count]) / 1e9) - gaps))), k)
            for k in range(len(events_ns) - count + 1)]  # fmt: skip
    worst, first = min(runs)
    second = min((w for w, k in runs if k != first), default=math.inf)
    if worst > INTERVAL_TOLERANCE_S or second < 2.0 * INTERVAL_TOLERANCE_S:
        notes.append(
            f"{len(events_ns)} camera messages and {count} pictures: their intervals do not tell which is which."
        )
        return None
    notes.append(f"{len(events_ns) - count} camera messages have no picture: the intervals tell which.")
    return _matched(list(events_ns[first : first + count]), own_s, notes)


def _matched(events_ns: list[int], own_s: Sequence[float | None], notes: list[str]) -> Alignment:
    apart = [e / 1e9 - t for e, t in zip(events_ns, own_s, strict=True) if t is not None]
    offset = float(np.median(apart)) if apart else None
    return Alignment(tuple(events_ns), AlignedBy.CAMERA_MESSAGES, offset, EVENT_SIGMA_S, tuple(notes))


def _by_positions(
    log: FlightLog, placed: Sequence[tuple[Stamp, float]], candidates: Sequence[float], *, wide: bool
) -> tuple[float, float] | None:
    """(offset, sigma) that puts the pictures' own positions onto the receiver's track; None where nothing does."""
    gps = [m for m in log.messages if isinstance(m, GpsSample) and m.fix_type >= FixType.FIX_3D]
    if len(gps) < 10:
        return None
    t = np.array([m.t_ns for m in gps]) / 1e9
    scale = math.cos(math.radians(gps[0].latitude_deg))
    track = np.array([[m.longitude_deg * 111_320.0 * scale, m.latitude_deg * 111_200.0] for m in gps])
    own = np.array([own_s for _, own_s in placed])
    place = np.array([[(s.longitude_deg or 0.0) * 111_320.0 * scale, (s.latitude_deg or 0.0) * 111_200.0]
                      for s, _ in placed])  # fmt: skip

    def cost(offset_s: float) -> float:
        at = own + offset_s
        apart = np.hypot(*(np.interp(at, t, track[:, k]) - place[:, k] for k in (0, 1)))
        return float(np.mean(np.minimum(apart, 500.0) ** 2))

    reach = log.duration_ns / 2e9 if wide else SEARCH_S
    step = 0.5 if wide else SEARCH_STEP_S
    offsets = [c + d for c in candidates for d in np.arange(-reach, reach + step, step).tolist()]
    costs = [cost(o) for o in offsets]
    best = int(np.argmin(costs))
    fine = np.arange(offsets[best] - step, offsets[best] + step, 0.02)
    costs_fine = [cost(float(o)) for o in fine]
    offset, least = float(fine[int(np.argmin(costs_fine))]), min(costs_fine)
    if least > 50.0**2:
        return None
    h = 0.5
    bend = max((cost(offset + h) + cost(offset - h) - 2.0 * least) / (h * h), 1e-9)
    sigma = math.sqrt(2.0 * max(least, 1.0) / (bend * len(placed)))
    return offset, max(sigma, 0.05)


# --- turns ------------------------------------------------------------------------------------------------------------


def align_turns(log: FlightLog, times_s: FloatArray, turned_rad: FloatArray) -> Alignment:
    """Place a video on the log's clock: `turned_rad` (N - 1,) is how far the picture turned about its own middle
    between the frames at `times_s` (N,). Which way the camera is mounted does not matter, but it looks down."""
    count = len(times_s)
    turn = _gyro_turn(log)
    if turn is None:
        return unaligned(count, "the log holds neither rates nor attitudes to compare the video's turns with.")
    grid, gyro = turn
    if count < 3 or times_s[-1] - times_s[0] < OVERLAP_S_MIN:
        return unaligned(count, f"the video is shorter than {OVERLAP_S_MIN:.0f} s: its turns say nothing sure.")
    own = np.arange(times_s[0], times_s[-1], 1.0 / GRID_HZ)
    total = np.concatenate([[0.0], np.cumsum(turned_rad)])
    cells = max(5, round(float(np.median(np.diff(times_s))) * GRID_HZ))  # a turn is a mean between two pictures
    seen = _smooth(np.gradient(np.interp(own, times_s, total), 1.0 / GRID_HZ))
    gyro = _smooth(_smooth(gyro, cells))
    best = max((_correlated(sign * seen, gyro) for sign in (1.0, -1.0)), key=lambda found: found[0])
    strength, lag = best[0], best[1]
    if strength < CORRELATION_MIN:
        return unaligned(count, f"the video's turns fit the gyro's nowhere (correlation {strength:.2f} at the best).")
    offset = float(grid[0] + lag / GRID_HZ - own[0])
    sigma = max(best[2] / GRID_HZ, 0.02, FRAME_SHARE * float(np.median(np.diff(times_s))))
    return Alignment(
        tuple(round((float(t) + offset) * 1e9) for t in times_s), AlignedBy.TURNS, offset, sigma,
        (f"correlation of the turns {strength:.2f}.",),
    )  # fmt: skip


def _gyro_turn(log: FlightLog) -> tuple[FloatArray, FloatArray] | None:
    """(grid in s, yaw rate about the body's down axis on it in rad/s) from the gyros, else from the attitudes."""
    imu = [m for m in log.messages if isinstance(m, ImuSample)]
    if len(imu) > 100:
        t, rate = np.array([m.t_ns for m in imu]) / 1e9, np.array([m.gyro_body_radps[2] for m in imu])
    else:
        attitudes = [m for m in log.messages if isinstance(m, AttitudeSample)]
        if len(attitudes) < 100:
            return None
        t, rate = _attitude_rate(attitudes)
    grid = np.arange(t[0], t[-1], 1.0 / GRID_HZ)
    return (grid, np.interp(grid, t, _smooth(rate))) if len(grid) > OVERLAP_S_MIN * GRID_HZ else None


def _attitude_rate(attitudes: Sequence[AttitudeSample]) -> tuple[FloatArray, FloatArray]:
    times, rates = [], []
    for a, b in itertools.pairwise(attitudes):
        dt_s = (b.t_ns - a.t_ns) / 1e9
        if dt_s <= 0.0:
            continue
        w, x, y, z = a.quaternion_body_to_ned
        p, q, r, s = b.quaternion_body_to_ned
        turn = 2.0 * (w * s - x * r + y * q - z * p)  # the z of conj(a) * b
        alike = w * p + x * q + y * r + z * s
        times.append((a.t_ns + b.t_ns) / 2e9)
        rates.append(math.copysign(1.0, alike) * turn / dt_s)
    return np.array(times), np.array(rates)


def _smooth(values: FloatArray, cells: int = 5) -> FloatArray:
    kernel = np.ones(cells) / cells
    return np.convolve(values, kernel, mode="same") if len(values) >= cells else values


def _correlated(seen: FloatArray, gyro: FloatArray) -> tuple[float, float, float]:
    """(correlation, lag in cells, its sigma in cells) of the best place of `seen` on `gyro`, overlapping by half."""
    n, m = len(seen), len(gyro)
    least = max(int(OVERLAP_S_MIN * GRID_HZ), min(n, m) // 2)
    ones_n, ones_m = np.ones(n), np.ones(m)
    cross = np.correlate(gyro, seen, mode="full")
    count = np.correlate(ones_m, ones_n, mode="full")
    sum_g, sum_s = np.correlate(gyro, ones_n, mode="full"), np.correlate(ones_m, seen, mode="full")
    square_g = np.correlate(gyro**2, ones_n, mode="full")
    square_s = np.correlate(ones_m, seen**2, mode="full")
    with np.errstate(divide="ignore", invalid="ignore"):
        covariance = cross - sum_g * sum_s / count
        spread = np.sqrt((square_g - sum_g**2 / count) * (square_s - sum_s**2 / count))
        value = np.where((count >= least) & (spread > 1e-9), covariance / spread, -1.0)
    at = int(np.argmax(value))
    peak = float(value[at])
    lag = float(at - (n - 1))
    if 0 < at < len(value) - 1 and min(value[at - 1], value[at + 1]) > -1.0:
        bend = float(2.0 * value[at] - value[at - 1] - value[at + 1])
        if bend > 1e-9:
            lag += float(value[at + 1] - value[at - 1]) / (2.0 * bend)
            # Of a least-squares fit: residual variance over curvature, one independent sample a smoothing window.
            return peak, lag, math.sqrt(max(1.0 - peak * peak, 1e-4) / (bend * float(count[at]) / 5.0))
    return peak, lag, float(least)
