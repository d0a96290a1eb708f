"""The report of a recorded flight: scored where truth is given, over the map, whole or not at all."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import orjson
import pytest
from typer.testing import CliRunner

from gps_denied_onboard.errors import UserError
from gps_denied_onboard.geometry.camera import CameraModel
from gps_denied_onboard.geometry.geodesy import LocalFrame, mercator_px_from_geodetic
from gps_denied_onboard.messages import NavState
from gps_denied_onboard.recorder.config import RecorderConfig
from gps_denied_onboard.recorder.flight import BuildInfo, open_flight
from gps_denied_onboard.recorder.meta import RecordingMeta
from gps_denied_onboard.recorder.reader import FlightReader
from gps_denied_onboard.recorder.records import MovedRecord
from gps_denied_operator.cli import app
from gps_denied_operator.report.flight_report import frame_latencies_ms, report_flights

from .recordings import blind_flight, forged_flight

SECOND_NS = 1_000_000_000
COUNT = 40
EAST_M = 12.0


@pytest.fixture
def flown(tmp_path: Path, make_state: Callable[..., NavState], origin: LocalFrame) -> Path:
    """Return a recorded flight of COUNT positions, one a second, each 70 ms after its picture."""
    meta = RecordingMeta(
        CameraModel(64, 48, 50.0, 50.0, 32.0, 24.0), origin.latitude_deg, origin.longitude_deg, origin.altitude_m, 2.0
    )
    flight = open_flight(RecorderConfig(directory=str(tmp_path / "flights")), meta, BuildInfo({}, "<i>", "", {}, {}))
    client = flight.client("flight")
    for k in range(COUNT):
        t_ns = (5 + k) * SECOND_NS
        client.record(MovedRecord(t_ns - 70_000_000, k, None))
        client.record(make_state(t_ns, np.array([17.0 * k, 0.0, 400.0])))
        client.record(make_state(t_ns + SECOND_NS // 2, np.array([17.0 * k + 8.5, 0.0, 400.0])))
    flight.close(flight.flight_id, clean=True)
    return tmp_path / "flights" / flight.flight_id


def truth_table(path: Path, flight: Path, origin: LocalFrame, shift_s: float = 0.0) -> Path:
    start_ns = FlightReader(flight).start_ns
    assert start_ns is not None
    lines = ["t_s,latitude_deg,longitude_deg"]
    for k in range(COUNT):
        latitude, longitude, _ = origin.geodetic_from_enu(np.array([17.0 * k + EAST_M, 0.0, 400.0]))
        lines.append(f"{5 + k - start_ns / 1e9 + shift_s:.4f},{latitude:.9f},{longitude:.9f}")
    path.write_text("\n".join(lines))
    return path


@pytest.fixture
def tiles(tmp_path: Path, origin: LocalFrame) -> Path:
    """Return a folder of tiles around the flight."""
    x, y = (mercator_px_from_geodetic(origin.latitude_deg, origin.longitude_deg, 15) // 256).astype(int)
    grey = np.random.default_rng(1).integers(0, 255, (256, 256), dtype=np.uint8)
    for column in range(x - 1, x + 3):
        (tmp_path / f"tiles/15/{column}").mkdir(parents=True)
        for row in range(y - 1, y + 2):
            cv2.imwrite(str(tmp_path / f"tiles/15/{column}/{row}.jpg"), grey)
    return tmp_path / "tiles"


def test_truth_scores_the_positions(flown: Path, tiles: Path, tmp_path: Path, origin: LocalFrame) -> None:
    """The error is the one that was put in; map, recording's state and the key's fingerprint are on the page."""
    out = tmp_path / "report.html"
    truth = truth_table(tmp_path / "truth.csv", flown, origin)
    command = ["report", str(flown), "--truth", str(truth), "--tiles", str(tiles), "--out", str(out), "--json"]
    answer = CliRunner().invoke(app, command)
    assert answer.exit_code == 0, answer.output
    told = orjson.loads(answer.stdout)
    assert (told["flight_id"], told["recording"], told["map"]) == (flown.name, "clean", True)
    assert told["figures"]["scored"] == COUNT
    assert told["figures"]["error_m"]["max"] == pytest.approx(EAST_M, abs=0.02)
    assert told["figures"]["latency_ms"]["p50"] == pytest.approx(70.0)
    page = out.read_text()
    assert "data:image/jpeg;base64" in page
    assert "&lt;i&gt;" in page
    assert "The recording is clean" in page
    assert not re.search(r"(?:src|href)=(?![\"']?data:)[\"']?http", page)


def test_without_truth_nothing_is_scored(flown: Path) -> None:
    """The figures hold no error, and the page says that no truth was given and that the map is not here."""
    made = report_flights([flown], None, None)
    assert made.figures["scored"] == 0
    assert made.map_shown is False
    assert "no truth was given" in made.page
    assert "not on this machine" in made.page


def test_latency_is_from_the_picture_to_the_first_position_that_holds_it(flown: Path) -> None:
    """The second position of each second holds no new picture and has none."""
    latencies = frame_latencies_ms(FlightReader(flown))
    assert latencies == {(5 + k) * SECOND_NS: 70.0 for k in range(COUNT)}


def test_truth_that_is_not_of_this_flight_is_refused(flown: Path, tmp_path: Path, origin: LocalFrame) -> None:
    """Another time, a table without times, a recording without truth: one sentence each, and no page."""
    late = truth_table(tmp_path / "late.csv", flown, origin, shift_s=5000.0)
    by_frame = tmp_path / "frames.csv"
    by_frame.write_text("frame,latitude_deg,longitude_deg\n0,48.0,37.0\n")
    for truth, said in ((late, "truth of another one"), (by_frame, "go by time"), (flown, "no true positions")):
        with pytest.raises(UserError, match=said):
            report_flights([flown], truth, None)
    answer = CliRunner().invoke(app, ["report", str(flown), "--out", str(tmp_path / "report.txt")])
    assert isinstance(answer.exception, UserError)
    assert not (tmp_path / "report.txt").exists()


def data_of(page: str) -> dict[str, Any]:
    """What the page draws."""
    found = re.search(r'id="data">(.*?)</script>', page, re.DOTALL)
    assert found is not None
    return dict(orjson.loads(found[1]))


def test_a_flight_without_any_position_has_a_report(tmp_path: Path, origin: LocalFrame) -> None:
    """It says so at its head, and draws the receiver's track, the alert in UTC, and nothing that is empty."""
    flight = blind_flight(tmp_path / "flights", origin)
    made = report_flights([flight], None, None)
    assert made.sentence.startswith("No position was ever sent. The recording is clean")
    assert "cannot be told" in made.sentence
    drawn = data_of(made.page)["flights"][0]
    assert drawn["story"]["alerts"] == [[4.0, 2, "10:15:05.0 UTC", "NO_ESTIMATE_TIMEOUT"]]
    assert len(drawn["story"]["receiver"]) == 60
    assert drawn["share"][-1] == len(drawn["t"])
    assert drawn["worst"] == []
    out = tmp_path / "plot.html"
    assert CliRunner().invoke(app, ["fdr", "plot", str(flight), "--out", str(out)]).exit_code == 0
    assert "No position was ever sent" in out.read_text()


