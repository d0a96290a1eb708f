"""Import of a map into the tile store: whole tiles only, resumable, the same again is a no-op."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass, field, replace
from datetime import datetime
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from gps_denied_onboard.errors import UserError
from gps_denied_onboard.geometry import geodesy
from gps_denied_onboard.tiles import codec, files
from gps_denied_onboard.tiles.budget import protect_area, release_areas
from gps_denied_onboard.tiles.grid import TILE_PX, TileKey
from gps_denied_onboard.tiles.records import NewTile, TileDamagedError, TileRecord
from gps_denied_onboard.tiles.store import TileStore
from gps_denied_operator.tiles.admission import Admission
from gps_denied_operator.tiles.makers import Places, TileMaker
from gps_denied_operator.tiles.tilesets import PlacedTile

FLIGHT_SOURCE = "onboard_ingest"  # made in flight only
Existing = dict[tuple[int, int], TileRecord]
FAR_TILES_M = 500e3


@dataclass(slots=True)
class ImportReport:
    """What an import did. outcome: success, idempotent_no_op or failure; bounds_deg: west, south, east, north.

    no_data_share: of the area that the map covers, 0 to 1. datum_accuracy_m: of its way to WGS 84, None where not told.
    """

    map: str
    kind: str
    source: str
    zoom: int
    store: str
    bounds_deg: tuple[float, float, float, float]
    ground_resolution_m_px: float
    day_known: bool
    outcome: str = "success"
    reason: str = ""
    tiles_in_area: int = 0
    tiles_written: int = 0
    tiles_merged: int = 0
    tiles_already_stored: int = 0
    tiles_kept_from_other_maps: int = 0
    tiles_unreadable: int = 0
    tiles_refused_stale: int = 0
    tiles_downgraded: int = 0
    bytes_written: int = 0
    no_data_share: float = 0.0
    datum_accuracy_m: float | None = None
    notes: list[str] = field(default_factory=list)

    def as_dict(self) -> dict[str, Any]:
        return asdict(self)


@dataclass(slots=True)
class _Import:
    """One import under way."""

    store: TileStore
    maker: TileMaker
    report: ImportReport
    captured_at: datetime | None
    progress: Callable[[int, int], None] | None
    admission: Admission
    done: int = field(default=0)
    valid_px: float = field(default=0.0)

    def run(self) -> None:
        blocks = self.maker.blocks()
        self.report.tiles_in_area = sum(map(len, blocks))
        for places in blocks:
            existing = self._existing(places)
            if all(place in existing and not self._open(existing[place]) for place in places):
                self._count_skipped(existing)
            else:
                self._take(existing, self.maker.make(places))
            self.done += len(places)
            if self.progress is not None:
                self.progress(self.done, self.report.tiles_in_area)
        share = 1.0 - self.valid_px / max(self.maker.covered_px(), 1.0)
        self.report.no_data_share = round(max(share, 0.0), 3)

    def _existing(self, places: Places) -> Existing:
        columns, rows = zip(*places, strict=True)
        box = (min(columns), min(rows), max(columns) + 1, max(rows) + 1)
        records = self.store.query_tiles(self.report.source, self.report.zoom, *box)
        wanted = set(places)
        return {(r.key.x, r.key.y): r for r in records if r.key.flight_id is None and (r.key.x, r.key.y) in wanted}

    def _ours(self, record: TileRecord) -> bool:
        return self.maker.fingerprint in record.quality_metadata.get("maps", [])

    def _open(self, record: TileRecord) -> bool:
        """Return whether this map may still add something to a stored tile."""
        return record.valid_fraction < 1.0 and not self._ours(record)

    def _count_skipped(self, existing: Existing) -> None:
        ours = sum(map(self._ours, existing.values()))
        self.valid_px += sum(record.valid_fraction for record in existing.values()) * TILE_PX**2
        self.report.tiles_already_stored += ours
        self.report.tiles_kept_from_other_maps += len(existing) - ours

    def _take(self, existing: Existing, made: Iterable[PlacedTile | None]) -> None:
        report = self.report
        new: list[NewTile] = []
        for tile in made:
            if tile is None:
                report.tiles_unreadable += 1
                continue
            self.valid_px += float(tile.valid.sum())
            record = existing.get((tile.x, tile.y))
            if record is None:
                labelled = self.admission.labelled(self._new_tile(tile, [self.maker.fingerprint]))
                if labelled is None:
                    report.tiles_refused_stale += 1
                else:
                    new.append(labelled)
                    report.tiles_downgraded += labelled.freshness == "downgraded"
            elif self._ours(record):
                report.tiles_already_stored += 1
            elif record.valid_fraction == 1.0 or not self._merge(record, tile):
                report.tiles_kept_from_other_maps += 1
        self.admission.make_room(new)
        self.store.insert(new)
        report.tiles_written += len(new)
        report.bytes_written += sum(len(tile.jpeg) + len(tile.mask or b"") for tile in new)

    def _merge(self, record: TileRecord, tile: PlacedTile) -> bool:
        """Fill the empty part of a stored tile, as at a seam of map sheets; False where there is nothing to fill."""
        old_jpeg, old_mask = self.store.read(record)
        old_valid = codec.decode_mask(old_mask)
        if not (tile.valid & ~old_valid).any():
            return False
        merged = np.where(old_valid[..., None], _colours(old_jpeg), _colours(tile.jpeg))
        maps = [*record.quality_metadata.get("maps", []), self.maker.fingerprint]
        placed = PlacedTile(tile.x, tile.y, codec.encode_jpeg(merged), old_valid | tile.valid)
        merged_tile = self.admission.labelled(self._new_tile(placed, maps))
        if merged_tile is None:
            self.report.tiles_refused_stale += 1
            return False
        if record.freshness == "downgraded":  # part of it still is as old as it was
            merged_tile = replace(merged_tile, freshness=record.freshness)
        self.admission.make_room([merged_tile])
        self.store.replace(record, merged_tile)
        self.report.tiles_merged += 1
        return True

    def _new_tile(self, tile: PlacedTile, maps: list[str]) -> NewTile:
        return NewTile(
            key=TileKey(self.report.source, self.report.zoom, tile.x, tile.y),
            jpeg=tile.jpeg,
            ground_resolution_m_px=self.maker.ground_resolution_m_px,
            mask=codec.encode_mask(tile.valid),
            valid_fraction=float(tile.valid.mean()),
            captured_at=self.captured_at or self.maker.captured_at,
            voting_status="trusted",
            quality_metadata={"maps": maps},
        )


def import_map(
    store: TileStore,
    maker: TileMaker,
    path: Path,
    admission: Admission,
    source: str = "provider",
    captured_at: datetime | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> ImportReport:
    """Store a map's tiles under a source's name; progress is told (tiles looked at, tiles in all).

    Tiles that are stored stay as they are, except that empty parts of theirs are filled. An import that was interrupted
    goes on where it stopped when it is run again. Raises UserError with what to do.
    """
    if source == FLIGHT_SOURCE or not files.SOURCE_NAME.fullmatch(source):
        raise UserError(
            f"'{source}' cannot be the name of a map: take a-z, 0-9, - and _, 40 at most, and not '{FLIGHT_SOURCE}'."
        )
    x0, y0, x1, y1 = maker.bounds_tiles()
    corners = geodesy.geodetic_from_mercator_px(
        [[x0 * TILE_PX, y1 * TILE_PX], [x1 * TILE_PX, y0 * TILE_PX]], maker.zoom
    )
    (south, west), (north, east) = corners.tolist()
    report = ImportReport(
        map=str(path), kind=maker.kind, source=source, zoom=maker.zoom, store=str(store.root),
        bounds_deg=(west, south, east, north), ground_resolution_m_px=round(maker.ground_resolution_m_px, 4),
        day_known=(captured_at or maker.captured_at) is not None,
        datum_accuracy_m=maker.datum_accuracy_m, notes=list(maker.notes),
    )  # fmt: skip
    with store.writing(f"import of {path}", timeout_s=0.0):
        _check_place(store, report, (x0, y0, x1, y1))
        mission = f"import of {path.name}"
        protect_area(store, mission, source, maker.zoom, (x0, y0, x1, y1))  # or its own first tiles would be evicted
        try:
            _Import(store, maker, report, captured_at, progress, admission).run()
        finally:
            release_areas(store, mission)
    return _judged(report, maker.why_unreadable())


def _judged(report: ImportReport, why_unreadable: str) -> ImportReport:
    if report.tiles_written or report.tiles_merged:
        return report
    if report.tiles_already_stored:
        report.outcome, report.reason = "idempotent_no_op", "all tiles of this map are stored already"
    elif report.tiles_refused_stale:
        raise UserError(
            f"All {report.tiles_refused_stale} tiles of {report.map} are too old for where they lie, or their age is "
            "not known: give newer pictures, or their day with --captured; `operator-tool tiles explain` says why."
        )
    elif report.tiles_kept_from_other_maps:
        raise UserError(
            f"Source '{report.source}' holds tiles of another map everywhere that {report.map} covers, and they were "
            "kept: import it under another name with --source NAME."
        )
    elif report.tiles_unreadable:
        raise UserError(
            f"None of the {report.tiles_unreadable} tiles of {report.map} can be read ({why_unreadable}): give a map "
            "of JPEG, PNG or WebP tiles of 256 or 512 pixels, or copy it again where it is damaged."
        )
    else:
        told = "; ".join(report.notes) or "give another file"
        raise UserError(f"{report.map} holds no data: all of its pixels are empty. {told[0].upper()}{told[1:]}.")
    return report


def _check_place(store: TileStore, report: ImportReport, box: tuple[int, int, int, int]) -> None:
    """Refuse a map that lies far from what its source holds: one source is one stretch of land."""
    held = store.bounds(report.source, report.zoom)
    if held is None:
        return
    middles = [[(b[0] + b[2]) * TILE_PX / 2, (b[1] + b[3]) * TILE_PX / 2] for b in (held, box)]
    here, there = geodesy.geodetic_from_mercator_px(middles, report.zoom)
    distance_m = _distance_m(here, there)
    if distance_m > FAR_TILES_M:
        raise UserError(
            f"{report.map} lies {distance_m / 1000:.0f} km from what source '{report.source}' holds at zoom "
            f"{report.zoom}: check that it is the right map, or import it under another name with --source NAME."
        )


def _distance_m(here_deg: Any, there_deg: Any) -> float:
    import pyproj

    return float(pyproj.Geod(ellps="WGS84").inv(here_deg[1], here_deg[0], there_deg[1], there_deg[0])[2])


def _colours(jpeg: bytes | memoryview) -> Any:
    image = cv2.imdecode(np.frombuffer(jpeg, dtype=np.uint8), cv2.IMREAD_COLOR)
    if image is None:
        raise TileDamagedError("a stored tile is not an image")
    return image[..., ::-1]
