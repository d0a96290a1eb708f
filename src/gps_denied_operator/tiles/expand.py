"""A virtual dataset that shows any raster as 8-bit grey or RGB with alpha (GDAL's VRT format)."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any
from xml.sax.saxutils import escape

import numpy as np
import numpy.typing as npt
from rasterio.enums import ColorInterp, MaskFlags
from rasterio.windows import Window

from gps_denied_onboard.errors import UserError
from gps_denied_operator.tiles.bands import BandPlan, band_plan
from gps_denied_operator.tiles.open_raster import geotransform, read_window

CORNER_PX = 16
EDGE_PX = 32
EDGE_WINDOWS = 9  # a side
BLACKISH_MAX = 8
"""Grey levels that lossy compression leaves in a black collar; `nearblack` begins with 15."""
SAMPLE_WINDOWS = 8  # a side, for the percentiles
SAMPLE_PX = 128
STRETCH_PERCENT = (0.5, 99.5)
# What programs leave outside of a picture without saying so: black, white, and customary impossible values.
COLLARS = (0.0, -9999.0, -32767.0, -32768.0, 3.4028234663852886e38, -3.4028234663852886e38, 9.969209968386869e36)


def eight_bit_vrt(path: Path, dataset: Any) -> str:
    """Return the XML of a VRT with a grey band or red, green and blue, and alpha unless all of the raster is data."""
    if dataset.colorinterp[0] == ColorInterp.palette:
        bands = _palette_bands(path, dataset)
    else:
        plan = band_plan(path, dataset)
        colours = list(plan.colours)
        narrow = int(dataset.tags(colours[0], ns="IMAGE_STRUCTURE").get("NBITS", 8)) < 8
        if dataset.dtypes[colours[0] - 1] == "uint8" and not narrow:
            inner = "<ScaleOffset>255</ScaleOffset><ScaleRatio>-1</ScaleRatio>" if plan.inverted else None
        else:
            inner = _stretch(path, dataset, colours, inverted=plan.inverted)
        bands = [_source(dataset, band, inner) for band in colours]
        bands += _alpha(path, dataset, plan)
    names = ("Gray", "Alpha") if len(bands) <= 2 else ("Red", "Green", "Blue", "Alpha")
    transform = ", ".join(repr(float(value)) for value in geotransform(dataset).to_gdal())
    body = "".join(
        f'<VRTRasterBand dataType="Byte" band="{number}"><ColorInterp>{name}</ColorInterp>{band}</VRTRasterBand>'
        for number, (name, band) in enumerate(zip(names, bands, strict=False), 1)
    )
    return (
        f'<VRTDataset rasterXSize="{dataset.width}" rasterYSize="{dataset.height}">'
        f"<SRS>{escape(dataset.crs.to_wkt())}</SRS><GeoTransform>{transform}</GeoTransform>{body}</VRTDataset>"
    )


def _source(dataset: Any, band: int | str, inner: str | None = None) -> str:
    name = escape(str(dataset.name))
    kind = "ComplexSource" if inner else "SimpleSource"
    return (
        f'<{kind}><SourceFilename relativeToVRT="0">{name}</SourceFilename><SourceBand>{band}</SourceBand>'
        f"{inner or ''}</{kind}>"
    )


def _palette_bands(path: Path, dataset: Any) -> list[str]:
    table = dataset.colormap(1)
    collar = undeclared_collar(path, dataset, [1])
    opaque = {
        index: colour[3] > 0 and index != dataset.nodata and (collar is None or set(colour[:3]) != {int(collar)})
        for index, colour in table.items()
    }
    lut = ",".join(f"{index}:{255 if seen else 0}" for index, seen in sorted(opaque.items()))
    colours = [_source(dataset, 1, f"<ColorTableComponent>{part}</ColorTableComponent>") for part in (1, 2, 3)]
    return [*colours, _source(dataset, 1, f"<LUT>{lut}</LUT>")]


def _looked_up(indices: npt.NDArray[Any], table: dict[int, tuple[int, int, int, int]]) -> npt.NDArray[Any]:
    return np.array([[table.get(int(index), (1, 2, 3, 255))[:3] for index in row] for row in indices[0]]).transpose(
        2, 0, 1
    )


def _alpha(path: Path, dataset: Any, plan: BandPlan) -> list[str]:
    """Return the alpha band if there is one: the file's own alpha or mask, nodata, or an undeclared collar."""
    colours = list(plan.colours)
    opaque = "<ScaleOffset>255</ScaleOffset><ScaleRatio>0</ScaleRatio>"
    if plan.alpha:
        # To 255 at the value that is data, so that what is read later as "at least half" is just that.
        low, high = plan.alpha_full - 1e-6 * max(plan.alpha_full, 1.0), plan.alpha_full
        ends = f"<SrcMin>{low:.17g}</SrcMin><SrcMax>{high:.17g}</SrcMax><DstMin>0</DstMin><DstMax>255</DstMax>"
        return [_source(dataset, plan.alpha, f"{ends}<Exponent>1</Exponent><Clamp>true</Clamp>")]
    flags = dataset.mask_flag_enums[colours[0] - 1]
    if MaskFlags.per_dataset in flags and MaskFlags.alpha not in flags:
        return [_source(dataset, "mask,1")]
    if MaskFlags.nodata in flags:
        # A pixel is empty where all of its bands are: a later source writes over an earlier one except with its NODATA.
        return ["".join(_source(dataset, f"mask,{band}", "<NODATA>0</NODATA>") for band in colours)]
    collar = undeclared_collar(path, dataset, colours)
    if collar is None:
        if not np.issubdtype(np.dtype(dataset.dtypes[colours[0] - 1]), np.floating):
            return []
        collar = math.nan
    return ["".join(_source(dataset, band, f"<NODATA>{collar:.17g}</NODATA>{opaque}") for band in colours)]


