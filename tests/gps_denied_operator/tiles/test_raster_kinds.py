"""Rasters as programs really write them: bands by what they hold, values by their sense, datums by PROJ's word."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest
import rasterio
from PIL import Image
from rasterio.control import GroundControlPoint
from rasterio.enums import ColorInterp
from rasterio.rpc import RPC

from gps_denied_onboard.errors import UserError
from gps_denied_onboard.tiles.mosaic import MapMosaic
from gps_denied_operator.tiles.direct import open_tile_source
from gps_denied_operator.tiles.makers import check_flyable, open_map
from gps_denied_operator.tiles.raster import MapRaster

from .drawn_maps import HEIGHT, WIDTH, draw, eight_bit, hole

Make = Callable[[Path], Path]


def infrared(top: int = 255) -> np.ndarray:
    """Dark water on the left, bright fields on the right, with texture; nothing at its ends."""
    v, u = np.mgrid[:HEIGHT, :WIDTH]
    return np.rint(np.where(u < WIDTH // 2, 0.2, 0.7) * top + 0.02 * top * np.sin(u / 5.0) * np.sin(v / 4.0))


def stacked(fourth: np.ndarray, dtype: str = "uint8", scale: int = 1, **options: object) -> Make:
    def make(path: Path) -> Path:
        bands = np.stack([*[eight_bit().astype(float) * scale] * 3, fourth]).astype(dtype)
        return draw(path, bands, alpha=True, **options).path

    return make


def inverted(dtype: str, **options: object) -> Make:
    def make(path: Path) -> Path:
        top = np.iinfo(dtype).max
        grey = (top - eight_bit().astype(float) * (top // 255)).astype(dtype)
        return draw(path, grey[None], photometric="MINISWHITE", **options).path

    return make


def cmyk(path: Path) -> Path:
    bands = np.stack([255 - eight_bit()] * 3 + [np.zeros_like(eight_bit())])
    return draw(path, bands, photometric="CMYK").path


def few_bits(path: Path) -> Path:
    return draw(path, (eight_bit() // 16)[None], nbits=4).path


def named_bands(path: Path) -> Path:
    """Blue, green, red, near-infrared as Planet orders them; the red one holds the picture."""
    flat = np.full((HEIGHT, WIDTH), 900, dtype=np.uint16)
    drawn = draw(path, np.stack([flat, flat, eight_bit().astype(np.uint16) * 40, flat]), photometric="MINISBLACK")
    with rasterio.open(drawn.path, "r+") as dataset:
        dataset.descriptions = ("blue", "green", "red", "nir")
    return drawn.path


def feathered(path: Path) -> Path:
    """Real alpha with a soft rim of a few pixels."""
    seen = hole() * 255.0
    seen[:, 30], seen[:, 31] = 90, 180
    return stacked(seen)(path)


def alpha_and_infrared(path: Path) -> Path:
    bands = np.stack([*[eight_bit()] * 3, infrared().astype(np.uint8), hole().astype(np.uint8) * 255])
    drawn = draw(path, bands)
    with rasterio.open(drawn.path, "r+") as dataset:
        colours = [ColorInterp.red, ColorInterp.green, ColorInterp.blue]
        dataset.colorinterp = [*colours, ColorInterp.undefined, ColorInterp.alpha]
    return drawn.path


def white_low_with_holes(path: Path) -> Path:
    """White as the lowest of the data, and 0 for no data."""
    grey = np.where(hole(), np.maximum(255 - eight_bit(), 1), 0)
    return draw(path, grey[None].astype(np.uint8), photometric="MINISWHITE", nodata=0).path


def palette(hole_colour: tuple[int, int, int, int], **options: object) -> Make:
    """Colours in reverse order of their brightness, 255 for a hole."""

    def make(path: Path) -> Path:
        table = {number: (254 - number,) * 3 + (255,) for number in range(255)} | {255: hole_colour}
        numbers = np.where(hole(), 254 - np.minimum(eight_bit(), 254), 255)
        return draw(path, numbers[None].astype(np.uint8), colormap=table, **options).path

    return make


def below_zero(path: Path) -> Path:
    return draw(path, np.where(hole(), eight_bit() * 30.0 - 2000.0, -9999.0)[None].astype(np.int16), nodata=-9999).path


def from_the_south(path: Path) -> Path:
    """The first row is the southern one."""
    drawn = draw(path, eight_bit()[None])
    with rasterio.open(drawn.path) as dataset:
        bands, profile, place = dataset.read(), dataset.profile, dataset.transform
        profile["transform"] = rasterio.Affine(place.a, 0.0, place.c, 0.0, -place.e, place.f + place.e * dataset.height)
    with rasterio.open(drawn.path, "w", **profile) as dataset:
        dataset.write(bands[:, ::-1])
    return drawn.path


def around(value: float, dtype: str) -> Make:
    """A value that programs leave around a picture, without a word of it in the file."""
    return lambda path: draw(path, np.where(hole(), np.maximum(eight_bit(), 1), value)[None].astype(dtype)).path


def notched(path: Path) -> Path:
    """Black in the middle of a side, with ground in all corners: a sheet's missing piece."""
    grey = np.maximum(eight_bit(), 1)
    grey[NOTCH] = 0
    return draw(path, np.stack([grey] * 3)).path


