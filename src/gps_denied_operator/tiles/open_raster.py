"""Where each raster from outside is opened: allowed formats, nothing that leads elsewhere, sizes before pixels.

GDAL follows what a file names: a VRT or WMS description under any name, overviews that an `.ovr`, an `.aux.xml` or the
file's own metadata point at, a mask beside it; over the network as well. So a raster is opened once, its format told by
its first bytes, and shown to GDAL in a folder of its own, beside those companions alone that were looked at.
"""

from __future__ import annotations

import os
import re
import shutil
import struct
import tempfile
import warnings
import weakref
from pathlib import Path
from types import TracebackType
from typing import Any, BinaryIO
from xml.etree.ElementTree import Element, SubElement, tostring

import numpy as np
import rasterio
from rasterio.errors import NotGeoreferencedWarning, RasterioError
from rasterio.windows import Window

from gps_denied_onboard.errors import UserError
from gps_denied_onboard.untrusted.bounded import open_file, read_file
from gps_denied_onboard.untrusted.text import shown
from gps_denied_operator.tiles.tiff_head import TiffHeadError, check_directories

NO_NETWORK = {  # of the process and not of rasterio's environment: GDAL's own threads must see it
    "CPL_VSIL_CURL_ALLOWED_FILENAME": "none",
    "GDAL_HTTP_PROXY": "http://127.0.0.1:9",
    "GDAL_HTTPS_PROXY": "http://127.0.0.1:9",
    "PROJ_NETWORK": "OFF",
}
os.environ.update(NO_NETWORK)

FILE_BYTES_MAX = 1 << 42
SMALL_FILE_BYTES_MAX = 1 << 20
WHOLE_BYTES_FREE = 64 << 20
WHOLE_BYTES_MAX = 1 << 30
WHOLE_RATIO_MAX = 100
"""Decoded bytes for each of the file, where what GDAL decodes at once has more than WHOLE_BYTES_FREE."""
PIXELS_FREE = 100_000_000
PIXELS_MAX = 40_000_000_000
PIXELS_PER_BYTE_MAX = 5_000
"""A TIFF in tiles of 256 px of which each is empty has 4096 pixels for a byte."""
BANDS_MAX = 1_000

_TIFF = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")
_FORMATS: tuple[tuple[bytes, str, str], ...] = (
    *((magic, "GTiff", ".tif") for magic in _TIFF),
    (b"\x89PNG\r\n\x1a\n", "PNG", ".png"),
    (b"\xff\xd8\xff", "JPEG", ".jpg"),
    (b"\0\0\0\x0cjP  \r\n\x87\n", "JP2OpenJPEG", ".jp2"),
    (b"\xff\x4f\xff\x51", "JP2OpenJPEG", ".j2k"),
    (b"BM", "BMP", ".bmp"),
)
_ARCHIVES = {
    b"PMTiles": "a PMTiles archive: make MBTiles of it with `pmtiles convert map.pmtiles map.mbtiles` and import that",
    b"PK\x03\x04": "a ZIP archive (as KMZ, TPK and many downloads are): unpack it and import the map inside",
    b"\x1f\x8b": "packed with gzip: unpack it with `gunzip` or `tar -xzf` and import the map inside",
    b"7z\xbc\xaf": "a 7z archive: unpack it and import the map inside",
    b"Rar!": "a RAR archive: unpack it and import the map inside",
}
"""What maps come packed in, by their first bytes, and the way out."""
_SRTM_NAME = re.compile(r"([NS]\d{2}[EW]\d{3})(?![0-9]).*\.hgt", re.IGNORECASE)
_SRTM_BYTES = {2 * 1201**2, 2 * 3601**2}
_WHOLE = {"PNG", "JPEG", "BMP", "WEBP"}
_WORLD_SUFFIXES = {
    "GTiff": (".tfw", ".tifw", ".tiffw", ".wld"), "PNG": (".pgw", ".pngw", ".wld"),
    "JPEG": (".jgw", ".jpgw", ".jpegw", ".wld"), "JP2OpenJPEG": (".j2w", ".jp2w", ".wld"),
    "BMP": (".bpw", ".bmpw", ".wld"), "WEBP": (".wbpw", ".webpw", ".wld"), "SRTMHGT": (),
}  # fmt: skip
_NO_GRID = r'(?!@?null(?=["\s\]+]|$))'
_OTHER_FILES = re.compile(
    rf"""(?:grids|geoid\w*)\s*=\s*["']?{_NO_GRID}|PROJ4_GRIDS["']\s*,\s*["']{_NO_GRID}|PARAMETERFILE"""
    r"|\b(?:init|file|model)\s*=",
    re.IGNORECASE,
)
"""A coordinate system that names a file of definitions or shifts, which PROJ would open."""
_SYSTEM = re.compile(r"[A-Z][A-Z0-9_]{2,30}\s*\[|(?:EPSG:|urn:ogc:def:crs:EPSG:[\d.]*:)\d{1,9}$", re.IGNORECASE)
"""The forms of a coordinate system in GDAL's notes: WKT as GDAL writes it, and a number of the EPSG's."""


