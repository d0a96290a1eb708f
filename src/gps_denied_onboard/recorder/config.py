"""Settings of the flight recorder."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from gps_denied_onboard.errors import UserError
from gps_denied_onboard.untrusted.text import shown

MIB = 1 << 20


class PictureKeeping(StrEnum):
    """Which of the navigation camera's pictures a test flight keeps: none (R-7), one a second, all."""

    NONE = "none"
    KEY = "key"
    ALL = "all"


@dataclass(frozen=True, slots=True)
class RecorderConfig:
    """`directory` is the flight root, one folder a flight; empty: GPS_DENIED_FLIGHTS, else among the user's data.

    A flight keeps at most `cap_mib`, in segments of `segment_mib`. What the flight produced is on the disk `flush_s`
    later. `ring_slots` (a power of two), 4 KiB each, is what a producer may be ahead of the disk: 9 s with an IMU of
    400 Hz. A flight that broke off is resumed in the air when it is not older than `resume_age_s_max`; its position is
    taken to be worth its own sigma and `resume_speed_mps` times that age. `check_producers` finds a second thread in
    one producer's ring, for tests and hunts.

    `pictures` (none, key, all) keeps the camera's pictures of a test flight as JPEG, at most `pictures_cap_mib` a
    flight, in a folder of the flight's name under `pictures_dir`, which should be another volume; empty: in that of the
    flight. The recording itself never waits for them.
    """

    directory: str = ""
    cap_mib: int = 64 * 1024
    segment_mib: int = 64
    flush_s: float = 0.5
    ring_slots: int = 4096
    resume_age_s_max: float = 600.0
    resume_speed_mps: float = 25.0
    check_producers: bool = False
    pictures: str = "none"
    pictures_dir: str = ""
    pictures_cap_mib: int = 16 * 1024

    @property
    def keeping(self) -> PictureKeeping:
        """Which pictures are kept."""
        return PictureKeeping(self.pictures)

    def __post_init__(self) -> None:
        if self.cap_mib < 1 or self.segment_mib < 1:
            raise UserError("recorder.cap_mib and recorder.segment_mib must be at least 1.")
        if self.pictures not in tuple(PictureKeeping):
            raise UserError(f"recorder.pictures must be none, key or all, got '{shown(self.pictures, 40)}'.")
        if self.pictures_cap_mib < 1:
            raise UserError(f"recorder.pictures_cap_mib must be at least 1, got {self.pictures_cap_mib}.")
        if not 0.05 <= self.flush_s <= 0.8:
            raise UserError(f"recorder.flush_s must be 0.05 to 0.8 (a crash may cost one second), got {self.flush_s}.")
        if self.ring_slots not in (2**k for k in range(6, 17)):
            raise UserError(f"recorder.ring_slots must be a power of two from 64 to 65536, got {self.ring_slots}.")
        if not (0.0 <= self.resume_age_s_max <= 7200.0 and 1.0 <= self.resume_speed_mps <= 100.0):
            raise UserError("recorder.resume_age_s_max must be 0 to 7200 and recorder.resume_speed_mps 1 to 100.")
