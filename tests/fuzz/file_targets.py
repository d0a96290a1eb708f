"""Hostile bytes for every parser of files and answers. Each target lets through what its parser may raise, no more."""

from __future__ import annotations

import contextlib
import io
import sqlite3
import tempfile
import zipfile
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path

import numpy as np
import orjson
from PIL import Image

from gps_denied_onboard.autopilot.mavlink.tlog import TlogWriter, read_tlog
from gps_denied_onboard.config import Config, config_from_tree, load_config, without_places
from gps_denied_onboard.errors import UserError
from gps_denied_onboard.frames.container import missing_bytes, shown_seconds
from gps_denied_onboard.frames.photo_info import read_photo_info
from gps_denied_onboard.frames.xmp import parse_xmp
from gps_denied_onboard.geometry.camera import CameraModel
from gps_denied_onboard.geometry.terrain import TerrainGrid
from gps_denied_onboard.provisioning.cache_manifest import CacheBody, Signature, parse_cache_manifest, seal
from gps_denied_onboard.provisioning.manifest import artefact_of, manifest_bytes, parse_manifest
from gps_denied_onboard.provisioning.mission_file import MissionFile, read_mission
from gps_denied_onboard.provisioning.onnx_files import refuse_external_data
from gps_denied_onboard.provisioning.tile_bundles import FORMAT, TileBundleError, read_tile_bundle
from gps_denied_onboard.provisioning.trusted_keys import read_trusted_keys
from gps_denied_onboard.recorder.meta import META_FILE, RecordingMeta, read_meta
from gps_denied_onboard.tiles import codec
from gps_denied_onboard.tiles.coverage import TileBlock
from gps_denied_onboard.tiles.terrain_file import parse_terrain, terrain_bytes
from gps_denied_onboard.untrusted.json import read_json
from gps_denied_onboard.untrusted.text import shown
from gps_denied_operator.companion.check import described_of
from gps_denied_operator.missions.plan_files import parse_route
from gps_denied_operator.scoring.truth import read_truth_csv
from gps_denied_operator.terrain.height_tiles import height_tiles
from gps_denied_operator.tiles.feeds import offer_of
from gps_denied_operator.tiles.mbtiles import MbtilesFile
from gps_denied_operator.tiles.upload import _fingerprint, _verdicts

ANSWER_BYTES_MAX = 1 << 20


@contextlib.contextmanager
def _file(data: bytes, name: str):  # type: ignore[no-untyped-def]
    with tempfile.TemporaryDirectory(prefix="gps-denied-fuzz-") as folder:
        path = Path(folder) / name
        path.write_bytes(data)
        yield path


def _of_file(read: Callable[[Path], object], name: str) -> Callable[[bytes], None]:
    """Read a file of these bytes; a UserError may come of it, nothing else."""

    def run(data: bytes) -> None:
        with _file(data, name) as path, contextlib.suppress(UserError):
            read(path)

    return run


fuzz_config = _of_file(lambda path: without_places(load_config(path)), "flight.toml")
fuzz_mission = _of_file(read_mission, "mission.json")
fuzz_truth = _of_file(lambda path: read_truth_csv(path).lookup(), "truth.csv")
fuzz_tlog = _of_file(lambda path: list(read_tlog(path)), "gps_input.tlog")
fuzz_meta = _of_file(lambda path: read_meta(path.parent), META_FILE)
fuzz_revoked = _of_file(lambda path: read_trusted_keys(path.parent), "revoked")


def fuzz_plan(data: bytes) -> None:
    """Plans of every format, told apart by their content."""
    with contextlib.suppress(UserError):
        for latitude, longitude in parse_route(data, "plan").points_deg:
            assert -90.0 <= latitude <= 90.0
            assert -180.0 <= longitude <= 180.0


def fuzz_terrain(data: bytes) -> None:
    """A file of heights: what is taken has heights of this earth alone."""
    with contextlib.suppress(UserError):
        heights = parse_terrain(data, "it").heights_amsl_m
        assert not (np.abs(heights) > 9000.0).any()


def fuzz_height_tile(data: bytes) -> None:
    """A tile of heights in colours."""
    with contextlib.suppress(UserError):
        heights = height_tiles("it", 12, [(2467, 1409)], lambda _x, _y: data).grid.heights_amsl_m
        assert not (np.abs(heights) > 9000.0).any()