class OpenRaster:
    """A raster that was looked at. `dataset` is rasterio's; `path` is what the user gave. A context manager."""

    def __init__(self, path: Path) -> None:
        """Open it; UserError where it is not there, is of no allowed format, or is larger than it may be."""
        self.path = path
        self._folder = ""
        self._files: list[BinaryIO] = []
        self.dataset: Any = None
        try:
            self._open()
        except BaseException:
            self.close()
            raise

    def __enter__(self) -> OpenRaster:
        return self

    def __exit__(self, *_: type[BaseException] | BaseException | TracebackType | None) -> None:
        self.close()

    @property
    def name(self) -> str:
        """What GDAL knows the file by, as long as it is open here."""
        return str(self.dataset.name)

    def close(self) -> None:
        """Let go of the files."""
        if self.dataset is not None:
            self.dataset.close()
        if self._folder:
            self._remove()
        for file in self._files:
            file.close()

    def _open(self) -> None:
        path = self.path
        if not path.exists():
            raise UserError(
                f"{path} is not there: give the path of a GeoTIFF, an MBTiles file or a folder of z/x/y tiles."
            )
        file = self._held(path)
        head = file.read(16)
        file_bytes = os.fstat(file.fileno()).st_size
        if not head:
            raise UserError(f"{path} is empty: copy it again from where it came.")
        found = _srtm(path, file_bytes) if path.suffix.lower() == ".hgt" else _format(head)
        archive = next((told for magic, told in _ARCHIVES.items() if head.startswith(magic)), "")
        if archive:
            raise UserError(f"{path} is {archive}.")
        if found is None:
            raise UserError(
                f"{path} is not a raster that can be read (its first bytes are of no GeoTIFF, PNG, JPEG, JPEG 2000, "
                "WebP or BMP): give a GeoTIFF, an MBTiles file or a folder of z/x/y tiles. GDAL makes a GeoTIFF of "
                f"most other kinds, as VRT, GeoPackage, IMG, ECW and SID: `gdal_translate {path.name} map.tif`."
            )
        driver, suffix = found
        if driver == "GTiff":
            _check_head(path, file)
        self._folder = tempfile.mkdtemp(prefix="raster-")
        self._remove = weakref.finalize(self, shutil.rmtree, self._folder, True)
        target = Path(self._folder) / (suffix if driver == "SRTMHGT" else f"map{suffix}")
        target.symlink_to(f"/proc/self/fd/{file.fileno()}")
        self._put_companions(path, target, driver)
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", NotGeoreferencedWarning)
                self.dataset = rasterio.open(target, driver=driver)
        except RasterioError as error:
            told = shown(str(error).replace(str(target), str(path)))
            raise UserError(
                f"{path} is not a raster that can be read ({told}): give a GeoTIFF, an MBTiles file or a folder of "
                "z/x/y tiles."
            ) from error
        if self.dataset.crs is None and self._put_projection(path, target):
            self.dataset.close()
            self.dataset = rasterio.open(target, driver=driver)
        self._check(driver, file_bytes)

    def _put_projection(self, path: Path, target: Path) -> bool:
        """Give a raster without a coordinate system that of the .prj beside it, as world files come with."""
        notes = Path(f"{target}.aux.xml")
        for beside in _beside(path, (".prj",)) if not notes.exists() else ():
            text = _small(beside).decode("utf-8-sig", "replace").strip()
            _check_system(text, beside)
            root = Element("PAMDataset")
            SubElement(root, "SRS").text = text
            notes.write_bytes(tostring(root))
            return True
        return False

    def _held(self, path: Path) -> BinaryIO:
        try:
            file = open_file(path, FILE_BYTES_MAX)
        except OSError as error:
            raise UserError(f"{path} cannot be read ({error.strerror}): give a file that can be.") from None
        self._files.append(file)
        return file

    def _put_companions(self, path: Path, target: Path, driver: str) -> None:
        """Bring what stands beside the raster and belongs to it, and nothing that names other files."""
        for beside in _beside(path, _WORLD_SUFFIXES[driver]):
            numbers = _small(beside).decode("ascii", "replace").split()
            if len(numbers) == 6:
                target.with_suffix(".wld").write_text("\n".join(numbers), encoding="ascii", errors="replace")
        for beside in _beside(path, (".tab",)):  # MapInfo: four points and a coordinate system
            target.with_suffix(".tab").write_bytes(_small(beside))
        for beside in _beside(path, (".aux.xml",), whole_name=True):
            Path(f"{target}.aux.xml").write_bytes(_plain_pam(_small(beside), beside))
        for beside in _beside(path, (".msk", ".ovr"), whole_name=True):
            file = self._held(beside)
            if not file.read(4).startswith(_TIFF):
                raise UserError(
                    f"{beside} stands beside {path.name} as if it were its mask or overview, and is no TIFF: remove it."
                )
            _check_head(beside, file)
            Path(f"{target}{beside.suffix.lower()}").symlink_to(f"/proc/self/fd/{file.fileno()}")
            with rasterio.open(f"{target}{beside.suffix.lower()}", driver="GTiff") as dataset:
                _check_leads_nowhere(beside, dataset)

    def _check(self, driver: str, file_bytes: int) -> None:
        dataset, path = self.dataset, self.path
        _check_leads_nowhere(path, dataset)
        pixels = dataset.width * dataset.height
        pixels_max = min(PIXELS_MAX, max(PIXELS_FREE, file_bytes * PIXELS_PER_BYTE_MAX))
        if dataset.count > BANDS_MAX or pixels > pixels_max:
            raise UserError(
                f"{path} claims {dataset.width}x{dataset.height} pixels in {dataset.count} bands, more than a file of "
                f"{file_bytes} bytes may have ({pixels_max:.0e} pixels): cut it with `gdal_translate -srcwin`, or give "
                "another file."
            )
        item_bytes = max(np.dtype(kind).itemsize for kind in dataset.dtypes)
        rows, columns = (dataset.height, dataset.width) if driver in _WHOLE else dataset.block_shapes[0]
        whole_bytes = rows * columns * item_bytes * dataset.count * (4 if driver == "JP2OpenJPEG" else 1)
        if whole_bytes > WHOLE_BYTES_FREE and (
            whole_bytes > WHOLE_BYTES_MAX or whole_bytes > file_bytes * WHOLE_RATIO_MAX
        ):
            raise UserError(
                f"{path} would need {whole_bytes / 1e6:.0f} MB of memory for one piece of it, from a file of "
                f"{file_bytes} bytes: write it in tiles with `gdal_translate -co TILED=YES`, or give another file."
            )


