"""What the autopilot's sensors say of the true flight: biased, noisy, late drifting, and GPS as the schedule has it."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from gps_denied_onboard.geometry.geodesy import LocalFrame
from gps_denied_onboard.geometry.rotations import ROTATION_NED_TO_ENU, quaternion_from_matrix
from gps_denied_onboard.messages import (
    AirspeedSample,
    AttitudeSample,
    BaroSample,
    FloatArray,
    GpsSample,
    ImuSample,
    TakeoffOrigin,
    Telemetry,
    TruthSample,
)
from gps_denied_sim.noise import stream
from gps_denied_sim.schedule import Event, Scenario
from gps_denied_sim.sensors.error_table import SensorError
from gps_denied_sim.sensors.imu_parts import flicker, vibration, warm_up_errors
from gps_denied_sim.sensors.sensor_faults import indicated_airspeed_mps, level_errors
from gps_denied_sim.vehicle.flight import FlightTruth, exp_rotations

NANOSECONDS = 1_000_000_000
METRES_PER_HPA = 8.3
"""Of the standard atmosphere near the ground."""
TENDENCY_S = 3.0 * 3600.0


@dataclass(frozen=True, slots=True)
class Rates:
    """Sensor rates in Hz; the IMU's is also the rate of the truth that it is made from."""

    imu_hz: float = 100.0
    attitude_hz: float = 25.0
    baro_hz: float = 10.0
    airspeed_hz: float = 10.0
    gps_hz: float = 5.0
    truth_hz: float = 20.0


def wander(rng: np.random.Generator, count: int, dt_s: float, sigma: float, time_s: float) -> FloatArray:
    """(count, 3) first-order Gauss-Markov processes of standard deviation `sigma` and correlation time `time_s`."""
    from scipy.signal import lfilter

    decay = math.exp(-dt_s / time_s)
    drive = rng.standard_normal((count, 3)) * sigma * math.sqrt(1.0 - decay * decay)
    drive[0] = rng.standard_normal(3) * sigma
    return np.asarray(lfilter([1.0], [1.0, -decay], drive, axis=0))


def _rows(flight: FlightTruth, rate_hz: float) -> np.ndarray[tuple[int], np.dtype[np.intp]]:
    """Indices of the true states at which a sensor of `rate_hz` measures."""
    step = max(1, round(1.0 / (rate_hz * flight.dt_s)))
    return np.arange(0, len(flight.position_enu_m), step)


def _time_ns(flight: FlightTruth, row: int, start_ns: int) -> int:
    return start_ns + round(row * flight.dt_s * NANOSECONDS)


def _vector(v: FloatArray) -> tuple[float, float, float]:
    return (float(v[0]), float(v[1]), float(v[2]))


def imu_samples(flight: FlightTruth, seed: int, start_ns: int, scenario: Scenario | None = None) -> list[ImuSample]:
    """A MEMS IMU of a named part; each sample is the mean over the step before it.

    What the autopilot's calibration left, bias instability, temperature, white noise and the propeller's vibration.
    """
    rng = stream(seed, "imu")
    n, dt = len(flight.position_enu_m), flight.dt_s
    warming = None if scenario is None else scenario.active("imu_warmup", 0.0)
    accel, gyro, part = warm_up_errors(stream(seed, "imu-warmup"), 0.0 if warming is None else warming.value, n, dt)
    scale = SensorError.ACCEL_SCALE.value.drawn(rng)
    accel += flight.specific_force_body_mps2 * (1.0 + rng.normal(0.0, scale, 3))
    accel += rng.normal(0.0, SensorError.ACCEL_OFFSET.value.drawn(rng), 3) + vibration(rng, n, dt)
    accel += flicker(rng, SensorError.ACCEL_INSTABILITY.value.drawn(rng), n, dt)
    gyro += flight.rate_body_radps * (1.0 + rng.normal(0.0, part.gyro_scale_sigma, 3))
    gyro += rng.normal(0.0, SensorError.GYRO_OFFSET.value.drawn(rng), 3)
    gyro += flicker(rng, SensorError.GYRO_INSTABILITY.value.drawn(rng), n, dt)
    rows = zip(np.round(accel, 5).tolist(), np.round(gyro, 6).tolist(), strict=True)
    return [
        ImuSample(_time_ns(flight, k, start_ns), (a[0], a[1], a[2]), (g[0], g[1], g[2]))
        for k, (a, g) in enumerate(rows)
    ]


