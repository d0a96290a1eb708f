"""The JSON lines of a flight: one object a line, the fields under their names, the same bytes for the same messages."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import orjson
import pytest

from gps_denied_onboard.messages import (
    AidRecord,
    Alert,
    InferenceRecord,
    NavState,
    OdometryStep,
    Output,
    PoseFix,
    RejectReason,
    SourceLabel,
    ThermalSample,
    ThermalState,
)
from gps_denied_onboard.recorder.navlog import DECISIONS_FILE, NAVSTATE_FILE, NavLog

STATE = NavState(
    t_ns=5_000_000_000,
    latitude_deg=48.123456789012,
    longitude_deg=37.2,
    altitude_amsl_m=812.5,
    velocity_ned_mps=(10.0, -1.0, 0.25),
    quaternion_body_to_ned=(1.0, 0.0, 0.0, 0.0),
    covariance_enu_m2=(4.0, 0.0, 0.0, 0.0, 4.0, 0.0, 0.0, 0.0, 9.0),
    ellipse_semi_major_m=4.9,
    ellipse_semi_minor_m=4.9,
    ellipse_azimuth_deg=0.0,
    horizontal_accuracy_m=2.8,
    vertical_accuracy_m=3.0,
    speed_accuracy_mps=0.3,
    source_label=SourceLabel.VISUAL_PROPAGATED,
    last_satellite_anchor_age_ms=1500,
    fix_type=3,
    frame_index=17,
)
OUTPUTS: list[Output] = [
    STATE,
    AidRecord(6, "map", (1.0, 2.0), (0.1, 0.1), (0.5, 0.5), (0.2, 0.2), 0.7, True, ""),
    PoseFix(7, False, RejectReason.FEW_INLIERS, np.zeros(3), np.eye(3), np.eye(6), 3, 9, 1.25, True, {"ratio": 1.1}, 4),
    OdometryStep(7, 8, "ok", "", np.ones(3), 0.1, 0.2, np.eye(4), 1.0, 50, 40, 0.4, 300.0, 5.0),
    Alert(9, 4, "camera is dark"),
    ThermalSample(10, ThermalState.THROTTLED, 97.5, "sysfs", "cpu-thermal"),
    InferenceRecord(11, "xfeat_dense", "onnxruntime", "CPUExecutionProvider", True, "no CUDA"),
]


def lines(folder: Path, name: str) -> list[dict[str, object]]:
    return [orjson.loads(line) for line in (folder / name).read_bytes().splitlines()]


def write(folder: Path, outputs: list[Output]) -> None:
    folder.mkdir(exist_ok=True)
    with NavLog(folder) as log:
        for output in outputs:
            log.write(output)


def test_states_and_decisions_have_their_own_files(tmp_path: Path) -> None:
    """Positions go to navstate.jsonl, all else to decisions.jsonl with its kind."""
    write(tmp_path, OUTPUTS)
    (state,) = lines(tmp_path, NAVSTATE_FILE)
    assert state["latitude_deg"] == STATE.latitude_deg
    assert state["source_label"] == "visual_propagated"
    assert state["covariance_enu_m2"] == list(STATE.covariance_enu_m2)
    decisions = lines(tmp_path, DECISIONS_FILE)
    assert [decision["kind"] for decision in decisions] == ["aid", "fix", "odometry", "alert", "thermal", "inference"]
    assert decisions[1]["rotation_camera_to_enu"] == [[1.0, 0.0, 0.0], [0.0, 1.0, 0.0], [0.0, 0.0, 1.0]]
    assert decisions[1]["gates"] == {"ratio": 1.1}


def test_same_messages_same_bytes(tmp_path: Path) -> None:
    """Two logs of the same messages are equal byte for byte."""
    write(tmp_path / "a", OUTPUTS * 100)
    write(tmp_path / "b", OUTPUTS * 100)
    for name in (NAVSTATE_FILE, DECISIONS_FILE):
        assert (tmp_path / "a" / name).read_bytes() == (tmp_path / "b" / name).read_bytes()


def test_what_is_no_number_is_null(tmp_path: Path) -> None:
    """NaN and infinity become null: every line is strict JSON."""
    write(tmp_path, [AidRecord(6, "map", (math.nan,), (math.inf,), (0.0,), (0.0,), math.nan, False, "nan")])
    (decision,) = lines(tmp_path, DECISIONS_FILE)
    assert decision["observation"] == [None]
    assert decision["test_ratio"] is None


def test_an_unknown_folder_is_an_error(tmp_path: Path) -> None:
    """The folder must exist: the log makes none."""
    with pytest.raises(FileNotFoundError):
        NavLog(tmp_path / "absent")
