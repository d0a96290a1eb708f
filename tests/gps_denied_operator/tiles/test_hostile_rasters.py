"""Rasters that lead elsewhere or claim more than they hold: nothing is followed, and sizes are read before pixels."""

from __future__ import annotations

import html
import os
import socket
import struct
import threading
import zlib
from collections.abc import Callable, Iterator
from contextlib import closing, suppress
from pathlib import Path

import numpy as np
import pytest
import rasterio

from gps_denied_onboard.errors import UserError
from gps_denied_operator.tiles.makers import open_map
from gps_denied_operator.tiles.raster import MapRaster, RasterReader

from .drawn_maps import placed

OWN, FOREIGN = 50, 200
PLACE = placed(32637, 0.5)


def even(path: Path, value: int = OWN, **profile: object) -> Path:
    """An even raster around the tests' place."""
    made = {"driver": "GTiff", "width": 512, "height": 512, "count": 1, "dtype": "uint8", "crs": "EPSG:32637",
            "transform": PLACE} | profile  # fmt: skip
    with rasterio.open(path, "w", **made) as dataset:
        dataset.write(np.full((1, 512, 512), value, dtype=np.uint8))
    return path


def vrt(foreign: Path | str, size: int = 512) -> str:
    """A description of GDAL's that shows another file's pixels."""
    affine = ", ".join(repr(float(value)) for value in PLACE.to_gdal())
    return (
        f'<VRTDataset rasterXSize="{size}" rasterYSize="{size}"><SRS>EPSG:32637</SRS>'
        f"<GeoTransform>{affine}</GeoTransform>"
        f'<VRTRasterBand dataType="Byte" band="1"><SimpleSource><SourceFilename>{foreign}</SourceFilename>'
        "</SimpleSource></VRTRasterBand></VRTDataset>"
    )


def wms(url: str) -> str:
    """A description of a web map."""
    return (
        f'<GDAL_WMS><Service name="TMS"><ServerUrl>{url}/${{z}}/${{x}}/${{y}}.png</ServerUrl></Service><DataWindow>'
        "<UpperLeftX>-20037508.34</UpperLeftX><UpperLeftY>20037508.34</UpperLeftY><LowerRightX>20037508.34</LowerRightX>"
        "<LowerRightY>-20037508.34</LowerRightY><TileLevel>18</TileLevel><TileCountX>1</TileCountX><TileCountY>1"
        "</TileCountY><YOrigin>top</YOrigin></DataWindow><Projection>EPSG:3857</Projection><BandsCount>3</BandsCount>"
        "</GDAL_WMS>"
    )