def _check_head(path: Path, file: BinaryIO) -> None:
    try:
        check_directories(file)
    except (TiffHeadError, struct.error, OverflowError) as error:
        raise UserError(f"{path} is no TIFF that can be used ({error}): write it anew with `gdal_translate`.") from None


def _format(head: bytes) -> tuple[str, str] | None:
    """Driver and customary suffix of a file that begins so."""
    if head[:4] == b"RIFF" and head[8:12] == b"WEBP":
        return "WEBP", ".webp"
    return next(((driver, suffix) for magic, driver, suffix in _FORMATS if head.startswith(magic)), None)


def _srtm(path: Path, file_bytes: int) -> tuple[str, str]:
    """Driver of a file of SRTM heights, and the name by which that knows its place. UserError where it has none."""
    name = _SRTM_NAME.fullmatch(path.name)
    if name is None:
        raise UserError(
            f"{path} does not say in its name which degree it holds: name it after its south-west corner, as "
            "N50E030.hgt."
        )
    if file_bytes not in _SRTM_BYTES:
        raise UserError(
            f"{path} has {file_bytes} bytes, where an .hgt file of 1201 or 3601 posts a side has 2884802 or 25934402: "
            "it is truncated, or packed; unpack it, or copy it again from where it came."
        )
    return "SRTMHGT", f"{name[1].upper()}.hgt"


def _beside(path: Path, suffixes: tuple[str, ...], *, whole_name: bool = False) -> list[Path]:
    """Plain files beside a raster with its name and one of these suffixes, instead of its own or behind it."""
    stem = path.name if whole_name else path.stem
    names = {f"{stem}{form}" for suffix in suffixes for form in (suffix, suffix.upper())}
    return sorted(path.with_name(name) for name in names if path.with_name(name).is_file())


