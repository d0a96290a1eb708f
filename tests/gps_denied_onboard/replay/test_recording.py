"""Replay: the same bytes every time, and a stream that an autopilot's tools can read."""

from __future__ import annotations

import bisect
import math
from itertools import pairwise
from pathlib import Path

import orjson
import pytest
from pymavlink import mavutil

from gps_denied_onboard.config import Config
from gps_denied_onboard.geometry.geodesy import LocalFrame
from gps_denied_onboard.recorder.mcap_io import RecordingReader
from gps_denied_onboard.replay.recording import FrameTrace, ReplaySummary, replay_recording


@pytest.fixture(scope="module")
def replayed(short_recording: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, ReplaySummary]:
    """Return the outputs of the short flight and the summary."""
    out = tmp_path_factory.mktemp("replay") / "out"
    return out, replay_recording(short_recording, Config(), out)


@pytest.mark.slow
def test_twice_the_same_bytes(short_recording: Path, replayed: tuple[Path, ReplaySummary], tmp_path: Path) -> None:
    """A second replay writes the same files with the same bytes."""
    out, summary = replayed
    assert replay_recording(short_recording, Config(), tmp_path / "again") == summary
    names = sorted(p.name for p in out.iterdir())
    assert {"navstate.jsonl", "decisions.jsonl", "gps_input.tlog"} <= set(names)
    assert names == sorted(p.name for p in (tmp_path / "again").iterdir())
    for name in names:
        assert (out / name).read_bytes() == (tmp_path / "again" / name).read_bytes(), name


def test_the_stream_is_read_by_pymavlink(replayed: tuple[Path, ReplaySummary]) -> None:
    """Every message of the telemetry log decodes; positions are never more than 220 ms apart."""
    out, summary = replayed
    log = mavutil.mavlink_connection(str(out / "gps_input.tlog"))
    messages = []
    while (message := log.recv_msg()) is not None:
        messages.append(message)
    kinds = {message.get_type() for message in messages}
    assert kinds == {"GPS_INPUT", "HEARTBEAT", "NAMED_VALUE_FLOAT", "STATUSTEXT"}
    times_us = [message.time_usec for message in messages if message.get_type() == "GPS_INPUT"]
    assert len(times_us) == summary.gps_input >= 5 * 7
    assert max(b - a for a, b in pairwise(times_us)) <= 220_000
    assert times_us == sorted(times_us)


def test_positions_are_near_the_truth(short_recording: Path, replayed: tuple[Path, ReplaySummary]) -> None:
    """After two seconds every state is within 30 m and inside four times its own ellipse."""
    truth = list(RecordingReader(short_recording).truth())
    times = [sample.t_ns for sample in truth]
    lines = [orjson.loads(line) for line in (replayed[0] / "navstate.jsonl").read_bytes().splitlines()]
    for state in lines[20:]:
        sample = truth[min(bisect.bisect_left(times, state["t_ns"]), len(truth) - 1)]
        here = LocalFrame(sample.latitude_deg, sample.longitude_deg, sample.altitude_amsl_m)
        off = here.enu_from_geodetic(state["latitude_deg"], state["longitude_deg"], state["altitude_amsl_m"])
        assert math.hypot(off[0], off[1]) < 30.0
        assert math.hypot(off[0], off[1]) < 4.0 * state["ellipse_semi_major_m"]
    assert lines[-1]["source_label"] == "satellite_anchored"


def test_every_frame_is_traced(tiny_recording: Path) -> None:
    """An observer gets each frame once, in order, with its fix, its state and what was decided; nothing is written."""
    traces: list[FrameTrace] = []
    summary = replay_recording(tiny_recording, Config(), None, traces.append)
    assert [trace.index for trace in traces] == list(range(4))
    assert summary.frames == summary.fixes == 4
    for trace in traces:
        assert trace.fix is not None
        assert trace.state is not None
        assert trace.fix.t_ns == trace.state.t_ns == trace.t_ns
        assert {"place", "match", "pose"} <= set(trace.stage_ms)
    assert [trace.step is not None for trace in traces] == [False, True, True, True]
    assert not list(tiny_recording.parent.glob("*out*"))