@pytest.fixture
def listener() -> Iterator[tuple[str, list[bytes]]]:
    """Return an address on loopback and what was asked of it."""
    server = socket.create_server(("127.0.0.1", 0))
    asked: list[bytes] = []

    def serve() -> None:
        with suppress(OSError):
            while True:
                connection, _ = server.accept()
                with connection:
                    asked.append(connection.recv(4096))
                    connection.sendall(b"HTTP/1.1 404 no\r\ncontent-length: 0\r\nconnection: close\r\n\r\n")

    thread = threading.Thread(target=serve, daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{server.getsockname()[1]}", asked
    server.shutdown(socket.SHUT_RDWR)
    server.close()
    thread.join()


def pixels(path: Path, zoom: int) -> np.ndarray:
    """What an import at a zoom would read."""
    raster = MapRaster.open(path)
    with closing(RasterReader(raster, zoom)) as reader:
        x0, y0, x1, y1 = raster.tile_range(zoom)
        grey, valid = reader.read(x0, y0, x1 - x0, y1 - y0)
    return np.asarray(grey[valid])


@pytest.mark.parametrize("name", ["map.tif", "map.png", "map.jp2", "map.vrt", "map"])
def test_descriptions_of_other_files_are_refused_under_any_name(
    tmp_path: Path, listener: tuple[str, list[bytes]], name: str
) -> None:
    """VRT, WMS, WMTS and the like, whatever they are called, are no rasters; nobody is asked for anything."""
    url, asked = listener
    foreign = even(tmp_path / "foreign.tif", FOREIGN)
    kinds = (
        vrt(foreign), vrt(f"/vsicurl/{url}/a.tif"), wms(url), f"<Capabilities>{url}</Capabilities>",
        f"<GDAL_WMTS><GetCapabilitiesUrl>{url}/c.xml</GetCapabilitiesUrl></GDAL_WMTS>",
        f"<WCS_GDAL><ServiceURL>{url}</ServiceURL></WCS_GDAL>", '{"type": "FeatureCollection", "features": []}',
        "%PDF-1.4", "<?xml version='1.0'?><KML/>",
    )  # fmt: skip
    for text in kinds:
        (tmp_path / name).write_text(text)
        with pytest.raises(UserError, match="not a raster that can be read"):
            open_map(tmp_path / name, None)
    assert asked == []


@pytest.mark.parametrize("path", ["/vsicurl/http://127.0.0.1/a.tif", "zip://a.zip!a.tif", "http://127.0.0.1/a.tif"])
def test_virtual_file_systems_are_no_paths(path: str) -> None:
    """Only files of this machine are rasters."""
    with pytest.raises(UserError, match="is not there"):
        open_map(Path(path), None)


@pytest.mark.parametrize("suffix", [".ovr", ".msk", ".OVR"])
def test_what_stands_beside_a_raster_must_be_a_raster(
    tmp_path: Path, listener: tuple[str, list[bytes]], suffix: str
) -> None:
    """An overview or a mask that is a description of another file or a web map is refused, not followed."""
    url, asked = listener
    path = even(tmp_path / "map.tif")
    for text in (vrt(even(tmp_path / "foreign.tif", FOREIGN), 256), wms(url)):
        Path(f"{path}{suffix}").write_text(text)
        with pytest.raises(UserError, match="is no TIFF: remove it"):
            open_map(path, None)
    assert asked == []


def test_overviews_that_a_file_names_are_not_followed(tmp_path: Path, listener: tuple[str, list[bytes]]) -> None:
    """Neither GDAL's notes beside a file nor the file's own metadata bring another file's pixels in."""
    url, asked = listener
    even(tmp_path / "foreign.tif", FOREIGN, width=256, height=256)
    for target in (str(tmp_path / "foreign.tif"), f"/vsicurl/{url}/a.tif", ":::BASE:::foreign.tif"):
        beside = even(tmp_path / "beside.tif")
        Path(f"{beside}.aux.xml").write_text(
            f'<PAMDataset><Metadata domain="OVERVIEWS"><MDI key="OVERVIEW_FILE">{target}</MDI></Metadata></PAMDataset>'
        )
        assert set(pixels(beside, 16)) == {OWN}
        inside = tmp_path / "inside.tif"
        inside.unlink(missing_ok=True)
        with rasterio.open(even(inside), "r+") as dataset:
            dataset.update_tags(ns="OVERVIEWS", OVERVIEW_FILE=target)
        with pytest.raises(UserError, match="names another file as its overviews"):
            open_map(inside, None)
    assert asked == []


UTM = 'PROJCS["a",GEOGCS["b",DATUM["c",SPHEROID["WGS 84",6378137,298.25],EXTENSION["PROJ4_GRIDS","{grids}"]]]]'


@pytest.mark.parametrize(
    "system",
    [
        "+init={file}:1", "+proj=pipeline +step +init={file}:1", "+proj=utm +zone=37 +nadgrids={file}", "{file}",
        "file:{file}", "http://127.0.0.1:9/crs", "IMPORT_FROM_WKT {file}", "ESRI::{file}", "+proj=utm +zone=37",
        UTM.format(grids="{file}"), UTM.format(grids="@null,{file}"),
        'PROJCS["a",EXTENSION["PROJ4","+proj=utm +zone=37 +nadgrids={file}"]]',
        'PROJCS["a",EXTENSION["PROJ4","+proj=utm +zone=37 +nadgrids=@null,{file}"]]',
        'PROJCS["a",EXTENSION["PROJ4","+init={file}:1"]]',
        'BOUNDCRS[SOURCECRS[a],ABRIDGEDTRANSFORMATION["x",METHOD["NTv2"],PARAMETERFILE["p","{file}"]]]',
    ],
)  # fmt: skip
def test_a_coordinate_system_opens_no_file(tmp_path: Path, system: str) -> None:
    """A system that names a file, of definitions or of grid shifts, is refused before PROJ would open it: a pipe."""
    path = tmp_path / "map.png"
    even(path, driver="PNG")
    assert open_map(path, None).zoom
    waits = tmp_path / "waits"
    os.mkfifo(waits)
    Path(f"{path}.aux.xml").write_text(f"<PAMDataset><SRS>{html.escape(system.format(file=waits))}</SRS></PAMDataset>")
    with pytest.raises(UserError, match=r"coordinate system that (names a file|is neither)"):
        open_map(path, None)


def test_a_system_within_a_file_opens_no_file(tmp_path: Path) -> None:
    """The same where the system stands in the raster itself: a GeoTIFF keeps it as text."""
    for grids in ("/dev/stdin", "@null,/dev/stdin"):
        path = even(tmp_path / "map.tif", crs=f"+proj=utm +zone=37 +ellps=krass +nadgrids={grids} +no_defs")
        with pytest.raises(UserError, match="names a file of grid shifts"):
            open_map(path, None)
    web = "+proj=merc +a=6378137 +b=6378137 +lon_0=0 +x_0=0 +y_0=0 +k=1 +units=m +nadgrids=@null +wktext +no_defs"
    assert open_map(even(tmp_path / "web.tif", crs=web), None).zoom


def test_notes_that_are_no_xml_or_declare_entities_are_refused(tmp_path: Path) -> None:
    """Notes beside a raster define no entities and are of a sane size."""
    path = even(tmp_path / "map.tif")
    for text in ("<PAMDataset>", '<!DOCTYPE a [<!ENTITY b "c">]><PAMDataset/>', " " * 2_000_000):
        Path(f"{path}.aux.xml").write_text(text)
        with pytest.raises(UserError, match=r"aux\.xml"):
            open_map(path, None)


def png(width: int, height: int) -> bytes:
    """A PNG that claims a size and holds next to nothing."""

    def part(kind: bytes, body: bytes) -> bytes:
        return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))

    head = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    packed = zlib.compress(bytes(100_000))
    return b"\x89PNG\r\n\x1a\n" + part(b"IHDR", head) + part(b"IDAT", packed) + part(b"IEND", b"")


