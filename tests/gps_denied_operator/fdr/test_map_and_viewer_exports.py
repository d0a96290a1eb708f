"""KML and MCAP of a flight: what a map and a viewer see, when, and where nothing was."""

from __future__ import annotations

import base64
import json
import re
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest
from mcap.reader import make_reader

from gps_denied_onboard.geometry.camera import CameraModel
from gps_denied_onboard.messages import Alert, GpsSample, NavState, SourceLabel
from gps_denied_onboard.recorder.config import RecorderConfig
from gps_denied_onboard.recorder.flight import BuildInfo, open_flight
from gps_denied_onboard.recorder.meta import RecordingMeta
from gps_denied_onboard.recorder.reader import FlightReader
from gps_denied_onboard.recorder.records import ThumbnailRecord
from gps_denied_operator.fdr.export import export_flight
from gps_denied_operator.fdr.kml import GX, KML, flight_kml

SECOND_NS = 1_000_000_000
ZERO = "2026-04-01T10:15:00Z"
ZERO_NS = 1_775_038_500 * SECOND_NS
JPEG = base64.b64encode(b"\xff\xd8\xff\xd9").decode()
COVARIANCE = (9.0, 0.0, 0.0, 0.0, 9.0, 0.0, 0.0, 0.0, 16.0)


def state(second: int, label: SourceLabel, fix_type: int = 3) -> NavState:
    return NavState(
        second * SECOND_NS, 48.0 + second * 1e-4, 37.0, 900.0, (11.0, 0.0, 0.0), (1.0, 0.0, 0.0, 0.0), COVARIANCE, 7.3,
        7.3, 0.0, 3.0, 4.0, 0.5, label, 200, fix_type, second,
    )  # fmt: skip


def flown(folder: Path) -> Path:
    """Fly seconds 1 to 10 anchored, 11 to 15 propagated, nothing to 20, then 21 to 25 dead reckoned; 26 is no fix."""
    meta = RecordingMeta(CameraModel(64, 48, 50.0, 50.0, 32.0, 24.0), 48.0, 37.0, 100.0, 2.0, utc_at_zero=ZERO)
    flight = open_flight(
        RecorderConfig(directory=str(folder)), meta, BuildInfo({}, "t", "", {}, {}), clock_ns=lambda: 0
    )
    client = flight.client("flight")
    anchored, propagated, reckoned = SourceLabel
    for second in (*range(1, 16), *range(21, 27)):
        label = anchored if second <= 10 else propagated if second <= 15 else reckoned
        client.record(state(second, label, 1 if second == 26 else 3))
        client.record(GpsSample(second * SECOND_NS, 48.001 + second * 1e-4, 37.0, 900.0, (0.0, 0.0, 0.0), 3, 9, 1.5))
    client.record(Alert(12 * SECOND_NS, 2, "GPS is SPOOFED: <jump>"))
    client.record(ThumbnailRecord(13 * SECOND_NS, 5, "tilt", JPEG))
    flight.close(flight.flight_id, clean=True)
    return flight.folder