def test_two_flights_and_a_plan_in_one_page(
    tmp_path: Path, make_state: Callable[..., NavState], origin: LocalFrame
) -> None:
    """`report A B --plan` draws both in one plane with the route, and a sentence for each."""
    folders = [forged_flight(tmp_path / name, make_state, origin, shift_m=s) for name, s in (("a", 0.0), ("b", 200.0))]
    plan = tmp_path / "plan.geojson"
    plan.write_text('{"type": "LineString", "coordinates": [[37.1, 48.41], [37.1, 48.43]]}')
    out = tmp_path / "both.html"
    answer = CliRunner().invoke(app, ["report", *map(str, folders), "--plan", str(plan), "--out", str(out)])
    assert answer.exit_code == 0, answer.output
    drawn = data_of(out.read_text())
    assert (len(drawn["flights"]), drawn["together"]) == (2, True)
    first, second = (flight["x"][10] for flight in drawn["flights"])
    assert second - first == pytest.approx(200.0, abs=1.0)
    for flight in drawn["flights"]:
        (x0, y0), (x1, y1) = flight["story"]["route"]
        assert abs(x1 - x0) < 1.0
        assert y1 - y0 == pytest.approx(2224.0, abs=15.0)
    assert answer.stdout.count("GPS forged from 10:15:40.0 UTC") == 2


def test_of_several_flights_all_are_named_and_the_worst_state_is_told(
    tmp_path: Path, make_state: Callable[..., NavState], origin: LocalFrame
) -> None:
    """The second flight's recording was cut off: neither JSON nor text speaks of the first one alone."""
    folders = [forged_flight(tmp_path / name, make_state, origin) for name in ("a", "b")]
    segment = max(folders[1].glob("*.mcap"))
    segment.write_bytes(segment.read_bytes()[:-200])
    command = ["report", *map(str, folders), "--out", str(tmp_path / "both.html")]
    answer = CliRunner().invoke(app, [*command, "--json"])
    assert answer.exit_code == 0, answer.output
    told = orjson.loads(answer.stdout)
    assert told["flight_id"] == ", ".join(folder.name for folder in folders)
    assert told["recording"] == "interrupted"
    said = CliRunner().invoke(app, command).stdout.splitlines()[-1]
    assert said.endswith(f"moments of flights {folders[0].name}, {folders[1].name}")


def test_refused_fixes_and_the_protection_level(
    tmp_path: Path, make_state: Callable[..., NavState], origin: LocalFrame
) -> None:
    """A refused fix carries its words and evidence; positions without a protection level have none on the page."""
    made = report_flights([forged_flight(tmp_path, make_state, origin)], None, None)
    drawn = data_of(made.page)["flights"][0]
    (refused,) = (fix for fix in drawn["fixes"] if not fix[1])
    assert refused[4] == "the pose is tilted more than the aircraft flies: 0.63 rad (at most 0.45)"
    assert refused[8] == "61 agreeing, 57 % first pass, rival 0.10"
    assert set(drawn["aids"]) == {"fix"}
    assert drawn["protection"] == [None] * len(drawn["t"])
    assert [w["why"] for w in drawn["worst"]] == [f"map fix refused, {refused[4]}"]
