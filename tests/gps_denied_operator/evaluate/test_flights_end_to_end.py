"""Simulated flights through the whole chain: simulate, replay, score, report; and what a second run reuses."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest

from gps_denied_operator import cli
from gps_denied_operator.evaluate.flights import parse_seeds
from gps_denied_operator.evaluate.recordings import FlightKey, drop_outdated, recording_folder, simulator_hash

TIMES = ("latency_ms", "stage_ms_p95", "rss_peak_mb", "wall_s", "commit")


@pytest.mark.parametrize(
    ("told", "seeds"), [("0-3", (0, 1, 2, 3)), ("7", (7,)), ("5, 2-3", (2, 3, 5)), ("0-0", (0,)), ("1,1", (1,))]
)
def test_seeds_as_people_write_them(told: str, seeds: tuple[int, ...]) -> None:
    """Ranges and lists, sorted and each once."""
    assert parse_seeds(told) == seeds


def test_recordings_of_an_older_simulator_go_and_others_stay(tmp_path: Path) -> None:
    """Only the same flight under another simulator's hash is removed."""
    key, now = FlightKey("cruise", 1, 2.5), simulator_hash()
    stay = [recording_folder(tmp_path, key, now), tmp_path / "cruise-2.5min-seed11-0123456789ab", tmp_path / "mine"]
    gone = tmp_path / "cruise-2.5min-seed1-0123456789ab"
    for folder in (*stay, gone):
        folder.mkdir()
    drop_outdated(tmp_path, key, now)
    assert sorted(tmp_path.iterdir()) == sorted(stay)


@pytest.mark.slow
def test_the_same_flight_twice_gives_the_same_figures(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A second run reuses the recording, prints nothing but one JSON object, and has the same figures but for times."""
    figures, made_ns = [], []
    for _ in range(2):
        flight = ["--seeds", "3", "--minutes", "0.2", "--json"]
        arguments = ["evaluate", "flights", *flight, "--out", str(tmp_path / "out")]
        monkeypatch.setattr(sys, "argv", ["operator-tool", *arguments])
        with pytest.raises(SystemExit) as ended:
            cli.main()
        assert ended.value.code == 0
        printed = json.loads(capsys.readouterr().out)
        figures.append({key: value for key, value in printed.items() if key not in TIMES})
        recordings = list((tmp_path / "out" / "recordings").iterdir())
        assert len(recordings) == 1
        made_ns.append((recordings[0] / "recording.json").stat().st_mtime_ns)
    assert figures[0] == figures[1]
    assert made_ns[0] == made_ns[1]
    assert figures[0]["frames"] == figures[0]["scored"] == 12
    assert figures[0]["false_anchors"] == 0
    names = {entry.name for entry in (tmp_path / "out").iterdir()}
    assert names == {".gps-denied-output.json", "recordings", "report.html", "results.json", "frames.csv"}