@pytest.fixture(scope="module")
def dated(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a flight that knows UTC."""
    return flown(tmp_path_factory.mktemp("dated"))


def kml_of(flight: Path, out: Path) -> ElementTree.Element:
    export_flight(flight, out, "kml")
    assert [path.name for path in out.iterdir() if not path.name.startswith(".")] == ["track.kml"]
    return ElementTree.parse(out / "track.kml").getroot()


def test_kml_leaves_gaps_open_and_styles_by_label(dated: Path, tmp_path: Path) -> None:
    """One line a stretch, joined where only the label changes, none across the pause or over what was no fix."""
    root = kml_of(dated, tmp_path / "kml")
    tracks: dict[str, list[list[str]]] = {}
    for mark in root.iter(f"{{{KML}}}Placemark"):
        style = mark.findtext(f"{{{KML}}}styleUrl", "")
        times = [node.text or "" for node in mark.iter(f"{{{KML}}}when")]
        if mark.find(f"{{{GX}}}Track") is not None:
            tracks.setdefault(style, []).append(times)
    seconds = {style: [(t[0][17:19], t[-1][17:19]) for t in runs] for style, runs in tracks.items()}
    assert seconds == {
        "#satellite_anchored": [("01", "11")],
        "#visual_propagated": [("11", "15")],
        "#dead_reckoned": [("21", "25")],
        "#receiver": [("01", "15"), ("21", "26")],
    }
    styles = {node.get("id") for node in root.iter(f"{{{KML}}}Style")}
    assert {style.removeprefix("#") for style in tracks} <= styles
    colours = [node.text for node in root.iter(f"{{{KML}}}color")]
    assert len(set(colours)) == len(colours)


def test_kml_keeps_the_order_of_the_schema(dated: Path, tmp_path: Path) -> None:
    """OGC's schema of KML 2.2 fixes the order of what a style, a placemark and a track hold."""
    orders = {
        "Style": ["IconStyle", "LabelStyle", "LineStyle", "PolyStyle"],
        "Placemark": ["name", "description", "TimeStamp", "TimeSpan", "styleUrl", "LineString", "Point", "Track"],
        "Track": ["altitudeMode", "when", "coord"],
    }
    for node in kml_of(dated, tmp_path / "kml").iter():
        order = orders.get(node.tag.rpartition("}")[2])
        if order is not None:
            places = [order.index(child.tag.rpartition("}")[2]) for child in node]
            assert places == sorted(places)


def test_kml_tells_alerts_in_utc_where_we_were(dated: Path, tmp_path: Path) -> None:
    """The alert stands at the position of its time, its markup escaped, with the UTC time of the recording."""
    (point,) = kml_of(dated, tmp_path / "kml").iter(f"{{{KML}}}Point")
    x, y, _ = (point.findtext(f"{{{KML}}}coordinates") or "").split(",")
    assert np.allclose((float(y), float(x)), (48.0012, 37.0))
    text = (tmp_path / "kml" / "track.kml").read_text()
    assert "2026-04-01T10:15:12" in text
    assert "GPS is SPOOFED: &lt;jump&gt;" in text


def test_kml_without_utc_says_so_and_gives_no_time(dated: Path, tmp_path: Path) -> None:
    """No time is made up: plain lines, and the description tells that UTC is not known."""
    flight_kml(FlightReader(dated), tmp_path, None)
    root = ElementTree.parse(tmp_path / "track.kml").getroot()
    assert not list(root.iter(f"{{{KML}}}when"))
    assert len(list(root.iter(f"{{{KML}}}LineString"))) == 5
    assert "knows no UTC" in (tmp_path / "track.kml").read_text()


def test_mcap_is_in_utc_with_pictures_positions_and_a_layout(dated: Path, tmp_path: Path) -> None:
    """Log times are UTC; foxglove schemas stand for positions, receiver, alerts and thumbnails; records stay as is."""
    export_flight(dated, tmp_path / "mcap", "mcap")
    seen: dict[str, list[tuple[str, int, dict[str, object]]]] = {}
    with (tmp_path / "mcap" / "flight.mcap").open("rb") as stream:
        for schema, channel, message in make_reader(stream).iter_messages():
            name = "" if schema is None else schema.name
            seen.setdefault(channel.topic, []).append((name, message.log_time, json.loads(message.data)))
    name, at_ns, image = seen["/thumbnail_image"][0]
    assert (name, at_ns) == ("foxglove.CompressedImage", ZERO_NS + 13 * SECOND_NS)
    assert image["timestamp"] == {"sec": ZERO_NS // SECOND_NS + 13, "nsec": 0}
    assert (image["format"], image["data"]) == ("jpeg", JPEG)
    assert seen["/position"][0][0] == seen["/gps_position"][0][0] == "foxglove.LocationFix"
    assert seen["/position"][0][2]["timestamp"] == {"sec": ZERO_NS // SECOND_NS + 1, "nsec": 0}
    assert seen["/alerts"][0][2]["level"] == 5
    assert set(seen["/alerts"][0][2]) == {"timestamp", "level", "message", "name", "file", "line"}  # all are required
    assert seen["/navstate"][0][2]["t_ns"] == SECOND_NS  # the record itself is not touched
    assert len(seen["/navstate"]) == 21


def test_the_layout_names_topics_and_fields_that_the_file_holds(dated: Path, tmp_path: Path) -> None:
    """Every path of the Foxglove layout leads to a topic of the export, every panel of it is laid out."""
    export_flight(dated, tmp_path / "mcap", "mcap")
    layout = json.loads((tmp_path / "mcap" / "foxglove-layout.json").read_text())
    with (tmp_path / "mcap" / "flight.mcap").open("rb") as stream:
        summary = make_reader(stream).get_summary()
    assert summary is not None
    topics = {channel.topic for channel in summary.channels.values()} | {"/aid"}  # a flight of positions has no aids
    panels = layout["configById"]
    paths = [path["value"] for panel in panels.values() for path in panel.get("paths", [])]
    named = [path.split(".")[0] for path in paths] + [
        panels["Image!thumbnails"]["imageMode"]["imageTopic"], panels["RosOut!alerts"]["topicToRender"],
    ]  # fmt: skip
    assert paths
    assert set(named) <= topics
    fields = {path.split(".")[2] for path in paths if path.startswith("/navstate.payload.")}
    assert fields - {"protection_level_m"} <= set(NavState.__dataclass_fields__)

    def leaves(node: object) -> list[str]:
        return [node] if isinstance(node, str) else [*leaves(node["first"]), *leaves(node["second"])]  # type: ignore[index]

    assert sorted(leaves(layout["layout"])) == sorted(panels)


# What each panel's settings must hold, by the published settings of the open viewer that reads the same files.
PANEL_KEYS = {
    "map": {"customTileUrl", "disabledTopics", "followTopic", "layer", "topicColors"},
    "StateTransitions": {"isSynced", "paths"},
    "Plot": {"paths", "showLegend", "legendDisplay", "showPlotValuesInLegend", "showXAxisLabels", "showYAxisLabels",
             "isSynced", "xAxisVal", "sidebarDimension"},
    "Image": {"imageMode"},
    "RosOut": {"searchTerms", "minLogLevel", "topicToRender"},
}  # fmt: skip


def test_the_layout_has_what_each_panel_must_have(dated: Path, tmp_path: Path) -> None:
    """Panels are of known kinds with all settings that have no default; its map's address has known places alone."""
    export_flight(dated, tmp_path / "mcap", "mcap")
    layout = json.loads((tmp_path / "mcap" / "foxglove-layout.json").read_text())
    assert {"configById", "globalVariables", "userNodes", "playbackConfig", "layout"} == set(layout)
    for name, settings in layout["configById"].items():
        assert set(settings) >= PANEL_KEYS[name.split("!")[0]], name
        for path in settings.get("paths", []):
            assert path["timestampMethod"] in ("receiveTime", "headerStamp")
    address = layout["configById"]["map!flight"]["customTileUrl"]
    assert set(re.findall(r"\{.+?\}", address)) == {"{x}", "{y}", "{z}"}
