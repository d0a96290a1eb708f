"""Types of the native cores (cpp/)."""

from collections.abc import Mapping, Sequence
from typing import Any

from gps_denied_onboard.messages import FloatArray

compiler: str

class EskfFilter:
    """cpp/eskf_history.hpp. Records are tuples in the order of AidRecord, with the number of the source."""

    def __init__(self, config: Mapping[str, float], mount: Sequence[float]) -> None: ...
    def imu(self, t_ns: int, accel: Sequence[float], gyro: Sequence[float]) -> tuple[Any, ...] | None: ...
    def scalar(self, t_ns: int, source: int, value: float) -> tuple[Any, ...]: ...
    def attitude(self, t_ns: int, body_to_enu: Sequence[float]) -> tuple[Any, ...]: ...
    def origin(
        self,
        t_ns: int,
        position: FloatArray,
        sigma_horizontal: float,
        sigma_vertical: float,
        velocity: FloatArray | None,
    ) -> tuple[Any, ...]: ...
    def clone(self, t_ns: int) -> tuple[Any, ...]: ...
    def odometry(
        self,
        t0_ns: int,
        t1_ns: int,
        displacement: FloatArray,
        yaw_change: float,
        yaw_prior: float,
        covariance: FloatArray,
    ) -> tuple[Any, ...]: ...
    def fix(
        self, t_ns: int, position: FloatArray, camera_to_enu: Sequence[float], covariance: FloatArray, mode: int
    ) -> tuple[Any, ...]: ...
    def test(
        self, t_ns: int, position: FloatArray, camera_to_enu: Sequence[float], covariance: FloatArray
    ) -> tuple[Any, ...]: ...
    def at(self, t_ns: int) -> dict[str, Any] | None: ...
    def newest_ns(self) -> int | None: ...
    def position_known(self) -> bool: ...
    def rebases(self) -> int: ...
