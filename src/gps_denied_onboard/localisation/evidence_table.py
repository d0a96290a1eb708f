"""Fitted by tools/fit_evidence.py: see _docs/evidence.md. Not to be edited."""

from gps_denied_onboard.localisation.evidence import EvidenceModel, Terms

_FIRST = Terms(
    -22.808,
    ("log_agreeing", "shift_cells", "log_margin", "window_log_margin", "tilt_off_rad", "height_sigmas"),
    (10.98, 0.0, 23.953, 13.997, 0.0, -2.0437),
    (1.3863, 0.3644, 0.0, 0.0, 0.011114, 0.02791),
    (3.8712, 11.208, 0.67517, 0.66815, 0.32637, 4.3145),
)

_BOTH = Terms(
    -14.065,
    (
        "log_agreeing",
        "shift_cells",
        "log_margin",
        "window_log_margin",
        "tilt_off_rad",
        "height_sigmas",
        "second_log_inliers",
        "second_shift_cells",
    ),
    (4.497, 0.0, 9.4443, 5.7386, -4.0271, -1.015, 2.6016, -0.026033),
    (1.3863, 0.34932, 0.0, 0.0, 0.010117, 0.017563, 1.3863, 0.61282),
    (3.8712, 11.108, 0.67784, 0.6717, 0.31046, 4.2996, 4.6695, 5.7473),
)

CLASSIC = EvidenceModel(_FIRST, _BOTH, 30000.0, 0.942, 5.93)