NOTCH = np.s_[170:250, :50]
SEEN = hole().mean()
# what -> maker, share with data, a word of the notes
KINDS: dict[str, tuple[Make, float, str]] = {
    "near-infrared called alpha": (stacked(infrared()), 1.0, "near-infrared"),
    "near-infrared called alpha, 16 bit": (stacked(infrared(60_000), "uint16", 200), 1.0, "near-infrared"),
    "near-infrared of two values": (stacked(np.where(infrared() < 100, 60, 180)), 1.0, "near-infrared"),
    "mask of 0 and 1": (stacked(hole() * 1), SEEN, ""),
    "mask of 1 everywhere": (stacked(np.ones((HEIGHT, WIDTH))), 1.0, ""),
    "mask of 0 and 65535": (stacked(hole() * 65535, "uint16", 200), SEEN, ""),
    "mask of 0 and 255 in 16 bit": (stacked(hole() * 255, "uint16", 200), SEEN, ""),
    "soft alpha": (feathered, SEEN, ""),
    "near-infrared and alpha": (alpha_and_infrared, SEEN, ""),
    "MINISWHITE": (inverted("uint8"), 1.0, "white as the lowest"),
    "MINISWHITE, 16 bit": (inverted("uint16"), 1.0, "white as the lowest"),
    "MINISWHITE with no data": (white_low_with_holes, SEEN, "white as the lowest"),
    "palette with a transparent colour": (palette((255, 255, 255, 0)), SEEN, "filled with 255"),
    "black around it, not declared": (around(0, "uint8"), SEEN, "filled with 0, which the file does not declare"),
    "black in the middle of a side": (notched, 1.0 - 80 * 50 / (WIDTH * HEIGHT), "filled with 0"),
    "lowest float around it, not declared": (around(-3.4028234663852886e38, "float32"), SEEN, "does not declare"),
    "-9999 around it, not declared": (around(-9999.0, "float32"), SEEN, "filled with -9999"),
    "palette with no data": (palette((255, 0, 255, 255), nodata=255), SEEN, ""),
    "values below zero": (below_zero, SEEN, ""),
    "rows from the south": (from_the_south, 1.0, ""),
    "CMYK": (cmyk, 1.0, ""),
    "four bits a pixel": (few_bits, 1.0, ""),
}  # fmt: skip


def read(path: Path) -> tuple[np.ndarray, np.ndarray]:
    mosaic = MapMosaic(open_tile_source([path]))
    x0, y0, x1, y1 = mosaic.bounds_px(0)
    return mosaic.window(0, x0, y0, x1 - x0, y1 - y0)


@pytest.fixture(scope="module")
def plain(tmp_path_factory: pytest.TempPathFactory) -> tuple[np.ndarray, np.ndarray]:
    """Return the same drawing as plain grey, which every kind has to look like."""
    return read(draw(tmp_path_factory.mktemp("plain") / "plain.tif", eight_bit()[None]).path)


