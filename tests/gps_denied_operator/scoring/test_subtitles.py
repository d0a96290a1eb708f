"""Truth of the subtitles beside a DJI video: by frame where they count frames, else by time."""

from __future__ import annotations

from pathlib import Path

import pytest

from gps_denied_onboard.errors import UserError
from gps_denied_operator.scoring.truth import read_truth_csv

PLACE = "[iso: 100] [latitude: 48.5{k}] [longitude: -37.2{k}] [rel_alt: 5.0 abs_alt: 105.{k}]"
OLD = "[iso : 100] [latitude : 48.5{k}] [longtitude : -37.2{k}] [altitude: 105.{k}]"


def srt(lines: str, count: int = 3, step_ms: int = 33) -> str:
    blocks = [
        f"{k + 1}\n00:00:00,{k * step_ms:03} --> 00:00:00,{(k + 1) * step_ms:03}\n{lines.format(k=k, n=k + 1)}\n"
        for k in range(count)
    ]
    return "\n".join(blocks)


@pytest.mark.parametrize("form", [PLACE, OLD])
@pytest.mark.parametrize("counter", ["FrameCnt: {n}, DiffTime: 33ms", "SrtCnt : {n}, DiffTime : 33ms"])
def test_blocks_that_count_frames_are_of_these_frames(form: str, counter: str, tmp_path: Path) -> None:
    """The counter decides, since the times of subtitles are rounded and run away from those of the frames."""
    path = tmp_path / "clip.SRT"
    path.write_text(srt(f'<font size="28">{counter}\n2026-05-17 08:28:30.219\n{form}</font>'))
    table = read_truth_csv(path)
    assert table.key == "frame"
    assert sorted(table.by_frame) == [0, 1, 2]
    place = table.by_frame[2]
    assert (place.latitude_deg, place.longitude_deg, place.altitude_m) == (48.52, -37.22, 105.2)


def test_longitudes_from_0_to_360_are_those_to_the_west(tmp_path: Path) -> None:
    """322.8 degrees east are 37.2 west."""
    path = tmp_path / "clip.SRT"
    path.write_text(srt("[latitude: 48.5] [longitude: 322.8] [rel_alt: 5.0 abs_alt: 105.0]"))
    assert read_truth_csv(path).by_time[0].longitude_deg == pytest.approx(-37.2)


def test_blocks_without_a_counter_go_by_time(tmp_path: Path) -> None:
    """Some write one block a second, and older ones no counter."""
    path = tmp_path / "clip.srt"
    path.write_text(srt(PLACE, step_ms=300))
    table = read_truth_csv(path)
    assert (table.key, table.times_s) == ("time", (0.0, 0.3, 0.6))


@pytest.mark.parametrize(
    ("lines", "said"),
    [
        ("GPS(39.906217,116.391305,69.800) BAROMETER(91.2)", "latitude first on some aircraft"),
        ("[latitude: 0.000000] [longitude: 0.000000]", "without a position"),
        ("Hello", "without a position"),
    ],
)
def test_subtitles_without_a_clear_position_are_refused(lines: str, said: str, tmp_path: Path) -> None:
    """Two numbers of which nothing tells the order, no fix, or a film's own subtitles: it is told what to give."""
    path = tmp_path / "clip.SRT"
    path.write_text(srt(lines))
    with pytest.raises(UserError, match=said):
        read_truth_csv(path)