def read_window(path: Path, dataset: Any, bands: list[int], window: Window, *, masked: bool = False) -> Any:
    """Return pixels (bands, rows, columns); UserError where the file is truncated or damaged."""
    try:
        return dataset.read(bands, window=window, masked=masked)
    except RasterioError as error:
        raise UserError(
            f"{path} cannot be read, it is truncated or damaged ({str(error).splitlines()[0]}): copy it again from "
            "where it came."
        ) from error


def geotransform(dataset: Any) -> rasterio.Affine:
    """Where a raster lies, in degrees of -180 to 180 where its own are counted from 0 to 360."""
    place = dataset.transform
    in_degrees = dataset.crs is not None and dataset.crs.is_geographic
    return within_half_turn(place, dataset.width, dataset.height) if in_degrees else place


def within_half_turn(place: rasterio.Affine, width: float, height: float) -> rasterio.Affine:
    """A transform to degrees, a turn to the west where the middle of these pixels lies beyond 180."""
    middle_deg = (place @ (width / 2.0, height / 2.0))[0]
    return rasterio.Affine.translation(-360.0, 0.0) @ place if 180.0 < middle_deg <= 360.0 else place


def rpc_beside(path: Path) -> bool:
    """Whether files beside a raster hold a satellite's camera model (RPC). They are not shown to GDAL."""
    if any(path.with_name(f"{path.stem}{form}").is_file() for form in ("_RPC.TXT", "_rpc.txt", ".RPB", ".rpb")):
        return True
    return any(b'domain="RPC"' in _small(notes) for notes in _beside(path, (".aux.xml",), whole_name=True))


def _small(path: Path) -> bytes:
    try:
        return read_file(path, SMALL_FILE_BYTES_MAX)
    except OSError as error:
        raise UserError(f"{path} cannot be read ({error.strerror}): mend it, or remove it.") from None


def _plain_pam(data: bytes, path: Path) -> bytes:
    """Of GDAL's own notes beside a raster only what places it and says which pixels hold data."""
    import defusedxml
    import defusedxml.ElementTree

    try:
        root = defusedxml.ElementTree.fromstring(data, forbid_dtd=True)
    except (defusedxml.DefusedXmlException, SyntaxError, ValueError, RecursionError) as error:
        raise UserError(f"{path} is no XML that can be read ({shown(error, 80)}): mend it, or remove it.") from None
    kept = Element("PAMDataset")
    for name in ("SRS", "GeoTransform"):
        for entry in root.findall(name)[:1]:
            if name == "SRS":
                _check_system(entry.text or "", path)
            SubElement(kept, name, _attributes(entry)).text = entry.text
    for band in root.findall("PAMRasterBand")[:BANDS_MAX]:
        copy = SubElement(kept, "PAMRasterBand", _attributes(band))
        for name in ("NoDataValue", "ColorInterp"):
            for entry in band.findall(name)[:1]:
                SubElement(copy, name).text = entry.text
    for group in (entry for entry in root.findall("Metadata") if not entry.get("domain")):
        copy = SubElement(kept, "Metadata")
        for item in group.findall("MDI"):
            if item.get("key") in {"AREA_OR_POINT", "TIFFTAG_DATETIME"}:
                SubElement(copy, "MDI", {"key": str(item.get("key"))}).text = item.text
    return bytes(tostring(kept))


def _attributes(entry: Element) -> dict[str, str]:
    return {key: value for key, value in entry.items() if key in {"dataAxisToSRSAxisMapping", "band"}}


def _check_leads_nowhere(path: Path, dataset: Any) -> None:
    if dataset.tags(ns="OVERVIEWS"):
        raise UserError(f"{path} names another file as its overviews, which is not followed: write it anew with GDAL.")
    _check_names_no_file(dataset.crs.to_wkt() if dataset.crs is not None else "", path, path)


def _check_system(text: str, notes: Path) -> None:
    """UserError for a coordinate system that GDAL would have to look up elsewhere, before it sees it."""
    if text.strip() and _SYSTEM.match(text.strip()) is None:
        raise UserError(
            f"{notes} gives a coordinate system that is neither WKT nor a number of the EPSG's "
            f"({shown(text.strip(), 60)}): remove it, and give the raster one with `gdal_edit.py -a_srs EPSG:<code>`."
        )
    _check_names_no_file(text, notes, notes.with_name(notes.name.removesuffix(".aux.xml")))


def _check_names_no_file(system: str, path: Path, raster: Path) -> None:
    if _OTHER_FILES.search(system):
        raise UserError(
            f"{path} has a coordinate system that names a file of grid shifts or definitions, which is not opened: "
            f"give it one of the EPSG's with `gdal_edit.py -a_srs EPSG:<code> {raster.name}`."
        )