@pytest.mark.parametrize("what", KINDS)
def test_a_kind_of_raster_is_read_as_its_picture(
    what: str, tmp_path: Path, plain: tuple[np.ndarray, np.ndarray]
) -> None:
    """The picture is the drawing, not its negative or another band, and the mask is what the file means."""
    make, share, said = KINDS[what]
    path = make(tmp_path / "map.tif")
    grey, valid = read(path)
    assert valid.sum() / plain[1].sum() == pytest.approx(share, abs=0.01)
    assert np.corrcoef(grey[valid].astype(float), plain[0][valid].astype(float))[0, 1] > 0.98
    assert grey[valid].max() > 200
    notes = " ".join(MapRaster.open(path).notes)
    assert bool(notes) == bool(said) or what == "CMYK"
    assert said in notes


NAMES = {
    "Planet": (("blue", "green", "red", "nir"), (0, 1, 2)),
    "Sentinel-2": (("B2 - Blue", "B3 - Green", "B4 - Red", "B8 - NIR"), (0, 1, 2)),
    "MicaSense": (("Blue (475)", "Green (560)", "Red (668)", "Red edge (717)", "NIR (840)"), (0, 1, 2)),
    "infrared first": (("NIR", "Red", "Green"), (1, 2)),
    "Sequoia": (("Green", "Red", "Red edge", "NIR"), (0, 1)),
    "one visible band": (("nir", "green"), (1,)),
}


@pytest.mark.parametrize("what", NAMES)
def test_infrared_is_no_part_of_the_picture(what: str, tmp_path: Path, plain: tuple[np.ndarray, np.ndarray]) -> None:
    """Bands that are described as visible make the picture, in any order; infrared and the red edge do not."""
    names, visible = NAMES[what]
    bands = [eight_bit() if k in visible else infrared().astype(np.uint8) for k in range(len(names))]
    drawn = draw(tmp_path / "map.tif", np.stack(bands).astype(np.uint16) * 40, photometric="MINISBLACK")
    with rasterio.open(drawn.path, "r+") as dataset:
        dataset.descriptions = names
    grey, valid = read(drawn.path)
    assert np.corrcoef(grey[valid].astype(float), plain[0][valid].astype(float))[0, 1] > 0.98


def test_bands_are_taken_by_their_names(tmp_path: Path, plain: tuple[np.ndarray, np.ndarray]) -> None:
    """Where descriptions name red, green and blue, these are taken in whatever order they come."""
    grey, valid = read(named_bands(tmp_path / "map.tif"))
    assert np.corrcoef(grey[valid].astype(float), plain[0][valid].astype(float))[0, 1] > 0.98


BESSEL = "+proj=utm +zone=37 +ellps=bessel +type=crs"
KRASS = "+proj=tmerc +lon_0=39 +k=1 +x_0=7500000 +ellps=krass +units=m +type=crs"
# CRS -> metres that PROJ gives (None: not said), a word of the notes
DATUMS: dict[str, tuple[float | None, str]] = {
    "EPSG:32637": (0.0, ""),
    "EPSG:3857": (0.0, ""),
    "EPSG:28407": (3.0, ""),
    "EPSG:25837": (1.0, ""),
    "+proj=utm +zone=37 +ellps=GRS80 +type=crs": (None, "datum is not named"),
    "+proj=merc +a=6378137 +b=6378137 +type=crs": (None, ""),
    "+proj=utm +zone=37 +ellps=krass +towgs84=23.92,-141.27,-80.9,0,0.35,0.82,-0.12 +type=crs": (None, "does not say"),
}


@pytest.mark.parametrize("crs", DATUMS)
def test_the_datum_is_as_good_as_proj_says(crs: str, tmp_path: Path) -> None:
    """The accuracy of the way to WGS 84 is told; nothing is said of what is as good as the map."""
    accuracy_m, said = DATUMS[crs]
    raster = MapRaster.open(draw(tmp_path / "map.tif", eight_bit()[None], crs=crs, transform=placed(crs)).path)
    assert raster.datum_accuracy_m == accuracy_m
    assert bool(raster.notes) == bool(said), raster.notes
    assert said in " ".join(raster.notes)


def placed(crs: str) -> rasterio.Affine:
    import pyproj

    to = pyproj.Transformer.from_crs(4326, pyproj.CRS.from_user_input(crs), always_xy=True)
    x, y = to.transform(37.1, 48.42)
    return rasterio.Affine(0.5, 0, x, 0, -0.5, y)