def attitude_samples(
    flight: FlightTruth, seed: int, start_ns: int, rate_hz: float, scenario: Scenario | None = None
) -> list[AttitudeSample]:
    """The autopilot's attitude: its level wanders and gives way to accelerations, in turns too; its compass is off."""
    rng = stream(seed, "attitude")
    rows = _rows(flight, rate_hz)
    dt = 1.0 / rate_hz
    level = math.radians(SensorError.LEVEL.value.drawn(rng))
    error = wander(rng, len(rows), dt, level, SensorError.LEVEL_TIME.value.drawn(rng))
    heading = math.radians(SensorError.COMPASS_WANDER.value.drawn(rng))
    error[:, 2] = wander(rng, len(rows), dt, heading, SensorError.COMPASS_TIME.value.drawn(rng))[:, 2]
    error[:, 2] += math.radians(SensorError.COMPASS.value.drawn(rng) * float(rng.choice([-1.0, 1.0])))
    error += rng.standard_normal(error.shape) * math.radians(SensorError.ATTITUDE_NOISE.value.drawn(rng))
    share = SensorError.LEVEL_SHARE.value.drawn(rng)
    shaken = None if scenario is None else scenario.active("attitude_shaken", 0.0)
    error += level_errors(flight, share if shaken is None else shaken.value)[rows]
    ned = ROTATION_NED_TO_ENU @ flight.rotation_body_to_enu[rows]
    wrong = exp_rotations(error) @ ned
    return [
        AttitudeSample(_time_ns(flight, int(row), start_ns), quaternion_from_matrix(wrong[k]))
        for k, row in enumerate(rows)
    ]


def baro_samples(flight: FlightTruth, altitude_m: FloatArray, seed: int, start_ns: int, hz: float) -> list[BaroSample]:
    """Barometric altitude: an offset, the weather's course, pressure in the hull, scale of the height, noise."""
    rng = stream(seed, "baro")
    rows = _rows(flight, hz)
    rate_mps = SensorError.PRESSURE_TENDENCY.value.drawn(rng) * METRES_PER_HPA / TENDENCY_S
    drift = rows * flight.dt_s * rate_mps * float(rng.choice([-1.0, 1.0]))
    drift = drift + float(rng.normal(0.0, SensorError.BARO_OFFSET.value.drawn(rng)))
    hull = SensorError.BARO_WANDER.value.drawn(rng), SensorError.BARO_TIME.value.drawn(rng)
    drift += wander(rng, len(rows), 1.0 / hz, *hull)[:, 0]
    scale = 1.0 + float(rng.normal(0.0, SensorError.BARO_SCALE.value.drawn(rng)))
    noise = SensorError.BARO_NOISE.value.drawn(rng)
    base = float(altitude_m[0])
    values = base + (altitude_m[rows] - base) * scale + drift + rng.normal(0.0, noise, len(rows))
    return [BaroSample(_time_ns(flight, int(row), start_ns), round(float(values[k]), 3)) for k, row in enumerate(rows)]


def airspeed_samples(
    flight: FlightTruth, scenario: Scenario, seed: int, start_ns: int, hz: float
) -> list[AirspeedSample]:
    """True airspeed from a pitot tube: some per cent of scale error, noise; nothing while it is blocked."""
    rng = stream(seed, "airspeed")
    rows = _rows(flight, hz)
    scale = 1.0 + float(rng.normal(0.0, SensorError.PITOT_SCALE.value.drawn(rng)))
    noise = SensorError.PITOT_NOISE.value.drawn(rng)
    values = flight.airspeed_mps[rows] * scale + rng.normal(0.0, noise, len(rows))
    values = indicated_airspeed_mps(flight, scenario, np.asarray(rows * flight.dt_s), np.asarray(values))
    return [
        AirspeedSample(_time_ns(flight, int(row), start_ns), round(float(values[k]), 3))
        for k, row in enumerate(rows)
        if scenario.active("pitot_blocked", row * flight.dt_s) is None
    ]


