"""Fitted by tools/fit_evidence.py: see _docs/evidence.md. Not to be edited."""

from gps_denied_onboard.localisation.evidence import EvidenceModel, Terms

_FIRST = Terms(
    -21.236,
    ("log_agreeing", "shift_cells", "log_margin", "tilt_off_rad", "height_sigmas"),
    (10.857, -0.042285, 21.04, -2.9501, -2.2319),
    (1.3863, 0.35158, 0.0, 0.01072, 0.036004),
    (3.8712, 11.204, 0.90726, 0.32678, 4.2963),
)

_BOTH = Terms(
    -17.112,
    (
        "log_agreeing",
        "shift_cells",
        "log_margin",
        "tilt_off_rad",
        "height_sigmas",
        "second_log_inliers",
        "second_shift_cells",
    ),
    (6.0216, 0.0, 10.727, -8.16, -1.3981, 2.6694, 0.0),
    (1.3863, 0.34254, 0.0, 0.0083103, 0.02791, 1.3863, 0.60423),
    (3.8712, 11.112, 0.91056, 0.30485, 4.029, 4.6728, 5.5182),
)

CLASSIC = EvidenceModel(_FIRST, _BOTH, 30000.0, 0.938)