def fuzz_header(data: bytes) -> None:
    """A recorded configuration: no place of it is ever kept."""
    with contextlib.suppress(UserError):
        tree = read_json(data, "header", ANSWER_BYTES_MAX)
        if isinstance(tree, dict):
            kept = without_places(config_from_tree(tree))
            assert (kept.map.directory, kept.mission.manifest, kept.autopilot.address) == ("", "", "")


def fuzz_picture(data: bytes) -> None:
    """EXIF and XMP of a picture."""
    with _file(data, "photo.jpg") as path, contextlib.suppress(OSError, ValueError):
        read_photo_info(path)


def fuzz_video_container(data: bytes) -> None:
    """Sizes and edit list of a video's own container."""
    with _file(data, "video.mp4") as path:
        assert missing_bytes(path) >= 0
        assert shown_seconds(path) >= 0.0


def fuzz_xmp(data: bytes) -> None:
    """An XMP packet of its own."""
    parse_xmp(data)


def fuzz_tile(data: bytes) -> None:
    """A tile's picture and mask."""
    middle = len(data) // 2
    with contextlib.suppress(ValueError):
        codec.check_jpeg_tile(data)
    with contextlib.suppress(ValueError):
        codec.decode_tile(data[:middle], data[middle:] or None)


def fuzz_mbtiles(data: bytes) -> None:
    """An MBTiles file: what it lists, and its first tiles."""
    with _file(data, "map.mbtiles") as path, contextlib.suppress(UserError, OSError, ValueError):
        opened = MbtilesFile(path)
        try:
            for zoom, places in opened.places().items():
                for x, y in places[:3]:
                    opened.read(zoom, x, y)
        finally:
            opened.close()


def fuzz_manifests(data: bytes) -> None:
    """A cache's manifest and a models' manifest."""
    for parse in (parse_cache_manifest, parse_manifest):
        with contextlib.suppress(UserError):
            parse(data)


def fuzz_parcel(data: bytes) -> None:
    """A parcel of tiles."""
    with contextlib.suppress(TileBundleError):
        read_tile_bundle(data, "provider", 18)


def fuzz_onnx(data: bytes) -> None:
    """A model's protobuf."""
    with contextlib.suppress(UserError):
        refuse_external_data("net", data)


def fuzz_answers(data: bytes) -> None:
    """A provider's inventory and verdicts, and a companion's description of itself."""
    for read in (_fingerprint, lambda body: _verdicts(body, 5)):
        with contextlib.suppress(UserError, ValueError):
            read(data)
    with contextlib.suppress(UserError):
        tree = read_json(data, "answer", ANSWER_BYTES_MAX)
        with contextlib.suppress(ValueError):
            offer_of(tree)
        described_of(tree if isinstance(tree, dict) else {})


def fuzz_shown(data: bytes) -> None:
    """Whatever a stranger wrote is one printable line."""
    assert shown(data).isprintable()
    assert shown(data.decode("utf-8", "surrogateescape")).isprintable()


def _json_of(value: object) -> bytes:
    return orjson.dumps(value, option=orjson.OPT_SERIALIZE_NUMPY | orjson.OPT_NON_STR_KEYS)