def test_a_grid_that_is_not_installed_is_named(tmp_path: Path) -> None:
    """British National Grid without its grid file: two metres, one with OSTN15."""
    path = draw(tmp_path / "m.tif", eight_bit()[None], crs="EPSG:27700",
                transform=rasterio.Affine(0.5, 0, 400_000, 0, -0.5, 300_000)).path  # fmt: skip
    raster = MapRaster.open(path)
    assert raster.datum_accuracy_m is not None
    if raster.datum_accuracy_m > 1.0:  # PROJ's data holds no grids here
        assert "OSTN15" in raster.notes[0]


def rpc_only(path: Path) -> Path:
    with rasterio.open(path, "w", driver="GTiff", width=64, height=64, count=1, dtype="uint8") as dataset:
        dataset.write(eight_bit()[None, :64, :64])
        ones = [1.0] + [0.0] * 19
        dataset.rpcs = RPC(height_off=100.0, height_scale=500.0, lat_off=48.4, lat_scale=0.1, line_den_coeff=ones,
                           line_num_coeff=[0.0, 0.0, -1.0] + [0.0] * 17, line_off=32.0, line_scale=32.0, long_off=37.1,
                           long_scale=0.1, samp_den_coeff=ones, samp_num_coeff=[0.0, 1.0] + [0.0] * 18,
                           samp_off=32.0, samp_scale=32.0)  # fmt: skip
    return path


def elsewhere(path: Path) -> Path:
    """European Datum 1950 in the Donbas, for which nobody published a way to WGS 84."""
    return draw(path, eight_bit()[None], crs="EPSG:23037", transform=placed("EPSG:23037")).path


def photograph(path: Path) -> Path:
    """A picture of a drone with its position in EXIF, and nothing that spans it over the ground."""
    exif = Image.Exif()
    exif.get_ifd(0x8825).update({1: "N", 2: (48.0, 25.0, 12.0), 3: "E", 4: (37.0, 6.0, 0.0)})
    Image.fromarray(eight_bit()).save(path.with_suffix(".jpg"), exif=exif)
    return path.with_suffix(".jpg")


def control_points(path: Path) -> Path:
    points = [GroundControlPoint(v, u, 37.1 + u * 1e-5, 48.4 - v * 1e-5) for u, v in ((0, 0), (400, 0), (0, 400))]
    with rasterio.open(path, "w", driver="GTiff", width=WIDTH, height=HEIGHT, count=1, dtype="uint8") as dataset:
        dataset.gcps = (points, rasterio.CRS.from_epsg(4326))
        dataset.write(eight_bit()[None])
    return path


def beginning(head: bytes) -> Make:
    """A file of which only the first bytes count."""

    def make(path: Path) -> Path:
        path.write_bytes(head + bytes(200))
        return path

    return make


def geopackage(path: Path) -> Path:
    with sqlite3.connect(path.with_suffix(".gpkg")) as database:
        database.execute("CREATE TABLE gpkg_contents (table_name TEXT, data_type TEXT)")
        database.execute("INSERT INTO gpkg_contents VALUES ('ortho', 'tiles')")
    database.close()
    return path.with_suffix(".gpkg")


REFUSED: dict[str, tuple[Make, str]] = {
    "datum without a way to WGS 84 here": (elsewhere, "48.42, 37.10 by its coordinate system EPSG:23037"),
    "datum not named": (
        lambda path: draw(path, eight_bit()[None], crs=KRASS, transform=placed(KRASS)).path, "EPSG:28407"),
    "datum not named, on Bessel's ellipsoid": (
        lambda path: draw(path, eight_bit()[None], crs=BESSEL, transform=placed(BESSEL)).path, "not name its datum"),
    "placed by RPCs only": (rpc_only, "gdalwarp -rpc"),
    "placed by control points only": (control_points, "gdalwarp map.tif straight.tif"),
    "a photograph": (photograph, "single photograph with a position, no map"),
    "PMTiles": (beginning(b"PMTiles\x03"), "pmtiles convert"),
    "ZIP": (beginning(b"PK\x03\x04"), "unpack it and import the map inside"),
    "gzip": (beginning(b"\x1f\x8b\x08"), "packed with gzip"),
    "GeoPackage": (geopackage, "gdal_translate map.gpkg map.tif"),
    "radar": (lambda path: draw(path, (eight_bit() * (1 + 1j)).astype("complex64")[None]).path, "amplitude"),
}  # fmt: skip


