"""`operator-tool fdr` on a short flight: every command, and what it says of what is no flight."""

from __future__ import annotations

import base64
import csv
import json
from pathlib import Path
from xml.etree import ElementTree

import pyarrow.parquet
import pytest
from pymavlink import mavutil
from pymavlink.dialects.v20 import ardupilotmega
from typer.testing import CliRunner, Result

from gps_denied_onboard.errors import UserError
from gps_denied_onboard.geometry.camera import CameraModel
from gps_denied_onboard.messages import ImuSample, NavState, SourceLabel
from gps_denied_onboard.recorder.config import RecorderConfig
from gps_denied_onboard.recorder.flight import BuildInfo, open_flight
from gps_denied_onboard.recorder.meta import RecordingMeta
from gps_denied_onboard.recorder.records import AutopilotOutRecord, ThumbnailRecord
from gps_denied_operator.cli import app

SECOND_NS = 1_000_000_000
COVARIANCE = (9.0, 0.0, 0.0, 0.0, 9.0, 0.0, 0.0, 0.0, 16.0)


def state(second: int) -> NavState:
    return NavState(
        second * SECOND_NS, 48.0 + second * 1e-4, 37.0, 900.0, (11.0, 0.0, 0.0), (1.0, 0.0, 0.0, 0.0), COVARIANCE, 7.3,
        7.3, 0.0, 3.0, 4.0, 0.5, SourceLabel.SATELLITE_ANCHORED, 200, 3, second,
    )  # fmt: skip


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a flight root with one clean flight of twenty seconds."""
    folder = tmp_path_factory.mktemp("flights")
    meta = RecordingMeta(CameraModel(64, 48, 50.0, 50.0, 32.0, 24.0), 48.0, 37.0, 100.0, 2.0)
    flight = open_flight(
        RecorderConfig(directory=str(folder)), meta, BuildInfo({"numpy": "2"}, "test", "", {}, {}), clock_ns=lambda: 0
    )
    client = flight.client("flight")
    heartbeat = ardupilotmega.MAVLink(None, 1, 191).heartbeat_encode(18, 8, 0, 0, 4)
    packet = heartbeat.pack(ardupilotmega.MAVLink(None, 1, 191))
    for second in range(1, 21):
        client.record(ImuSample(second * SECOND_NS, (0.0, float(second), -9.8), (0.0, 0.0, 0.0)))
        client.record(state(second))
        client.record(AutopilotOutRecord(second * SECOND_NS, "mavlink2", base64.b64encode(packet).decode()))
    client.record(ThumbnailRecord(5 * SECOND_NS, 5, "weak", base64.b64encode(b"\xff\xd8\xff\xd9").decode()))
    flight.close(flight.flight_id, clean=True)
    return folder


@pytest.fixture
def flight(root: Path) -> Path:
    """Return the flight's folder."""
    return next(entry for entry in root.iterdir() if entry.is_dir())


def tool(*arguments: object) -> Result:
    return CliRunner().invoke(app, ["fdr", *map(str, arguments)], catch_exceptions=True)


def test_list_verify_and_info(root: Path, flight: Path) -> None:
    """They agree on the flight, and JSON is one object."""
    (listed,) = json.loads(tool("ls", root, "--json").stdout)["flights"]
    assert (listed["flight_id"], listed["end"]) == (flight.name, "clean shutdown")
    verified = tool("verify", flight, "--json")
    assert verified.exit_code == 0
    verdict = json.loads(verified.stdout)
    assert (verdict["state"], verdict["errors"], verdict["flight_id"]) == ("clean", [], flight.name)
    told = json.loads(tool("info", flight, "--json").stdout)
    assert told["records"]["navstate"] == told["records"]["position"] == 20
    assert told["fingerprint"] == verdict["fingerprint"]
    assert "clean shutdown" in tool("info", flight).stdout
    assert "CLEAN" in tool("verify", flight).stdout
    assert flight.name in tool("ls", root).stdout