def plan_seeds() -> list[bytes]:
    """A small plan of every format."""
    item = {"type": "SimpleItem", "command": 16, "frame": 3, "params": [0, 0, 0, None, 48.5, 37.2, 300]}
    mission = {"version": 2, "items": [item, item], "plannedHomePosition": [48.4, 37.1, 140]}
    line = {"type": "LineString", "coordinates": [[37.1, 48.4], [37.2, 48.5, 300]]}
    kml = (
        '<?xml version="1.0"?><kml xmlns="http://www.opengis.net/kml/2.2"><Document><Placemark><LineString>'
        "<coordinates>37.1,48.4,0 37.2,48.5,300</coordinates></LineString></Placemark></Document></kml>"
    )
    places = "<gx:coord>37.1 48.4 0</gx:coord><gx:coord>37.2 48.5 0</gx:coord>"
    track = f'<kml xmlns:gx="g"><gx:Track>{places}</gx:Track></kml>'
    waypoints = "QGC WPL 110\n" + "".join(f"{k}\t0\t3\t16\t0\t0\t0\t0\t48.{k}\t37.{k}\t100\t1\n" for k in range(1, 4))
    transects = {"Items": [], "VisualTransectPoints": [[48.4, 37.1], [48.5, 37.2]]}
    survey = {"type": "ComplexItem", "complexItemType": "survey", "TransectStyleComplexItem": transects}
    landing = {"type": "ComplexItem", "complexItemType": "fwLandingPattern", "landCoordinate": [48.4, 37.1, 0],
               "landingApproachCoordinate": [48.41, 37.1, 50]}  # fmt: skip
    complex_items = {"version": 2, "items": [item, survey, landing], "plannedHomePosition": [48.4, 37.1, 140]}
    inav = (
        '<mission><mwp home-x="37.1" home-y="48.4"/><missionitem no="1" action="WAYPOINT" lat="48.5" lon="37.2" '
        'flag="0"/><missionitem no="2" action="SET_POI" lat="48.6" lon="37.2" flag="165"/></mission>'
    )
    kmz = io.BytesIO()
    with zipfile.ZipFile(kmz, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("doc.kml", kml)
    return [
        _json_of({"fileType": "Plan", "version": 1, "mission": complex_items}), inav.encode(), kmz.getvalue(),
        _json_of({"fileType": "Plan", "version": 1, "mission": mission}), waypoints.encode(), kml.encode(),
        track.encode(), _json_of({"type": "FeatureCollection", "features": [{"type": "Feature", "geometry": line}]}),
        _json_of(line),
    ]  # fmt: skip


def config_seeds() -> list[bytes]:
    """Configurations in TOML."""
    camera = "[camera]\nwidth_px = 64\nheight_px = 48\nfx_px = 50.0\nfy_px = 50.0\ncx_px = 32.0\ncy_px = 24.0\n"
    return [
        b"", camera.encode() + b"distortion = [0.1, 0.2]\n",
        b'[map]\ndirectory = "tiles"\nzoom = 18\nuse_store = true\n[autopilot]\naddress = "udpin:0.0.0.0:14550"\n',
        b"[pipeline]\noutput_rate_hz = 8.0\n[tiles]\nbudget_gb = 3\ncandidates = false\n", b"a = " + b"[" * 100,
    ]  # fmt: skip


def header_seeds() -> list[bytes]:
    """Recorded configurations."""
    return [_json_of(asdict(Config())), b"{}", b'{"map": {"directory": "/x", "use_store": true}}']


def meta_seeds() -> list[bytes]:
    """A recording.json."""
    meta = RecordingMeta(CameraModel(64, 48, 50.0, 50.0, 32.0, 24.0), 48.42, 37.1, 140.0, 2.0)
    return [_json_of(meta), _json_of({**asdict(meta), "tiles_directory": "tiles", "tiles_source": "provider"})]


def picture_seeds() -> list[bytes]:
    """Pictures with EXIF, with XMP, and in three formats."""
    out = []
    exif = Image.Exif()
    exif[271], exif[272] = "Maker", "Camera"
    exif.get_ifd(0x8769).update({36867: "2025:07:01 06:00:00", 37386: 8.8, 41989: 24, 40962: 64, 40963: 48})
    exif.get_ifd(0x8825).update({1: "N", 2: (48.0, 25.0, 12.0), 3: "E", 4: (37.0, 6.0, 0.0), 5: b"\0", 6: 420.5})
    xmp = (
        b'<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">'
        b'<rdf:Description xmlns:drone-dji="http://www.dji.com/drone-dji/1.0/" drone-dji:RelativeAltitude="+100.2" '
        b'drone-dji:GimbalYawDegree="12.3" drone-dji:GimbalPitchDegree="-90" drone-dji:FlightYawDegree="11"/>'
        b"</rdf:RDF></x:xmpmeta>"
    )
    for form, options in (("JPEG", {"exif": exif, "xmp": xmp}), ("PNG", {"exif": exif}), ("TIFF", {}), ("WEBP", {})):
        file = io.BytesIO()
        Image.new("L", (64, 48), 90).save(file, form, **options)
        out.append(file.getvalue())
    return [*out, xmp]


def tile_seeds() -> list[bytes]:
    """A tile and its mask, one after the other in equal halves."""
    grey = np.tile(np.arange(256, dtype=np.uint8), (256, 1))
    jpeg, mask = codec.encode_jpeg(grey), codec.encode_mask(grey > 7) or b""
    half = max(len(jpeg), len(mask))
    return [jpeg, jpeg.ljust(half, b"\0") + mask.ljust(half, b"\0")]


def terrain_seeds() -> list[bytes]:
    """A small grid with a hole."""
    heights = np.arange(20.0).reshape(4, 5).astype("<f4")
    heights[2, 2] = np.nan
    return [terrain_bytes(TerrainGrid(48.0, 37.0, 0.01, 0.01, heights, 5.0))]


def height_tile_seeds() -> list[bytes]:
    """The same heights as Terrarium and as Mapbox RGB."""
    out = []
    for first, last in (((128, 44, 0), (128, 94, 0)), ((1, 146, 124), (1, 147, 224))):
        picture = Image.new("RGB", (256, 256), first)
        picture.paste(last, (0, 128, 256, 256))
        with io.BytesIO() as stream:
            picture.save(stream, "PNG")
            out.append(stream.getvalue())
    return out


def mbtiles_seeds() -> list[bytes]:
    """MBTiles with a table of tiles, as Mapbox writes them in two tables, and an archive of OsmAnd."""
    out = []
    for script in (
        "CREATE TABLE tiles (zoom_level INTEGER, tile_column INTEGER, tile_row INTEGER, tile_data BLOB);"
        "CREATE TABLE metadata (name TEXT, value TEXT); INSERT INTO metadata VALUES ('format', 'jpg');"
        "INSERT INTO tiles VALUES (3, 1, 2, x'ffd8ff'), (3, 2, 2, x'89504e47'), (4, 5, 5, x'00');",
        "CREATE TABLE map (zoom_level INTEGER, tile_column INTEGER, tile_row INTEGER, tile_id TEXT);"
        "CREATE TABLE images (tile_id TEXT, tile_data BLOB); INSERT INTO map VALUES (3, 1, 2, 'a');"
        "INSERT INTO images VALUES ('a', x'ffd8ff');"
        "CREATE VIEW tiles AS SELECT zoom_level, tile_column, tile_row, tile_data FROM map"
        " JOIN images USING (tile_id);",
        "CREATE TABLE tiles (x INT, y INT, z INT, s INT, image BLOB, PRIMARY KEY (x, y, z, s));"
        "CREATE TABLE info (tilenumbering TEXT, inverted_y INT, ellipsoid INT);"
        "INSERT INTO info VALUES ('BigPlanet', 1, 0); INSERT INTO tiles VALUES (1, 2, 14, 0, x'ffd8ff'),"
        " (5, 5, 13, 0, x'00');",
    ):
        database = sqlite3.connect(":memory:")
        database.executescript(f"PRAGMA page_size = 512; VACUUM; {script}")
        out.append(database.serialize())
        database.close()
    return out


def manifest_seeds() -> list[bytes]:
    """A models' manifest, and a cache's as it is offered and as it is signed."""
    artefact = artefact_of("models/net.onnx", b"net")
    body = CacheBody(
        "m", "f", 2.5, 3.5, (1.0, 2.0, 3.0, 4.0), "", "provider", 18, False,
        squares=(TileBlock(1, 2, 3, "0" * 64),), artefacts=(artefact,), companion_id="0" * 32, counter=1,
    )  # fmt: skip
    return [manifest_bytes([artefact]), seal(body), seal(body, Signature("0" * 32, "0" * 128))]


def mission_seeds() -> list[bytes]:
    """A mission file with and without the planned paths."""
    box = (37.0, 48.0, 38.0, 49.0)
    paths = (((48.5, 37.5), (48.6, 37.6)), ((48.7, 37.6), (48.7, 37.7)))
    return [MissionFile("m", "f", 48.5, 37.5, box, there).to_bytes() for there in ((), paths)]


def container_seeds() -> list[bytes]:
    """An MP4 with an edit list, an AVI and a Matroska file, cut down to what is looked at."""

    def box(kind: bytes, content: bytes) -> bytes:
        return (8 + len(content)).to_bytes(4, "big") + kind + content

    edit = box(b"elst", bytes(4) + (1).to_bytes(4, "big") + (900).to_bytes(4, "big") + bytes(8))
    track = box(b"trak", box(b"edts", edit) + box(b"mdia", b"vide" + bytes(8)))
    movie = box(b"moov", box(b"mvhd", bytes(12) + (600).to_bytes(4, "big") + bytes(84)) + track)
    return [
        box(b"ftyp", b"isom" + bytes(4)) + movie + box(b"mdat", bytes(50)),
        b"RIFF" + (200).to_bytes(4, "little") + b"AVI " + bytes(60),
        b"\x1a\x45\xdf\xa3\x84\x42\x86\x81\x01" + b"\x18\x53\x80\x67\x90" + bytes(16),
    ]


def parcel_seeds() -> list[bytes]:
    """A parcel of one tile."""
    jpeg = tile_seeds()[0]
    import hashlib

    entry = {
        "x": 33, "y": 65, "image_bytes": len(jpeg), "mask_bytes": 0, "sha256": hashlib.sha256(jpeg).hexdigest(),
        "valid_fraction": 1.0, "ground_resolution_m_px": 0.4, "captured_at": "2025-07-01T00:00:00+00:00",
        "voting_status": "trusted", "quality_metadata": {}, "sector_class": None, "freshness": "fresh",
    }  # fmt: skip
    head = {"format": FORMAT, "source": "provider", "zoom": 18, "column": 1, "row": 2, "tiles": [entry]}
    return [orjson.dumps(head) + b"\n" + jpeg, orjson.dumps({**head, "tiles": []}) + b"\n"]


def truth_seeds() -> list[bytes]:
    """Truth tables in three spellings."""
    return [
        b"t_s,latitude_deg,longitude_deg\n1.0,48.5,37.2\n2.0,48.6,37.3\n",
        b"frame;Latitude [deg];Longitude [deg];altitude\n1;48,5;37,2;300\n2;48,6;37,3;301\n",
        b"sep=;\n# of a log\ntime(ms);OSD.latitude;OSD.longitude;altitude(feet)\n100;48.5;37.2;300\n",
        "time_us,lat_e7,lon_e7\n100000,485000000,372000000\n".encode("utf-16"),
        b"name\tlat\tlon\na.jpg\t48.5\t37.2\nb.jpg\t48.6\t37.3\n",
    ]


def tlog_seeds() -> list[bytes]:
    """A log of three packets."""
    from pymavlink.dialects.v20 import ardupilotmega

    mav = ardupilotmega.MAVLink(None, srcSystem=1, srcComponent=191)
    with tempfile.TemporaryDirectory() as folder:
        with TlogWriter(Path(folder) / "log", 10**18) as log:
            for k in range(3):
                log.write(k * 10**9, mav.heartbeat_encode(1, 3, 0, 0, 4).pack(mav))
        return [(Path(folder) / "log").read_bytes()]


def answer_seeds() -> list[bytes]:
    """Answers of a provider and of a companion."""
    offer = {"x": 1, "y": 2, "zoom": 18, "sha256": "0" * 64, "bytes": 10, "ground_resolution_m_px": 0.5}
    verdicts = {"batch_id": "0d3f5f0e-7a52-4c0e-8a3c-0f4f3c1b2a10", "tiles": [{"index": 0, "status": "accepted"}]}
    described = {
        "version": "1", "image": "", "composition_sha256": "", "unix_time_s": 1.0, "store_free_bytes": 1, "zoom": 18,
        "cache_free_bytes": 1, "trusted_keys": [], "revoked_keys": [], "source": "provider", "use_store": True,
        "matching": "classic", "problems": [], "companion_id": "c", "manifest_counter": 1,
    }  # fmt: skip
    return [_json_of(v) for v in (offer, verdicts, {"fingerprint": "0" * 32}, described)]


def onnx_seeds() -> list[bytes]:
    """A model with a tensor, and one with a tensor in another file."""
    return [bytes.fromhex("08083a0a0a0012022a0042020801"), bytes.fromhex("3a082a066a04" + "0a026162"), b"\x08\x08"]


def text_seeds() -> list[bytes]:
    """Escape sequences, direction marks, piled-up accents, halves of characters."""
    return [b"\x1b[2J\x1b]0;x\x07", "\u202eabc\u2066".encode(), ("a" + "\u0301" * 20).encode(), b"\xff\xfe\x80", b"ok"]
