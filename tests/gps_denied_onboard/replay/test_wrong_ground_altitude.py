"""A ground altitude that is told wrongly is found out in flight, told, and flown over."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from gps_denied_onboard.config import Config
from gps_denied_onboard.geometry.geodesy import LocalFrame
from gps_denied_onboard.messages import SourceLabel
from gps_denied_onboard.recorder.mcap_io import RecordingReader
from gps_denied_onboard.recorder.meta import read_meta, write_meta
from gps_denied_onboard.replay.recording import FrameTrace, replay_recording

SECONDS = 26.0
BACK_S = 15.0


@pytest.fixture(scope="module")
def recording(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return half a minute over level ground."""
    from gps_denied_sim.recording import FlyRequest, make_recording

    out = tmp_path_factory.mktemp("level") / "recording"
    request = FlyRequest(311, SECONDS / 60.0, width_px=684, height_px=456, buffer_m=250.0)
    make_recording(request, out, lambda *_: None)
    return out


@pytest.mark.slow
@pytest.mark.parametrize("off_m", [120.0, 100.0, -100.0, -120.0])
def test_the_flight_is_back_within_seconds(recording: Path, tmp_path: Path, off_m: float) -> None:
    """Told 100 and 120 m too high and too low, the flight is anchored before half of it is over and stays within 20 m;
    the difference is told once."""
    wrong = tmp_path / "wrong"
    shutil.copytree(recording, wrong)
    meta = read_meta(recording)
    write_meta(wrong, replace(meta, origin_altitude_m=meta.origin_altitude_m + off_m))
    traces: list[FrameTrace] = []
    replay_recording(wrong, Config(), None, traces.append)
    start_ns = traces[0].t_ns
    local = LocalFrame(meta.origin_latitude_deg, meta.origin_longitude_deg, meta.origin_altitude_m)
    truth = list(RecordingReader(recording).truth())
    times_ns = np.array([sample.t_ns for sample in truth])
    late = [trace for trace in traces if trace.t_ns - start_ns > BACK_S * 1e9]
    assert len(late) >= 8
    for trace in late:
        assert trace.state is not None
        sample = truth[int(np.abs(times_ns - trace.t_ns).argmin())]
        true_m = local.enu_from_geodetic(sample.latitude_deg, sample.longitude_deg, 0.0)[:2]
        own_m = local.enu_from_geodetic(trace.state.latitude_deg, trace.state.longitude_deg, 0.0)[:2]
        assert np.linalg.norm(own_m - true_m) < 20.0
    anchored = [trace.state.source_label is SourceLabel.SATELLITE_ANCHORED for trace in late if trace.state is not None]
    assert np.mean(anchored) > 0.7
    told = [alert.text for trace in traces for alert in trace.alerts if "ground lies" in alert.text]
    assert len(told) == 1
    words = told[0].split()
    assert (float(words[3]), words[5]) == (pytest.approx(abs(off_m), abs=25.0), "lower" if off_m > 0.0 else "higher")
