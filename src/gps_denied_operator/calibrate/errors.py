"""Why a calibration gives no answer."""

from __future__ import annotations

from gps_denied_onboard.errors import UserError


class CalibrationRefusedError(UserError):
    """The data cannot support an answer; the sentence says what would."""

    exit_code = 70