def large_png(folder: Path) -> Path:
    (folder / "a.png").write_bytes(png(16384, 16384))
    return folder / "a.png"


def sparse(folder: Path, **layout: object) -> Path:
    made = {"driver": "GTiff", "count": 3, "dtype": "uint8", "crs": "EPSG:32637", "transform": PLACE,
            "SPARSE_OK": "TRUE", "compress": "deflate"} | layout  # fmt: skip
    with rasterio.open(folder / "a.tif", "w", **made):
        pass
    return folder / "a.tif"


def one_strip(folder: Path) -> Path:
    return sparse(folder, width=16384, height=16384, blockysize=16384)


def one_tile(folder: Path) -> Path:
    return sparse(folder, width=16384, height=16384, tiled=True, blockxsize=16384, blockysize=16384)


def no_end_of_tiles(folder: Path) -> Path:
    return sparse(folder, width=190_000, height=190_000, tiled=True, blockxsize=4096, blockysize=4096)


@pytest.mark.parametrize("make", [large_png, one_strip, one_tile, no_end_of_tiles])
def test_sizes_are_read_before_pixels(tmp_path: Path, make: Callable[[Path], Path]) -> None:
    """A picture, a strip, a tile or a land of tiles that no file of its size holds is refused, and says its size."""
    with pytest.raises(UserError, match=r"pixels in|MB of memory"):
        open_map(make(tmp_path), None)


def test_metadata_and_directories_without_end_are_refused(tmp_path: Path) -> None:
    """What takes GDAL time with the square of its number is counted before; a chain that bites its tail ends."""
    with rasterio.open(even(tmp_path / "a.tif"), "r+") as dataset:
        dataset.update_tags(**{f"k{number}": "v" * 50 for number in range(20_000)})
    with pytest.raises(UserError, match="bytes of metadata"):
        open_map(tmp_path / "a.tif", None)
    data = bytearray(even(tmp_path / "b.tif").read_bytes())
    first = struct.unpack_from("<I", data, 4)[0]
    behind = first + 2 + 12 * struct.unpack_from("<H", data, first)[0]
    struct.pack_into("<I", data, behind, first)
    (tmp_path / "b.tif").write_bytes(data)
    assert open_map(tmp_path / "b.tif", None).zoom
    chain = b"".join(struct.pack("<HI", 0, len(data) + 6 * (number + 1)) for number in range(1000))
    struct.pack_into("<I", data, behind, len(data))
    (tmp_path / "b.tif").write_bytes(data + chain)
    with pytest.raises(UserError, match="more than 200 pictures"):
        open_map(tmp_path / "b.tif", None)


@pytest.mark.parametrize(("driver", "suffix", "world"), [("GTiff", ".tif", ".tfw"), ("PNG", ".png", ".pgw")])
def test_a_world_file_still_places_a_raster(tmp_path: Path, driver: str, suffix: str, world: str) -> None:
    """The six numbers of a world file, and the system of GDAL's notes, are used as before."""
    path = tmp_path / f"map{suffix}"
    with rasterio.open(path, "w", driver=driver, width=512, height=512, count=1, dtype="uint8") as dataset:
        dataset.write(np.full((1, 512, 512), OWN, dtype=np.uint8))
    notes = Path(f"{path}.aux.xml")
    wkt = rasterio.crs.CRS.from_epsg(32637).to_wkt()
    notes.write_text(f"<PAMDataset><SRS>{wkt}</SRS></PAMDataset>".replace('"', "&quot;"))
    a, b, c, d, e, f = PLACE[:6]
    path.with_suffix(world).write_text("\n".join(map(str, (a, d, b, e, c + a / 2, f + e / 2))))
    west, south, east, north = MapRaster.open(path).bounds_deg
    assert west < 37.10 < east
    assert south < 48.42 < north
