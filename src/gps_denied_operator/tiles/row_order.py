"""Whether the rows of a tile set are counted from the north (XYZ) or from the south (TMS): by content and bounds.

Names and standards say one thing and files hold the other: MBTiles are TMS by their standard, yet programs write XYZ
into them, and folders come both ways. The pictures themselves tell it: tiles that are neighbours meet without a seam.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from gps_denied_onboard.errors import UserError
from gps_denied_onboard.geometry import geodesy
from gps_denied_onboard.tiles import codec
from gps_denied_onboard.tiles.grid import TILE_PX

PAIRS_MAX = 24
SEAM_RATIO = 1.3  # the wrong order's seams must be so much harder than the right one's
TURNED_RATIO = 2.0  # and those of tiles beside each other, where they lie above each other by their numbers
SEAM_MIN = 1.0  # mean grey levels: where both orders are flatter than this, nothing can be told
SIZES_PX = frozenset({(TILE_PX, TILE_PX), (2 * TILE_PX, 2 * TILE_PX)})
"""Of a tile's picture. Others are not decoded: the bytes come from outside."""
Raw = list[tuple[int, int]]


class TurnedError(Exception):
    """Rows and columns stand for each other."""


@dataclass(frozen=True, slots=True)
class RowEvidence:
    """What is known of the order before looking: what the format claims, what it was told, and the bounds it names."""

    claimed_south: bool
    told: str = "auto"
    bounds_deg: tuple[float, float, float, float] | None = None
    scheme: str = ""


def from_south(
    path: Path, zoom: int, places: Raw, read: Callable[[int, int, int], bytes], evidence: RowEvidence
) -> tuple[bool, tuple[str, ...]]:
    """Return whether rows are counted from the south, and notes where that is not what the format says.

    places: (column, row) as stored; read: of zoom, column, row.
    UserError where content and bounds contradict each other: a wrong order puts the map onto the other hemisphere.
    """
    if evidence.told in {"tms", "xyz"}:
        return evidence.told == "tms", ()
    try:
        seen = _by_content(zoom, places, read)
    except TurnedError:
        raise UserError(
            f"{path}: its pictures fit together where what stands for the row is the column: it is ordered "
            "<z>/<y>/<x>, as ArcGIS does. Rename its folders and files to <z>/<x>/<y>; or give --rows xyz or tms where "
            "that is wrong."
        ) from None
    bounded = _by_bounds(zoom, places, evidence.bounds_deg)
    if seen is not None and bounded is not None and seen != bounded:
        raise UserError(
            f"{path}: its pictures fit together with rows counted from the {'south' if seen else 'north'}, but its "
            f"bounds {evidence.bounds_deg} are met only from the {'south' if bounded else 'north'}: give --rows "
            "xyz (from the north) or tms (from the south)."
        )
    scheme = {"tms": True, "xyz": False}.get(evidence.scheme.strip().lower(), evidence.claimed_south)
    decided = next(known for known in (seen, bounded, scheme) if known is not None)
    if decided == evidence.claimed_south:
        return decided, ()
    by = "its pictures" if seen is not None else "its bounds" if bounded is not None else "its scheme"
    return decided, (
        f"rows of tiles are counted from the {'south' if decided else 'north'}, as {by} say, not as its format does",
    )


def read_bounds(text: object) -> tuple[float, float, float, float] | None:
    """West, south, east, north of "w,s,e,n" or a list; None where it is empty, broken or all of the world."""
    parts = text.split(",") if isinstance(text, str) else text
    if not isinstance(parts, list | tuple) or len(parts) != 4:
        return None
    try:
        west, south, east, north = (float(part) for part in parts)
    except (TypeError, ValueError):
        return None
    if not (-180.0 <= west < east <= 360.0 and -90.0 <= south < north <= 90.0) or south * north <= 0.0:
        return None  # on both sides of the equator, both orders fit
    return west, south, east, north


def _by_bounds(zoom: int, places: Raw, bounds_deg: tuple[float, float, float, float] | None) -> bool | None:
    if bounds_deg is None:
        return None
    rows = np.array([row for _, row in places], dtype=float)
    fits = []
    for south in (True, False):
        north_rows = (2.0**zoom - 1.0 - rows) if south else rows
        middle_px = np.array([[0.0, (float(np.median(north_rows)) + 0.5) * TILE_PX]])
        latitude_deg = float(geodesy.geodetic_from_mercator_px(middle_px, zoom)[0, 0])
        slack = 360.0 / 2.0**zoom
        fits.append(bounds_deg[1] - slack <= latitude_deg <= bounds_deg[3] + slack)
    return None if fits[0] == fits[1] else fits[0]


def _by_content(zoom: int, places: Raw, read: Callable[[int, int, int], bytes]) -> bool | None:
    """By the seams between tiles above each other; None where there are none or they are too flat to tell."""
    present = set(places)
    pairs = [(column, row) for column, row in places if (column, row + 1) in present]
    if not pairs:
        return None
    chosen = [pairs[int(k)] for k in np.unique(np.linspace(0, len(pairs) - 1, min(PAIRS_MAX, len(pairs))).astype(int))]
    xyz, tms, beside = [], [], []
    for column, row in chosen:
        low, high = (_grey(read, zoom, column, r) for r in (row, row + 1))
        if low is None or high is None or low.shape != high.shape:
            continue
        xyz.append(float(np.abs(low[-1] - high[0]).mean()))  # the higher row lies below
        tms.append(float(np.abs(high[-1] - low[0]).mean()))
        beside.append(float(np.abs(low[:, -1] - high[:, 0]).mean()))
    if not xyz:
        return None
    from_north, south = float(np.mean(xyz)), float(np.mean(tms))
    if max(from_north, south) < SEAM_MIN:
        return None
    if float(np.mean(beside)) * TURNED_RATIO < min(from_north, south):
        raise TurnedError
    if south * SEAM_RATIO < from_north:
        return True
    return False if from_north * SEAM_RATIO < south else None


def _grey(read: Callable[[int, int, int], bytes], zoom: int, column: int, row: int) -> np.ndarray | None:
    try:
        data = read(zoom, column, row)
        if codec.header_size(data) not in SIZES_PX:
            return None
        codec.check_coding(data)
    except (OSError, KeyError, ValueError):
        return None
    image = cv2.imdecode(np.frombuffer(data, dtype=np.uint8), cv2.IMREAD_GRAYSCALE)
    return None if image is None else image.astype(float)


def places_by_row(raw: dict[int, Raw], south: bool) -> dict[int, Raw]:
    """Places with rows counted from the north, sorted."""
    return {
        zoom: sorted((column, (1 << zoom) - 1 - row if south else row) for column, row in tiles)
        for zoom, tiles in raw.items()
    }


def finest(raw: dict[int, Raw]) -> tuple[int, Sequence[tuple[int, int]]]:
    """The finest zoom and its places: there are the most neighbours."""
    zoom = max(raw)
    return zoom, sorted(raw[zoom])