@pytest.mark.parametrize("system", ["EPSG:4326", "EPSG:4269"])
def test_longitudes_from_0_to_360_lie_where_they_belong(system: str, tmp_path: Path) -> None:
    """A map of Alaska at 217.5 degrees is the one at -142.5, with the same pixels."""
    step = (0.5 / 74_000, -0.5 / 111_200)
    both = [
        draw(tmp_path / f"{west:g}.tif", eight_bit()[None], crs=system,
             transform=rasterio.Affine(step[0], 0, west, 0, step[1], 62.4)).path
        for west in (-142.5, 217.5)
    ]  # fmt: skip
    assert MapRaster.open(both[1]).bounds_deg == pytest.approx(MapRaster.open(both[0]).bounds_deg)
    (signed, valid), (round_the_world, seen) = map(read, both)
    assert valid.sum() == seen.sum() > 0
    assert np.abs(signed.astype(float) - round_the_world).max() <= 1.0


def test_a_map_on_both_sides_of_the_180th_meridian_is_told_as_that(tmp_path: Path) -> None:
    """Counted from 0 to 360 it runs from 179.9 to 180.1: no advice about its coordinate system."""
    path = draw(tmp_path / "map.tif", eight_bit()[None], crs="EPSG:4326",
                transform=rasterio.Affine(0.2 / WIDTH, 0, 179.91, 0, -0.2 / WIDTH, 62.4)).path  # fmt: skip
    with pytest.raises(UserError, match="crosses the 180th meridian"):
        MapRaster.open(path)


@pytest.mark.parametrize("what", REFUSED)
def test_what_cannot_be_placed_is_refused_with_a_way_out(what: str, tmp_path: Path) -> None:
    """The refusal names a command that mends the file."""
    make, said = REFUSED[what]
    with pytest.raises(UserError, match=said):
        open_map(make(tmp_path / "map.tif"), None)


def test_a_map_too_coarse_to_fly_is_refused(tmp_path: Path) -> None:
    """As on the plan's page: more than 0.5 m a pixel at the zoom is refused, a map of 0.6 m at zoom 18 is taken."""
    coarse = draw(tmp_path / "coarse.tif", eight_bit()[None], resolution_m=1.2).path
    with pytest.raises(UserError, match="too coarse to fly"):
        check_flyable(open_map(coarse, None), coarse)
    check_flyable(open_map(draw(tmp_path / "f.tif", eight_bit()[None], resolution_m=0.6).path, None), coarse)


FIELD = {
    "06-naip-nir-as-alpha/rgbn.tif": "near-infrared",
    "06-naip-nir-as-alpha/variant-alpha-0-1.tif": "",
    "07-datum-unknown/same-as-epsg28407.tif": "",
    "18-miniswhite/miniswhite.tif": "white as the lowest",
}


@pytest.mark.parametrize("case", FIELD)
def test_rasters_from_the_field(case: str, case_file: Callable[[str], Path]) -> None:
    """Files of public reports: all of their area holds data, the bright spot is bright."""
    path = case_file(case)
    raster = MapRaster.open(path)
    grey, valid = read(path)
    assert valid.sum() == pytest.approx(raster.covered_px(raster.default_zoom()), rel=0.01)
    assert FIELD[case] in " ".join(raster.notes)
    assert np.median(grey[valid]) < 160 < np.percentile(grey[valid], 99.9)


def test_a_datum_of_the_field_is_refused(case_file: Callable[[str], Path]) -> None:
    """Gauss-Krueger on Krassowsky's ellipsoid with no datum: 115 m off, refused."""
    with pytest.raises(UserError, match="does not name its datum"):
        MapRaster.open(case_file("07-datum-unknown/krassowsky.tif"))


