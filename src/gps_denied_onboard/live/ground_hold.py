"""Before take-off: the aircraft stands where the operator said, and that is its position for as long as it does; pure.

An estimate that began here would be lost within seconds: there is no airspeed to carry it on and no map to see. And
ArduPilot does not arm before every one of its receivers, us among them, has a fix.
"""

from __future__ import annotations

import math

from gps_denied_onboard.config import MissionConfig
from gps_denied_onboard.geometry.geodesy import CHI2_95_2DOF
from gps_denied_onboard.messages import AirspeedSample, BaroSample, FixType, NavState, SourceLabel, Telemetry

AIRSPEED_MPS = 8.0
CLIMB_M = 8.0
"""Since it was armed; for a pitot tube that is blocked."""
RUN_SIGMA_M = 20.0
"""How far it may have come when that is seen."""
UNDECIDED_NS = 1_500_000_000
"""How long it may be unknown whether the motors are armed, before the aircraft counts as flying."""
SILENT_NS = 1_000_000_000
FULL_FIX = FixType.FIX_3D
SPEED_SIGMA_MPS = 0.3


class GroundHold:
    """From the first sample until airspeed or, armed, height tells that the aircraft flies; not again then."""

    def __init__(self, mission: MissionConfig) -> None:
        self._mission = mission
        self._first_ns: int | None = None
        self._heard_ns = 0
        self._over = not mission.takeoff_known
        self._sure = False
        self._armed_at_m: float | None = None

    @property
    def began(self) -> bool:
        """Whether it stands, or has stood."""
        return self._first_ns is not None

    def holds(self, message: Telemetry, armed: bool | None) -> bool:
        """Whether the aircraft still stands at this sample; `armed` None: the autopilot has not said."""
        if self._over:
            return False
        since_ns = message.t_ns if self._first_ns is None else self._first_ns
        self._over = self._flies(message, armed) or (armed is None and message.t_ns - since_ns > UNDECIDED_NS)
        self._sure |= armed is not None or isinstance(message, AirspeedSample)
        if not self._over:
            self._first_ns, self._heard_ns = since_ns, max(self._heard_ns, message.t_ns)
        return not self._over

    def _flies(self, message: Telemetry, armed: bool | None) -> bool:
        if isinstance(message, AirspeedSample):
            return message.true_airspeed_mps >= AIRSPEED_MPS
        if not armed:
            self._armed_at_m = None
        elif isinstance(message, BaroSample):
            if self._armed_at_m is None:
                self._armed_at_m = message.altitude_amsl_m
            return abs(message.altitude_amsl_m - self._armed_at_m) > CLIMB_M
        return False

    @property
    def run_sigma_m(self) -> float:
        """What its motion until now adds to the sigma of the place."""
        return RUN_SIGMA_M if self.began else 0.0

    def state(self, t_ns: int) -> NavState | None:
        """The take-off place with its sigma, at rest; None where it has been left, or nothing says that it was not."""
        if self._over or not self._sure or t_ns - self._heard_ns > SILENT_NS:
            return None
        m = self._mission
        across, up = m.takeoff_sigma_horizontal_m, m.takeoff_sigma_vertical_m
        radius_m = across * math.sqrt(CHI2_95_2DOF)
        return NavState(
            t_ns=t_ns,
            latitude_deg=m.origin_latitude_deg,
            longitude_deg=m.origin_longitude_deg,
            altitude_amsl_m=m.ground_altitude_amsl_m,
            velocity_ned_mps=(0.0, 0.0, 0.0),
            quaternion_body_to_ned=(0.0, 0.0, 0.0, 0.0),
            covariance_enu_m2=(across**2, 0.0, 0.0, 0.0, across**2, 0.0, 0.0, 0.0, up**2),
            ellipse_semi_major_m=radius_m,
            ellipse_semi_minor_m=radius_m,
            ellipse_azimuth_deg=0.0,
            horizontal_accuracy_m=across,
            vertical_accuracy_m=up,
            speed_accuracy_mps=SPEED_SIGMA_MPS,
            source_label=SourceLabel.DEAD_RECKONED,
            last_satellite_anchor_age_ms=-1,
            fix_type=FULL_FIX,
        )
