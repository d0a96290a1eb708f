"""Numbers for eskf_test.cpp from a filter written apart, in numpy with dense matrices: prints eskf_reference.inc.

    python tests/cpp/eskf_reference.py > tests/cpp/eskf_reference.inc

Formulas: Sola, "Quaternion kinematics for the error-state Kalman filter" (2017), 5.3 (global angular error).
"""

from __future__ import annotations

import re
from dataclasses import asdict
from pathlib import Path

import numpy as np

from gps_denied_onboard.fusion.config import FusionConfig
from gps_denied_onboard.geometry.rotations import exp_rotation, skew
from gps_denied_onboard.messages import FloatArray

C = asdict(FusionConfig())
DT_S, STEPS, LATE_STEP = 0.01, 20, 10
ACCEL, GYRO = np.array([0.4, -0.3, -9.6]), np.array([0.02, -0.01, 0.15])
ROTATION = exp_rotation(np.array([0.1, -0.05, 0.7])) @ np.diag([1.0, -1.0, -1.0])
BARO_UP_M = 12.5
SIZES = {"p": 3, "v": 3, "a": 3, "bg": 3, "ba": 3, "w": 2, "m": 3, "ab": 3, "bb": 1, "as": 1, "mo": 3, "os": 1, "g": 2}
AT = {name: slice(sum(list(SIZES.values())[:k]), sum(list(SIZES.values())[: k + 1])) for k, name in enumerate(SIZES)}
N = sum(SIZES.values())


class Filter:
    """Position, velocity, rotation and covariance; all biases begin at zero."""

    def __init__(self) -> None:
        self.p, self.v, self.r = np.zeros(3), ROTATION @ np.array([C["initial_speed_mps"], 0.0, 0.0]), ROTATION
        self.v[2] = 0.0
        self.slow = np.zeros(N)
        sigma = np.zeros(N)
        far, tilt, yaw = C["unknown_position_sigma_m"], C["autopilot_tilt_sigma_rad"], C["autopilot_yaw_sigma_rad"]
        sigma[AT["p"]], sigma[AT["v"]] = far, [C["initial_speed_sigma_mps"]] * 2 + [3.0]
        sigma[AT["bg"]], sigma[AT["ba"]] = C["gyro_bias_sigma_radps"], C["accel_bias_sigma_mps2"]
        sigma[AT["w"]], sigma[AT["m"]], sigma[AT["ab"]] = C["wind_sigma_mps"], C["mount_sigma_rad"], [tilt, tilt, yaw]
        sigma[AT["bb"]], sigma[AT["as"]] = C["baro_bias_sigma_m"], C["airspeed_scale_sigma"]
        sigma[AT["mo"]] = [C["map_sigma_m"]] * 2 + [C["map_vertical_sigma_m"]]
        sigma[AT["os"]], sigma[AT["g"]] = C["odometry_scale_sigma"], C["gust_sigma_mps"]
        self.c = np.diag(sigma**2)
        level = self.c[AT["ab"], AT["ab"]]
        self.c[AT["a"], AT["a"]] = level + np.eye(3) * C["initial_tilt_sigma_rad"] ** 2
        self.c[AT["a"], AT["ab"]] = self.c[AT["ab"], AT["a"]] = -level

    def predict(self) -> None:
        """One IMU step."""
        middle = self.r @ exp_rotation((GYRO - self.slow[AT["bg"]]) * DT_S / 2.0)
        force = middle @ (ACCEL - self.slow[AT["ba"]])
        accel = force - np.array([0.0, 0.0, C["gravity_mps2"]])
        self.p = self.p + self.v * DT_S + accel * DT_S**2 / 2.0
        self.v = self.v + accel * DT_S
        self.r = self.r @ exp_rotation((GYRO - self.slow[AT["bg"]]) * DT_S)
        f, q = np.eye(N), np.zeros(N)
        f[AT["p"], AT["v"]] = np.eye(3) * DT_S
        f[AT["v"], AT["a"]] = -skew(force) * DT_S
        f[AT["v"], AT["ba"]] = f[AT["a"], AT["bg"]] = -middle * DT_S
        for name, noise in (
            ("v", C["accel_noise_mps2_rthz"]), ("a", C["gyro_noise_radps_rthz"]), ("bg", C["gyro_bias_walk_radps_rts"]),
            ("ba", C["accel_bias_walk_mps2_rts"]), ("w", C["wind_walk_mps_rts"]), ("m", C["mount_walk_rad_rts"]),
        ):  # fmt: skip
            q[AT[name]] = noise**2 * DT_S
        for where, sigma, time_s in self._decays():
            f[where, where] = np.exp(-DT_S / time_s)
            q[where] = sigma**2 * (1.0 - np.exp(-2.0 * DT_S / time_s))
            self.slow[where] *= np.exp(-DT_S / time_s)
        self.c = f @ self.c @ f.T + np.diag(q)

    @staticmethod
    def _decays() -> list[tuple[int, float, float]]:
        out = []
        for name, prefix in (("ab", "autopilot_tilt"), ("bb", "baro_bias"), ("as", "airspeed_scale"), ("mo", "map"),
                             ("os", "odometry_scale"), ("g", "gust")):  # fmt: skip
            for k in range(AT[name].start, AT[name].stop):
                own = {AT["ab"].stop - 1: "autopilot_yaw", AT["mo"].stop - 1: "map_vertical"}.get(k, prefix)
                sigma = next(v for key, v in C.items() if key.startswith(own + "_sigma"))
                out.append((k, float(sigma), float(C[own + "_time_s"])))
        return out

    def baro(self) -> None:
        """The barometer's height, before any position is known."""
        h = np.zeros(N)
        h[2] = h[AT["bb"]] = 1.0
        gain = self.c @ h / (h @ self.c @ h + C["baro_noise_m"] ** 2)
        e = gain * (BARO_UP_M - self.p[2] - float(self.slow[AT["bb"]][0]))
        self.c = self.c - np.outer(gain, h @ self.c)
        self.p, self.v, self.r = self.p + e[:3], self.v + e[3:6], exp_rotation(e[6:9]) @ self.r
        self.slow[9:] += e[9:]


def flown(baro_after: int | None) -> Filter:
    """STEPS samples, the barometer after one of them."""
    made = Filter()
    for k in range(STEPS):
        made.predict()
        if k + 1 == baro_after:
            made.baro()
    return made


def array(name: str, values: FloatArray) -> str:
    numbers = ", ".join(f"{v:.17g}" for v in np.asarray(values).ravel(order="F"))
    return f"const double {name}[] = {{{numbers}}};"


def main() -> None:
    """Print the include file."""
    fields = Path(__file__).parents[2] / "cpp" / "eskf" / "config_fields.inc"
    names = re.findall(r"GPS_DENIED_READ\((\w+)\)", fields.read_text(encoding="utf-8"))
    config = np.array([float(C[name]) for name in names])
    out = ["// Made by tests/cpp/eskf_reference.py; do not edit.", array("kConfig", config)]
    out += [array("kRotation", ROTATION), array("kAccel", ACCEL), array("kGyro", GYRO)]
    out += [f"constexpr int kSteps = {STEPS}, kLateStep = {LATE_STEP};", f"constexpr double kBaroUp = {BARO_UP_M};"]
    for name, made in (("Predicted", flown(None)), ("Updated", flown(STEPS)), ("Replayed", flown(LATE_STEP))):
        out += [array(f"k{name}Position", made.p), array(f"k{name}Velocity", made.v), array(f"k{name}Rotation", made.r)]
        out.append(array(f"k{name}Covariance", made.c))
    print("\n".join(out))


if __name__ == "__main__":
    main()