@pytest.mark.parametrize("beside", ["scene_RPC.TXT", "scene.RPB", "scene.tif.aux.xml"])
def test_a_camera_model_in_a_file_beside_is_known(beside: str, tmp_path: Path) -> None:
    """Makers put RPCs beside the picture; such a file is never shown to GDAL, but the way out is told."""
    path = tmp_path / "scene.tif"
    with rasterio.open(path, "w", driver="GTiff", width=64, height=64, count=1, dtype="uint8") as dataset:
        dataset.write(np.full((1, 64, 64), 90, np.uint8))
    notes = '<PAMDataset><Metadata domain="RPC"><MDI key="LINE_OFF">5</MDI></Metadata></PAMDataset>'
    (tmp_path / beside).write_text(notes if beside.endswith("xml") else "LINE_OFF: 5\n")
    with pytest.raises(UserError, match="placed by RPCs only"):
        MapRaster.open(path)


def test_a_picture_of_two_values_keeps_both(tmp_path: Path) -> None:
    """A scanned sheet in one bit a pixel: a corner in black is no sign that all black is no data."""
    path = draw(tmp_path / "scan.tif", (eight_bit() > 60).astype(np.uint8)[None], nbits=1).path
    grey, valid = read(path)
    assert valid.sum() == pytest.approx(MapRaster.open(path).covered_px(MapRaster.open(path).default_zoom()), rel=0.01)
    assert set(np.unique(grey[valid])) >= {0, 255}


def test_a_collar_that_is_not_quite_black_is_told(tmp_path: Path) -> None:
    """Lossy compression blurs a collar: it counts as ground, and the command that marks it is named."""
    noise = np.random.default_rng(5).integers(0, 5, (HEIGHT, WIDTH))
    bands = np.stack([np.where(hole(), eight_bit(), noise)] * 3).astype(np.uint8)
    assert "run `nearblack -setmask" in " ".join(MapRaster.open(draw(tmp_path / "map.tif", bands).path).notes)


def test_a_scan_of_one_bit_with_white_as_the_lowest_is_no_negative(tmp_path: Path) -> None:
    """Fax and plotter scans store white as 0: their paper comes out white."""
    kept = [
        draw(tmp_path / f"{form}.tif", bits.astype(np.uint8)[None], nbits=1, photometric=form).path
        for form, bits in (("MINISBLACK", eight_bit() > 60), ("MINISWHITE", eight_bit() <= 60))
    ]
    (black, valid), (white, seen) = map(read, kept)
    assert valid.sum() == seen.sum() > 0
    np.testing.assert_array_equal(black, white)


def test_a_projection_beside_a_world_file_is_taken(tmp_path: Path) -> None:
    """A picture with .pgw and .prj, as GIS programs write them, lies where they say; decimal commas are read."""
    drawn = draw(tmp_path / "plain.tif", eight_bit()[None])
    with rasterio.open(drawn.path) as dataset:
        place = dataset.transform
        system = dataset.crs.to_wkt(version="WKT1_ESRI")
    cv2.imwrite(str(tmp_path / "map.png"), eight_bit())
    world = [place.a, place.d, place.b, place.e, place.c + place.a / 2, place.f + place.e / 2]
    (tmp_path / "map.pgw").write_text("\n".join(f"{number:.6f}".replace(".", ",") for number in world))
    (tmp_path / "map.prj").write_text(system)
    assert MapRaster.open(tmp_path / "map.png").bounds_deg == pytest.approx(MapRaster.open(drawn.path).bounds_deg)


def test_an_alpha_band_of_nothing_is_named(tmp_path: Path) -> None:
    """Alpha that is 0 all over: the import says which band to leave out."""
    path = stacked(np.zeros((HEIGHT, WIDTH)))(tmp_path / "map.tif")
    assert "gdal_translate -b 1 -b 2 -b 3" in " ".join(MapRaster.open(path).notes)


def test_kinds_that_gdal_can_turn_are_told_how(tmp_path: Path) -> None:
    """A VRT is not followed: the refusal names the command that makes a GeoTIFF of it."""
    (tmp_path / "map.vrt").write_text('<VRTDataset rasterXSize="9" rasterYSize="9"/>')
    with pytest.raises(UserError, match=r"gdal_translate map\.vrt map\.tif"):
        MapRaster.open(tmp_path / "map.vrt")
