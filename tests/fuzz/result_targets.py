"""Results of evaluations and outputs of replays, which somebody sends to be compared."""

from __future__ import annotations

import tempfile
from pathlib import Path

import orjson

from gps_denied_onboard.errors import UserError
from gps_denied_onboard.recorder.navlog import NAVSTATE_FILE
from gps_denied_operator.compare.judge import compare
from gps_denied_operator.compare.page import comparison_page
from gps_denied_operator.compare.sides import read_any

FRAMES = b"\n--- frames.csv\n"
HEADER = "flight,t_s,index,truth_latitude_deg,truth_longitude_deg,latitude_deg,longitude_deg,source_label,error_m"
STATE = {
    "latitude_deg": 48.0, "longitude_deg": 37.0, "altitude_amsl_m": 500.0, "velocity_ned_mps": [1.0, 2.0, 0.0],
    "quaternion_body_to_ned": [1.0, 0.0, 0.0, 0.0], "covariance_enu_m2": [9.0, 0, 0, 0, 9.0, 0, 0, 0, 9.0],
    "ellipse_semi_major_m": 7.0, "ellipse_semi_minor_m": 7.0, "ellipse_azimuth_deg": 0.0, "horizontal_accuracy_m": 3.0,
    "vertical_accuracy_m": 3.0, "speed_accuracy_mps": 0.5, "source_label": "satellite_anchored",
    "last_satellite_anchor_age_ms": 0, "fix_type": 3, "protection_level_m": None,
}  # fmt: skip


def fuzz_result(data: bytes) -> None:
    """A result with itself, to the page: what is wrong with it is a UserError."""
    results, _, frames = data.partition(FRAMES)
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "results.json").write_bytes(results)
        if frames:
            (Path(folder) / "frames.csv").write_bytes(frames)
        _compare(Path(folder))


def fuzz_navstate(data: bytes) -> None:
    """The output of a replay with itself."""
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / NAVSTATE_FILE).write_bytes(data)
        _compare(Path(folder))


def _compare(folder: Path) -> None:
    try:
        side = read_any(folder, None)
        comparison_page(compare(side, side))
    except UserError:
        return


def result_seeds() -> list[bytes]:
    """Flights with frames, without, and a campaign."""
    flight = {"title": "cruise, seed 1", "seed": 1, "scenario": "cruise", "minutes": 2.0, "frames": 3,
              "error_m": {"median": 1.5}, "coverage_95": 1.0}  # fmt: skip
    rows = [f'"cruise, seed 1",{k},{k},48.0,37.0,48.00001,37.0,satellite_anchored,{1.0 + k / 2}' for k in range(3)]
    whole = orjson.dumps({"evaluation": "flights", "commit": "abc", "cores": 2, "flights": [flight]})
    attack = {"kind": "jam", "flight": 1, "taken": True, "promotion_ms": 80.0, "followed": 0}
    campaign = {"evaluation": "campaign", "minutes": 3.0, "jam": {"each": [attack, attack | {"flight": 2}]}}
    return [whole + FRAMES + "\n".join([HEADER, *rows]).encode(), whole, orjson.dumps(campaign)]


def navstate_seeds() -> list[bytes]:
    """Three positions."""
    return [b"".join(orjson.dumps({"t_ns": k * 10**8, **STATE}) + b"\n" for k in range(3))]
