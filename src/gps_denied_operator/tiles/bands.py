"""Which bands of a raster are the picture and which say where it holds data: by interpretation, then by content.

GDAL labels a fourth band "alpha" by default, so near-infrared often bears that name (NAIP, Planet). What is called
alpha is a mask only where it looks like one.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from rasterio.enums import ColorInterp
from rasterio.windows import Window

from gps_denied_onboard.errors import UserError
from gps_denied_operator.tiles.open_raster import read_window

WINDOWS = 8  # a side
WINDOW_PX = 64
SOFT_SHARE_MAX = 0.1
"""Of an alpha band's pixels between its ends: feathered edges are few, a picture's values are many."""
RGB = (ColorInterp.red, ColorInterp.green, ColorInterp.blue)
VISIBLE = ("red", "green", "blue")
CMY = (ColorInterp.cyan, ColorInterp.magenta, ColorInterp.yellow)


@dataclass(frozen=True, slots=True)
class BandPlan:
    """The numbers of the picture's bands (three of colour or one grey), of its alpha band (0: none), and notes.

    inverted: high values are dark (MINISWHITE, CMYK). alpha_full: the lowest value of alpha that is data.
    """

    colours: tuple[int, ...]
    alpha: int
    alpha_full: float
    inverted: bool
    notes: tuple[str, ...]


def band_plan(path: Path, dataset: Any) -> BandPlan:
    """Look at an open raster. UserError where its samples cannot be shown as a picture."""
    if np.issubdtype(np.dtype(dataset.dtypes[0]), np.complexfloating):
        raise UserError(
            f"{path} holds complex numbers (radar), no picture: give its amplitude, as with gdal_translate of "
            "DERIVED_SUBDATASET:AMPLITUDE."
        )
    notes: list[str] = []
    kinds = dataset.colorinterp
    own = next((number for number, kind in enumerate(kinds, 1) if kind == ColorInterp.alpha), 0)
    full = 0.0
    if own:
        full = _mask_from(path, dataset, own)
        if full < 0.0:
            notes.append(
                f"its alpha band, {own}, is 0 wherever it was looked at; where that is no mask, leave it out with "
                f"`gdal_translate -b 1 -b 2 -b 3 {path.name} new.tif`"
            )
        if full == 0.0:
            notes.append(
                f"band {own} is called alpha but holds many values, as near-infrared does: it is taken for no mask, "
                "all pixels count as data"
            )
            own = 0
    colours = _colour_bands(dataset, own)
    inverted = dataset.tags(ns="IMAGE_STRUCTURE").get("MINISWHITE") == "YES" or kinds[colours[0] - 1] in CMY
    if inverted:
        notes.append("its values are stored with white as the lowest (MINISWHITE or CMYK): they were inverted")
    return BandPlan(colours, own, abs(full), inverted, tuple(notes))


def _colour_bands(dataset: Any, alpha: int) -> tuple[int, ...]:
    """Red, green and blue by interpretation, else by description; else the first three bands or the first."""
    kinds = dataset.colorinterp
    luma = [number for number, kind in enumerate(kinds, 1) if kind == ColorInterp.Y]
    if luma:  # YCbCr that was not turned into RGB: its brightness
        return (luma[0],)
    meaning = {kind: number for number, kind in reversed(list(enumerate(kinds, 1)))}
    for wanted in (RGB, CMY):
        if all(kind in meaning for kind in wanted):
            return tuple(meaning[kind] for kind in wanted)
    named = _visible(dataset.descriptions)
    if named:  # green stands in for what is lacking, and no infrared: a camera sees none
        stand_in = named.get("green", next(iter(named.values())))
        return tuple(named.get(name, stand_in) for name in VISIBLE) if len(named) > 1 else (stand_in,)
    plain = [number for number in range(1, dataset.count + 1) if number != alpha]
    return tuple(plain[:3]) if len(plain) >= 3 else tuple(plain[:1])


def _visible(descriptions: Sequence[str | None]) -> dict[str, int]:
    """Bands that are described as red, green or blue, as "Red", "B4 - Red", "Red (668)"; not the red edge."""
    found: dict[str, int] = {}
    for number, text in enumerate(descriptions, 1):
        told = re.sub(r"red[ _-]?edge", "", str(text or "").lower())
        names = [name for name in VISIBLE if re.search(rf"(?<![a-z]){name}(?![a-z])", told)]
        if len(names) == 1:
            found.setdefault(names[0], number)
    return found


def _mask_from(path: Path, dataset: Any, band: int) -> float:
    """The lowest value of an alpha band that is data; 0 where the band is no mask, -1 where it holds nothing."""
    values = _samples(path, dataset, band)
    lit = values[values > 0]
    if lit.size == 0 or (lit == lit[0]).all():  # 0/1, 0/255, 0/65535, or one value all over
        return float(lit[0]) if lit.size else -1.0
    dtype = np.dtype(dataset.dtypes[band - 1])
    top = float(np.iinfo(dtype).max) if np.issubdtype(dtype, np.integer) else float(max(lit.max(), 1.0))
    soft = float(np.mean((values > 0) & (values < top)))
    return top / 2.0 if soft <= SOFT_SHARE_MAX else 0.0


def _samples(path: Path, dataset: Any, band: int) -> npt.NDArray[Any]:
    """Values of windows all over the raster, in one row."""
    wide, high = min(WINDOW_PX, dataset.width), min(WINDOW_PX, dataset.height)
    columns = sorted(set(np.linspace(0, dataset.width - wide, WINDOWS).astype(int).tolist()))
    rows = sorted(set(np.linspace(0, dataset.height - high, WINDOWS).astype(int).tolist()))
    parts = [read_window(path, dataset, [band], Window(u, v, wide, high)).ravel() for u in columns for v in rows]
    values = np.concatenate(parts)
    return np.asarray(values[np.isfinite(values)])