class GpsReceiver:
    """The autopilot's GPS: good, jammed, or led astray, as the schedule says."""

    def __init__(self, flight: FlightTruth, scenario: Scenario, frame: LocalFrame, seed: int) -> None:
        self._flight, self._scenario, self._frame = flight, scenario, frame
        self._rng = stream(seed, "gps")

    def samples(self, start_ns: int, hz: float, from_s: float = 0.0, until_s: float = math.inf) -> list[GpsSample]:
        """All samples of the flight, or of a part of it, each stamped with the time that it is valid for."""
        flight, rng = self._flight, self._rng
        rows = _rows(flight, hz)
        rows = rows[(rows * flight.dt_s >= from_s) & (rows * flight.dt_s < until_s)]
        slow = SensorError.GPS_WANDER.value.drawn(rng), SensorError.GPS_TIME.value.drawn(rng)
        error = wander(rng, len(rows), 1.0 / hz, *slow) * np.array([1.0, 1.0, 1.7])
        error += rng.standard_normal(error.shape) * SensorError.GPS_NOISE.value.drawn(rng)
        speed_error = rng.normal(0.0, SensorError.GPS_SPEED.value.drawn(rng), error.shape)
        out = []
        for k, row in enumerate(rows):
            t_s = float(row) * flight.dt_s
            t_ns = _time_ns(flight, int(row), start_ns)
            if self._scenario.active("gps_jam", t_s) is not None:
                out.append(GpsSample(t_ns, 0.0, 0.0, 0.0, (0.0, 0.0, 0.0), 0, int(rng.integers(0, 4)), 9999.0))
                continue
            position, velocity = self._claimed(t_s, int(row))
            geodetic = self._frame.geodetic_from_enu(position + error[k])
            ned = (velocity + speed_error[k])[[1, 0, 2]] * (1.0, 1.0, -1.0)
            accuracy = round(0.9 + abs(float(rng.normal(0.0, 0.2))), 2)
            latitude, longitude, altitude = (float(v) for v in geodetic)
            out.append(
                GpsSample(
                    t_ns,
                    round(latitude, 9),
                    round(longitude, 9),
                    round(altitude, 3),
                    _vector(np.round(ned, 3)),
                    3,
                    int(rng.integers(11, 19)),
                    accuracy,
                )
            )
        return out

    def _claimed(self, t_s: float, row: int) -> tuple[FloatArray, FloatArray]:
        """Position and velocity that the receiver believes, before its own noise."""
        flight = self._flight
        position, velocity = flight.position_enu_m[row], flight.velocity_enu_mps[row]
        jump = self._scenario.active("gps_jump", t_s)
        if jump is not None:
            return position + jump.value * _compass(jump), velocity
        ramp = self._scenario.active("gps_ramp", t_s)
        if ramp is not None:
            drift = ramp.value * _compass(ramp)
            return position + drift * (t_s - ramp.start_s), velocity + drift
        replay = self._scenario.active("gps_replay", t_s)
        if replay is not None:
            since = (t_s - replay.start_s) % max(replay.value, 1.0)
            old = min(max(round((replay.start_s - replay.value + since) / flight.dt_s), 0), row)
            return flight.position_enu_m[old], flight.velocity_enu_mps[old]
        return position, velocity


def _compass(event: Event) -> FloatArray:
    """Unit vector ENU of an event's azimuth."""
    a = math.radians(event.azimuth_deg)
    return np.array([math.sin(a), math.cos(a), 0.0])


def takeoff_origin(
    flight: FlightTruth, scenario: Scenario, frame: LocalFrame, seed: int, start_ns: int
) -> TakeoffOrigin | None:
    """Where the navigator is told that it starts; None when nobody tells it, far off where the scenario lies."""
    rng = stream(seed, "origin")
    error = rng.normal(0.0, 1.0, 3) * np.array([3.5, 3.5, 2.0])
    if scenario.origin == "absent":
        return None
    if scenario.origin == "wrong":
        error[:2] += scenario.origin_offset_m
    latitude, longitude, altitude = (float(v) for v in frame.geodetic_from_enu(flight.position_enu_m[0] + error))
    velocity = (flight.velocity_enu_mps[0] + rng.normal(0.0, 0.2, 3))[[1, 0, 2]] * (1.0, 1.0, -1.0)
    return TakeoffOrigin(
        start_ns, round(latitude, 9), round(longitude, 9), round(altitude, 3), 5.0, 5.0, _vector(np.round(velocity, 3))
    )


def truth_samples(flight: FlightTruth, frame: LocalFrame, start_ns: int, hz: float) -> list[TruthSample]:
    """True states for scoring."""
    rows = _rows(flight, hz)
    geodetic = frame.geodetic_from_enu(flight.position_enu_m[rows])
    ned = ROTATION_NED_TO_ENU @ flight.rotation_body_to_enu[rows]
    velocity = flight.velocity_enu_mps[rows][:, [1, 0, 2]] * (1.0, 1.0, -1.0)
    return [
        TruthSample(
            _time_ns(flight, int(row), start_ns),
            float(geodetic[k, 0]),
            float(geodetic[k, 1]),
            float(geodetic[k, 2]),
            _vector(velocity[k]),
            quaternion_from_matrix(ned[k]),
        )
        for k, row in enumerate(rows)
    ]


def telemetry(
    flight: FlightTruth, scenario: Scenario, frame: LocalFrame, seed: int, start_ns: int, rates: Rates
) -> list[Telemetry]:
    """Everything that the autopilot sends, in time order (ties: slower sensors first)."""
    altitude = frame.geodetic_from_enu(flight.position_enu_m)[:, 2]
    origin = takeoff_origin(flight, scenario, frame, seed, start_ns)
    out: list[Telemetry] = [] if origin is None else [origin]
    out += GpsReceiver(flight, scenario, frame, seed).samples(start_ns, rates.gps_hz)
    out += baro_samples(flight, altitude, seed, start_ns, rates.baro_hz)
    out += airspeed_samples(flight, scenario, seed, start_ns, rates.airspeed_hz)
    out += attitude_samples(flight, seed, start_ns, rates.attitude_hz, scenario)
    out += imu_samples(flight, seed, start_ns, scenario)
    out.sort(key=lambda sample: sample.t_ns)
    return out
