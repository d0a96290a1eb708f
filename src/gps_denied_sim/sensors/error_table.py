"""How wrong the simulated sensors are: one table of figures, each with where it comes from.

The estimator has numbers of its own (`gps_denied_onboard.fusion.config`), tuned on flights; these here come from data
sheets, standards and measurements, and nothing is shared (tests/gps_denied_sim/sensors/test_error_table.py). Where no
source was found the figure is an assumption and says so. `_docs/simulated-errors.md` shows the table.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

import numpy as np


@dataclass(frozen=True, slots=True)
class ErrorFigure:
    """A figure of a sensor's error in `unit`: one value for a flight, evenly spread from `low` to `high`."""

    what: str
    low: float
    high: float
    unit: str
    source: str

    def drawn(self, rng: np.random.Generator) -> float:
        """The figure of one flight."""
        return float(rng.uniform(self.low, self.high))


class SensorError(Enum):
    """Every figure of the table."""

    ACCEL_OFFSET = ErrorFigure(
        "accelerometer: offset left by the calibration, sigma", 0.04, 0.06, "m/s2",
        "assumption: six positions by hand, held to half a degree, leave 0.5 % of gravity",
    )  # fmt: skip
    ACCEL_SCALE = ErrorFigure(
        "accelerometer: scale left by the calibration, sigma", 0.0005, 0.0015, "1", "assumption, as above"
    )
    ACCEL_INSTABILITY = ErrorFigure(
        "accelerometer: bias instability", 0.0010, 0.0025, "m/s2",
        "Analog Devices ADIS16448 data sheet, in-run bias stability 0.25 mg; the low end is an assumption",
    )  # fmt: skip
    GYRO_OFFSET = ErrorFigure(
        "gyroscope: offset left by the calibration at start, sigma", 0.0007, 0.0026, "rad/s",
        "ArduPilot AP_InertialSensor: averages at start may differ by 0.04 to 0.1 degrees/s; the rest an assumption",
    )  # fmt: skip
    GYRO_INSTABILITY = ErrorFigure(
        "gyroscope: bias instability", 3.2e-5, 7.0e-5, "rad/s",
        "Allan variance of a BMI088: 6.5 degrees/h (jpieper.com, tag allan_variance); ADIS16448 data sheet: 14.5",
    )  # fmt: skip
    VIBRATION = ErrorFigure(
        "vibration: one axis, RMS before the autopilot's filter", 2.0, 12.0, "m/s2",
        "ArduPilot, Measuring Vibration: below 15 normal, above 30 a problem",
    )  # fmt: skip
    PROPELLER = ErrorFigure(
        "vibration: frequency, that of the propeller; its double is a third as strong", 68.0, 118.0, "Hz",
        "assumption: 4100 to 7100 turns a minute of a small electric aircraft",
    )  # fmt: skip
    LEVEL = ErrorFigure(
        "attitude: level, sigma on each axis", 0.25, 0.75, "degrees",
        "assumption: levelled board and sensor plate, each to a few tenths",
    )  # fmt: skip
    LEVEL_TIME = ErrorFigure(
        "attitude: how long the level's error stays alike", 20.0, 110.0, "s",
        "assumption: from the filter's own time to that of the sensors' offsets",
    )  # fmt: skip
    LEVEL_SHARE = ErrorFigure(
        "attitude: share of unmodelled accelerations taken for gravity, in turns too", 0.025, 0.125, "1",
        "assumption; mechanism: Mahony 2008, a complementary filter of 6 s",
    )  # fmt: skip
    COMPASS = ErrorFigure(
        "attitude: heading, constant, either sign", 1.2, 4.2, "degrees",
        "assumption: declination table and offsets of a compass learned in flight",
    )  # fmt: skip
    COMPASS_WANDER = ErrorFigure(
        "attitude: heading, slow part, sigma", 0.5, 0.9, "degrees", "assumption: currents beside the compass"
    )
    COMPASS_TIME = ErrorFigure("attitude: how long the slow part stays alike", 55.0, 145.0, "s", "assumption")
    ATTITUDE_NOISE = ErrorFigure("attitude: noise, sigma", 0.03, 0.05, "degrees", "assumption")
    PRESSURE_TENDENCY = ErrorFigure(
        "barometer: change of the weather, either sign", 0.0, 3.5, "hPa in 3 h",
        "Met Office, Marine forecasts glossary: falling slowly (to 1.5) and falling (to 3.5)",
    )  # fmt: skip
    BARO_OFFSET = ErrorFigure("barometer: offset after the start, sigma", 1.4, 2.7, "m", "assumption: self-heating")
    BARO_WANDER = ErrorFigure(
        "barometer: pressure inside the hull, sigma", 1.2, 2.2, "m", "assumption: 0.15 to 0.25 hPa with wind and speed"
    )
    BARO_TIME = ErrorFigure("barometer: how long that stays alike", 130.0, 560.0, "s", "assumption")
    BARO_SCALE = ErrorFigure(
        "barometer: scale of the height, sigma", 0.003, 0.006, "1", "standard atmosphere off by 1 to 2 K per 300 K"
    )
    BARO_NOISE = ErrorFigure(
        "barometer: noise, sigma", 0.1, 0.4, "m", "TE MS5611 data sheet: 0.012 to 0.065 hPa by oversampling"
    )
    PITOT_SCALE = ErrorFigure(
        "airspeed: scale, sigma", 0.015, 0.035, "1", "assumption: ARSPD_RATIO known to 3 to 7 %, half of it in speed"
    )
    PITOT_NOISE = ErrorFigure(
        "airspeed: noise, sigma", 0.25, 0.45, "m/s", "TE MS4525DO: 0.25 % of 6.9 kPa smoothed, at 16 m/s; assumption"
    )
    GPS_WANDER = ErrorFigure(
        "GPS: slow part, sigma, 1.7 times upwards", 0.8, 1.4, "m", "u-blox NEO-M8 data sheet: 2.5 m CEP over a day"
    )
    GPS_TIME = ErrorFigure("GPS: how long that stays alike", 22.0, 72.0, "s", "assumption: multipath and ionosphere")
    GPS_NOISE = ErrorFigure("GPS: noise, sigma", 0.08, 0.18, "m", "assumption")
    GPS_SPEED = ErrorFigure(
        "GPS: speed, sigma", 0.05, 0.15, "m/s", "u-blox NEO-M8 data sheet: 0.05 m/s, half of the time"
    )
    CAMERA_CLOCK = ErrorFigure(
        "camera: stamps later than the exposure", 0.002, 0.018, "s",
        "Qin and Shen 2018, Online Temporal Calibration: unsynchronised cameras are some ms to tens of ms late",
    )  # fmt: skip