def test_a_key_that_the_ground_was_not_told_is_refused(flight: Path) -> None:
    """The right fingerprint proves the flight, another one makes it damaged, with exit code 1."""
    right = json.loads(tool("verify", flight, "--json").stdout)["fingerprint"]
    assert tool("verify", flight, "--fingerprint", right).exit_code == 0
    wrong = tool("verify", flight, "--fingerprint", "0" * 16)
    assert wrong.exit_code == 1
    assert f"signed with key {right}, not with {'0' * 16}" in wrong.stdout


def test_extract_and_tail(root: Path, flight: Path, tmp_path: Path) -> None:
    """A span of one kind as JSON lines; the end of the newest flight of a root."""
    out = tmp_path / "states.jsonl"
    assert tool("extract", flight, "--kind", "navstate", "--from", 5, "--to", 10, "--out", out).exit_code == 0
    times = [json.loads(line)["t_ns"] // SECOND_NS for line in out.read_text().splitlines()]
    assert times == [5, 6, 7, 8, 9, 10]
    shown = tool("tail", root, "--kind", "imu", "--seconds", 3).stdout.splitlines()
    assert [json.loads(line)["payload"]["accel_body_mps2"][1] for line in shown] == [17.0, 18.0, 19.0, 20.0]


def test_exports_are_read_by_others(flight: Path, tmp_path: Path) -> None:
    """Parquet by pyarrow, CSV by csv, GeoJSON by json, KML by an XML parser, tlog by pymavlink."""
    for to in ("parquet", "csv", "geojson", "kml", "mcap", "tlog"):
        assert tool("export", flight, "--to", to, "--out", tmp_path / to).exit_code == 0
    table = pyarrow.parquet.read_table(tmp_path / "parquet" / "navstate.parquet")
    assert table["latitude_deg"].to_pylist() == [48.0 + second * 1e-4 for second in range(1, 21)]
    with (tmp_path / "csv" / "imu.csv").open(newline="") as stream:
        rows = list(csv.DictReader(stream))
    assert [json.loads(row["accel_body_mps2"])[1] for row in rows] == [float(second) for second in range(1, 21)]
    track = json.loads((tmp_path / "geojson" / "track.geojson").read_text())["features"][0]["geometry"]
    assert (track["type"], len(track["coordinates"])) == ("LineString", 20)
    kml = ElementTree.parse(tmp_path / "kml" / "track.kml")
    line = kml.findall(".//{http://www.google.com/kml/ext/2.2}coord")
    assert len(line) == 20
    log = mavutil.mavlink_connection(str(tmp_path / "tlog" / "autopilot.tlog"))
    assert len(list(iter(lambda: log.recv_match(type="HEARTBEAT"), None))) == 20


def test_a_plot_is_one_file(flight: Path, tmp_path: Path) -> None:
    """The page names the flight and its verdict, carries every moment, and loads nothing."""
    out = tmp_path / "flight.html"
    assert tool("plot", flight, "--out", out).exit_code == 0
    page = out.read_text()
    assert flight.name in page
    assert "The recording is clean" in page
    assert "default-src 'none'" in page
    assert "NaN" not in page.split('id="data">')[1].split("</script>")[0]


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("verify", "{empty}"), "is not a recording"),
        (("ls", "{empty}/none"), "is not a folder"),
        (("tail", "{empty}"), "holds no flight"),
        (("extract", "{flight}", "--from", "9", "--to", "2", "--out", "{empty}/x"), "--to not before --from"),
        (("export", "{flight}", "--to", "xls", "--out", "{empty}/x"), "use parquet, csv, geojson, kml, mcap, tlog"),
        (("plot", "{flight}", "--out", "{empty}/x.png"), "must be the name of an HTML file"),
    ],
)
def test_mistakes_are_told(flight: Path, tmp_path: Path, arguments: tuple[str, ...], says: str) -> None:
    """One sentence for what is no flight, no span, no format; nothing is left behind."""
    result = tool(*(argument.format(empty=tmp_path, flight=flight) for argument in arguments))
    assert isinstance(result.exception, UserError)
    assert says in str(result.exception)
    assert list(tmp_path.iterdir()) == []
