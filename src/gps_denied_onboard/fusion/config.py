"""Numbers of the fusion: noise of the sensors, spread of their slow errors, gates. Units are in the names.

`_rthz` is a density per root hertz, `_rts` a random walk per root second; a pair `sigma` and `time_s` is a first-order
Gauss-Markov error with that standard deviation and correlation time. Gates are chi-square thresholds of the whole
innovation (degrees of freedom in the comment).
"""

from __future__ import annotations

import math
from dataclasses import dataclass, fields, replace

from gps_denied_onboard.errors import UserError


@dataclass(frozen=True, slots=True)
class FusionConfig:
    """Defaults suit a MEMS autopilot in a small fixed-wing aircraft."""

    gravity_mps2: float = 9.80665

    # IMU. The densities cover scale errors, not the data sheet alone; what single samples of a shaken aircraft leave
    # open the filter learns from them, as a mean over imu_noise_learning_s.
    accel_noise_mps2_rthz: float = 0.008
    gyro_noise_radps_rthz: float = 0.00025
    accel_bias_sigma_mps2: float = 0.08
    gyro_bias_sigma_radps: float = 0.006
    accel_bias_walk_mps2_rts: float = 0.001
    gyro_bias_walk_radps_rts: float = 1.0e-4
    gap_accel_noise_mps2_rthz: float = 3.0
    gap_gyro_noise_radps_rthz: float = 0.2
    imu_hold_s: float = 0.2
    imu_noise_learning_s: float = 2.0

    # Before the first measurement.
    initial_speed_mps: float = 16.7
    initial_speed_sigma_mps: float = 8.0
    initial_tilt_sigma_rad: float = 0.003
    unknown_position_sigma_m: float = 20_000.0
    origin_velocity_sigma_mps: float = 0.5

    # Autopilot: attitude (its level error wanders within a minute, its compass error within many), baro, pitot.
    autopilot_tilt_sigma_rad: float = 0.011
    autopilot_tilt_time_s: float = 50.0
    autopilot_yaw_sigma_rad: float = 0.05
    autopilot_yaw_time_s: float = 400.0
    attitude_noise_rad: float = 0.003
    baro_bias_sigma_m: float = 4.0
    baro_bias_time_s: float = 600.0
    baro_noise_m: float = 0.5
    airspeed_scale_sigma: float = 0.03
    airspeed_scale_time_s: float = 3600.0
    airspeed_noise_mps: float = 0.6
    sideslip_noise_mps: float = 1.0
    sideslip_turn_m: float = 4.0  # m/s a rad/s of yaw rate; of the filter, not of the smoother
    airspeed_min_mps: float = 8.0
    wind_sigma_mps: float = 6.0
    wind_walk_mps_rts: float = 0.05
    gust_sigma_mps: float = 0.9
    gust_time_s: float = 8.0
    # How much stronger than gust_sigma_mps the air is, as a factor on the variance, the filter learns from the
    # airspeed's innovations: above gust_nis_high (mean chi-square a degree of freedom) it grows.
    gust_scale_max: float = 64.0
    gust_learning_s: float = 4.0
    gust_nis_high: float = 1.5
    nis_counted_max: float = 9.0
    # The same for the error of the autopilot's attitude, from innovations of one sign: shaken, late, frozen.
    autopilot_scale_max: float = 10_000.0
    autopilot_learning_s: float = 2.0

    # Camera and map.
    mount_sigma_rad: float = 0.07
    mount_walk_rad_rts: float = 2.0e-5
    map_sigma_m: float = 1.5
    map_time_s: float = 60.0
    map_vertical_sigma_m: float = 12.0
    map_vertical_time_s: float = 300.0
    odometry_scale_sigma: float = 0.02
    odometry_scale_time_s: float = 120.0
    odometry_sigma_scale: float = 1.0
    odometry_floor_m: float = 0.2
    odometry_up_floor_m: float = 0.5
    # A step's yaw is levelled by an attitude and a mount of its time: degrees of their error times the tilt between two
    # pictures of a shaken aircraft. Taken for better it teaches the mount, wrongly and for good.
    odometry_yaw_floor_rad: float = 0.01
    fix_sigma_scale: float = 1.0
    fix_floor_m: float = 0.3
    fix_floor_rad: float = 0.002
    # Errors that fixes share and how large they are: see fix_noise.py.
    fix_correlation_heights: float = 0.3
    fix_noise_memory: float = 8.0
    fix_common_share: float = 0.5
    rangefinder_noise_m: float = 1.0
    ground_up_m: float = 0.0

    # Gates.
    gate_attitude: float = 25.0  # 3
    gate_baro: float = 20.0  # 1
    gate_airspeed: float = 20.0  # 2
    gate_rangefinder: float = 16.0  # 1
    gate_odometry: float = 25.0  # 4
    refused_steps_min: int = 3
    refused_speed_max_mps: float = 3.0
    gate_fix: float = 25.0  # 6
    gate_patience_s: float = 3.0

    # Re-localisation: see consistency.py.
    wide_sigma_m: float = 10.0
    agreeing_fixes_wide: int = 2
    agreeing_fixes_against_state: int = 4
    fixes_looked_at: int = 10
    relocation_span_m: float = 50.0
    doubted_span_m: float = 15.0
    relocation_height_gate: float = 25.0  # 1
    drift_fraction: float = 0.05
    agreement_gate: float = 16.0  # 3
    reset_velocity_sigma_mps: float = 2.0
    reset_yaw_sigma_rad: float = 0.03
    reset_tilt_sigma_rad: float = 0.01

    # Smoother.
    smoother_keyframes: int = 12
    smoother_rebuild_keyframes: int = 100

    # Time.
    history_s: float = 5.0
    snapshot_s: float = 0.1
    clock_jump_s: float = 1.0
    clock_outage_s: float = 60.0
    imu_late_s: float = 0.2

    # Source label: see integrity/source_label.py.
    anchor_age_s_max: float = 3.0
    anchor_sigma_m_max: float = 20.0
    odometry_age_s_max: float = 2.5

    def __post_init__(self) -> None:
        for f in fields(self):
            value = getattr(self, f.name)
            if not math.isfinite(value) or (value <= 0 and f.name != "ground_up_m"):
                raise UserError(f"fusion.{f.name} must be a positive number, got {value}; correct the configuration.")
        if self.fixes_looked_at < max(self.agreeing_fixes_wide, self.agreeing_fixes_against_state):
            raise UserError("fusion.fixes_looked_at must not be less than the number of fixes that have to agree.")
        if self.history_s < 2.0:
            raise UserError(f"fusion.history_s must be at least 2 s, got {self.history_s}: fixes come late.")


def msp_imu_noise(config: FusionConfig) -> FusionConfig:
    """The same for an IMU that is asked for over MSP: whole degrees a second, some 50 times a second, unevenly spaced.

    Over one second its rates integrate to 0.2 to 0.4 degrees, and its yaw comes in whole degrees (measured with iNav
    9.1, tests/sitl); believed to be a real IMU's, they make odometry and attitude disagree with the state. The larger
    of the two is taken: with half of it a start in the air was 20 m off for 20 s and claimed a sigma of 8 m.
    """
    return replace(
        config,
        gyro_noise_radps_rthz=max(config.gyro_noise_radps_rthz, 0.006),
        accel_noise_mps2_rthz=max(config.accel_noise_mps2_rthz, 0.03),
        attitude_noise_rad=max(config.attitude_noise_rad, 0.006),
    )