def undeclared_collar(path: Path, dataset: Any, colours: Sequence[int]) -> float | None:
    """Return the value around a picture that says nowhere which of its pixels hold data; None where there is none.

    A picture of two values has none: one of them would take half of it away.
    """
    if dataset.tags(colours[0], ns="IMAGE_STRUCTURE").get("NBITS") == "1":
        return None
    if dataset.colorinterp[0] == ColorInterp.palette:
        table = dataset.colormap(1)
        if dataset.nodata is not None or any(colour[3] == 0 for colour in table.values()):
            return None
        return _collar([_looked_up(corner, table) for corner in _corners(path, dataset, [1])], [])
    if dataset.mask_flag_enums[colours[0] - 1] != [MaskFlags.all_valid]:
        return None
    return _collar(_corners(path, dataset, colours), _edges(path, dataset, colours))


def blackish_collar(path: Path, dataset: Any, colours: Sequence[int]) -> int:
    """The brightest value of a corner that is nearly black all over and not quite; 0 where there is none.

    Lossy compression makes such ones of a black collar; so may water.
    """
    narrow = "NBITS" in dataset.tags(colours[0], ns="IMAGE_STRUCTURE")
    if narrow or dataset.colorinterp[0] == ColorInterp.palette or dataset.dtypes[colours[0] - 1] != "uint8":
        return 0
    brightest = [int(corner.max()) for corner in _corners(path, dataset, colours)]
    return max((value for value in brightest if value <= BLACKISH_MAX), default=0)


def _corners(path: Path, dataset: Any, bands: Sequence[int]) -> list[npt.NDArray[Any]]:
    """Return the corners of a raster, (bands, 16, 16) each."""
    return _windows(path, dataset, bands, CORNER_PX, [(u, v) for u in (0.0, 1.0) for v in (0.0, 1.0)])


def _edges(path: Path, dataset: Any, bands: Sequence[int]) -> list[npt.NDArray[Any]]:
    """Return squares along the sides of a raster, (bands, 32, 32) each: a collar need not reach a corner."""
    along = np.linspace(0.0, 1.0, EDGE_WINDOWS).tolist()
    sides = [place for t in along for place in ((t, 0.0), (t, 1.0), (0.0, t), (1.0, t))]
    return _windows(path, dataset, bands, EDGE_PX, sides)


def _windows(
    path: Path, dataset: Any, bands: Sequence[int], size: int, places: Sequence[tuple[float, float]]
) -> list[npt.NDArray[Any]]:
    """Return squares of a raster at shares (0 to 1) of its width and height, from the top down: some formats begin
    anew where one goes back."""
    width, height = min(size, dataset.width), min(size, dataset.height)
    corners = [(int(v * (dataset.height - height)), int(u * (dataset.width - width))) for u, v in places]
    return [read_window(path, dataset, list(bands), Window(u, v, width, height)) for v, u in sorted(corners)]


def _collar(corners: list[npt.NDArray[Any]], edges: list[npt.NDArray[Any]]) -> float | None:
    """Return the value that fills a corner or a square at the edge in all bands and that programs leave there.

    White counts in corners only: along an edge lie clouds and snow.
    """
    for corner in corners:
        white = float(np.iinfo(corner.dtype).max) if corner.dtype in (np.uint8, np.uint16) else 255.0
        if (corner == corner.flat[0]).all() and float(corner.flat[0]) in (*COLLARS, white):
            return float(corner.flat[0])
    filled = (float(edge.flat[0]) for edge in edges if (edge == edge.flat[0]).all())
    return next((value for value in filled if value in COLLARS), None)


def _stretch(path: Path, dataset: Any, colours: list[int], *, inverted: bool = False) -> str:
    """Return the stretch to 8 bit, the same for all bands, between percentiles of windows all over the raster."""
    size = min(SAMPLE_PX, dataset.width, dataset.height)
    columns = np.linspace(0, dataset.width - size, SAMPLE_WINDOWS).astype(int)
    rows = np.linspace(0, dataset.height - size, SAMPLE_WINDOWS).astype(int)
    samples = []
    collar = undeclared_collar(path, dataset, colours)
    for u in sorted(set(columns.tolist())):
        for v in sorted(set(rows.tolist())):
            masked = read_window(path, dataset, colours, Window(u, v, size, size), masked=True)
            values = masked.compressed().astype(float)
            samples.append(values[np.isfinite(values) & (values != collar)])
    values = np.concatenate(samples)
    if values.size == 0:
        raise UserError(f"{path} holds no data: all of its pixels that were looked at are empty. Give another file.")
    low, high = np.percentile(values, STRETCH_PERCENT)
    high = max(high, low + 1e-9)
    dark, bright = (255, 0) if inverted else (0, 255)
    return (
        f"<SrcMin>{low:.17g}</SrcMin><SrcMax>{high:.17g}</SrcMax><DstMin>{dark}</DstMin><DstMax>{bright}</DstMax>"
        "<Exponent>1</Exponent><Clamp>true</Clamp>"
    )
