"""Tile bundles: the tiles of one square as one file, on their way from the workstation's store to the aircraft's.

A bundle is a line of JSON (source, zoom, square, one entry a tile) and then the bytes of the entries, image and mask,
in their order. Taken in, the square holds exactly what the bundle holds; tiles that a flight made stay.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import orjson

from gps_denied_onboard.errors import UserError
from gps_denied_onboard.tiles import codec
from gps_denied_onboard.tiles.budget import CacheBudget, protect_area
from gps_denied_onboard.tiles.codec import TILE_BYTES_MAX
from gps_denied_onboard.tiles.coverage import TileBlock, read_coverage, square_records
from gps_denied_onboard.tiles.grid import SQUARE_TILES, TileKey, tile_range
from gps_denied_onboard.tiles.records import NewTile, TileRecord
from gps_denied_onboard.untrusted import UntrustedError
from gps_denied_onboard.untrusted.bounded import read_file
from gps_denied_onboard.untrusted.folders import plain_files
from gps_denied_onboard.untrusted.json import read_json

if TYPE_CHECKING:
    from gps_denied_onboard.provisioning.mission_file import MissionFile
    from gps_denied_onboard.tiles.store import TileStore

FORMAT = "gps-denied parcel 1"
SUFFIX = ".parcel"
HEADER_BYTES_MAX = 4 * 1024 * 1024
BATCH_TILES = 500
PARCEL_BYTES_MAX = HEADER_BYTES_MAX + SQUARE_TILES * SQUARE_TILES * 2 * 256 * 1024
"""A square's tiles of 256 x 256 pixels, each with its mask, as large as they come without compression."""


class TileBundleError(UserError):
    """A bundle that is not whole or not one; nothing of it is stored."""


@dataclass(frozen=True, slots=True)
class ReceiveReport:
    """What taking in bundles did."""

    parcels: int
    stored: int
    replaced: int
    kept: int
    removed: int


def tile_bundle_name(data: bytes) -> str:
    """A bundle's file name says what is in it: a part under the same name is a part of the same bytes."""
    return f"{hashlib.sha256(data).hexdigest()[:32]}{SUFFIX}"


def tile_bundle_bytes(store: TileStore, source: str, zoom: int, column: int, row: int) -> bytes:
    """The bundle of a square of a store; the same bytes for the same tiles. TileDamagedError for a damaged one."""
    entries, blobs = [], []
    for record in square_records(store, source, zoom, column, row):
        image, mask = store.read(record)
        entries.append(_entry(record, len(image), 0 if mask is None else len(mask)))
        blobs += [bytes(image), b"" if mask is None else bytes(mask)]
    head = {"format": FORMAT, "source": source, "zoom": zoom, "column": column, "row": row, "tiles": entries}
    return orjson.dumps(head, option=orjson.OPT_SORT_KEYS | orjson.OPT_APPEND_NEWLINE) + b"".join(blobs)


def _entry(record: TileRecord, image_bytes: int, mask_bytes: int) -> dict[str, Any]:
    return {
        "x": record.key.x, "y": record.key.y, "image_bytes": image_bytes, "mask_bytes": mask_bytes,
        "sha256": record.content_sha256.hex(), "valid_fraction": record.valid_fraction,
        "ground_resolution_m_px": record.ground_resolution_m_px,
        "captured_at": record.captured_at.isoformat() if record.captured_at else None,
        "voting_status": record.voting_status, "quality_metadata": dict(record.quality_metadata),
        "sector_class": record.sector_class, "freshness": record.freshness,
    }  # fmt: skip


def receive_tile_bundles(
    store: TileStore, folder: Path, mission: MissionFile, source: str, zoom: int, budget_bytes: int
) -> ReceiveReport:
    """Take in every bundle of a folder, each block whole or not at all, and remove the bundle after it.

    The mission's tiles are protected from eviction first. UserError where there is no room,
    TileBundleError for a bad one.
    """
    counts = [0, 0, 0, 0, 0]
    with store.writing("receiving tiles", timeout_s=0.0):
        protect_area(store, mission.mission_id, source, zoom, _box(mission, zoom))
        for file in plain_files(folder, f"*{SUFFIX}"):
            for number, count in enumerate(_receive(store, file, source, zoom, budget_bytes)):
                counts[number + 1] += count
            counts[0] += 1
            file.unlink()
    return ReceiveReport(*counts)


def _box(mission: MissionFile, zoom: int) -> tuple[int, int, int, int]:
    x0, y0, x1, y1 = tile_range(*mission.bbox_deg, zoom)
    return x0, y0, x1, y1


def _receive(store: TileStore, file: Path, source: str, zoom: int, budget_bytes: int) -> tuple[int, int, int, int]:
    try:
        column, row, tiles = read_tile_bundle(read_file(file, PARCEL_BYTES_MAX, follow=False), source, zoom)
    except OSError as error:
        raise TileBundleError(f"The bundle {file} cannot be read ({error.strerror}); send it again.") from None
    except TileBundleError as error:
        file.unlink()
        raise TileBundleError(
            f"The bundle {file.name} {error}: it was removed and nothing stored; send again."
        ) from None
    except UntrustedError:
        file.unlink()  # or it would be in the way of every later run
        raise TileBundleError(
            f"The bundle {file.name} has more than {PARCEL_BYTES_MAX} bytes or is no plain file: it was removed and "
            "nothing stored; send again."
        ) from None
    held = {(r.key.x, r.key.y): r for r in square_records(store, source, zoom, column, row)}
    wanted = {(tile.key.x, tile.key.y): tile for tile in tiles}
    gone = [record for place, record in held.items() if place not in wanted]
    other = [(held[place], tile) for place, tile in wanted.items() if place in held and not _same(held[place], tile)]
    new = [tile for place, tile in wanted.items() if place not in held]
    budget = CacheBudget(store, budget_bytes)
    budget.reserve_headroom(sum(len(tile.jpeg) + len(tile.mask or b"") for tile in new))
    if gone:
        store.remove(gone)
    for record, tile in other:
        store.replace(record, tile)
    for start in range(0, len(new), BATCH_TILES):
        store.insert(new[start : start + BATCH_TILES])
    return len(new), len(other), len(held) - len(gone) - len(other), len(gone)


def _same(record: TileRecord, tile: NewTile) -> bool:
    return (record.content_sha256, record.mask_sha256, record.freshness) == (*tile.digests(), tile.freshness)


def read_tile_bundle(data: bytes, source: str, zoom: int) -> tuple[int, int, list[NewTile]]:
    """Column, row and tiles of a bundle, each checked against its digest. TileBundleError says what is wrong."""
    end = data.find(b"\n", 0, HEADER_BYTES_MAX)
    try:
        head = read_json(data[: max(end, 0)], "its head", HEADER_BYTES_MAX)
        if head["format"] != FORMAT or (head["source"], head["zoom"]) != (source, zoom):
            raise TileBundleError(f"is not one of map '{source}' at zoom {zoom}")
        column, row = int(head["column"]), int(head["row"])
        tiles = list(_tiles(memoryview(data)[end + 1 :], head["tiles"], TileKey(source, zoom, column, row)))
    except (ValueError, KeyError, TypeError, AttributeError, OverflowError, UntrustedError) as error:
        raise TileBundleError(f"is damaged ({error})") from None
    if len({tile.key for tile in tiles}) != len(tiles):
        raise TileBundleError("names a tile twice")
    return column, row, tiles


def _tiles(rest: memoryview, entries: Sequence[dict[str, Any]], square: TileKey) -> Iterator[NewTile]:
    at = 0
    for entry in entries:
        x, y, sizes = int(entry["x"]), int(entry["y"]), (int(entry["image_bytes"]), int(entry["mask_bytes"]))
        if (x // SQUARE_TILES, y // SQUARE_TILES) != (square.x, square.y):
            raise TileBundleError(f"holds tile {x}/{y}, which is of another square")
        if not (0 < sizes[0] <= TILE_BYTES_MAX and 0 <= sizes[1] <= TILE_BYTES_MAX):
            raise TileBundleError(f"gives tile {x}/{y} a size of {sizes}")
        image, mask = bytes(rest[at : at + sizes[0]]), bytes(rest[at + sizes[0] : at + sum(sizes)])
        at += sum(sizes)
        captured = entry["captured_at"]
        tile = NewTile(
            TileKey(square.source, square.zoom, x, y), image, float(entry["ground_resolution_m_px"]), mask or None,
            float(entry["valid_fraction"]), datetime.fromisoformat(captured) if captured else None,
            str(entry["voting_status"]), dict(entry["quality_metadata"]), bytes.fromhex(entry["sha256"]),
            entry["sector_class"], str(entry["freshness"]),
        )  # fmt: skip
        tile.digests()
        codec.check_jpeg_tile(image)
        yield tile
    if at != len(rest):
        raise TileBundleError(f"has {len(rest)} bytes of tiles, {at} were announced")


def area_state(store: TileStore, mission: MissionFile, source: str, zoom: int) -> tuple[TileBlock, ...]:
    """The digests of the mission's squares as this store holds them; squares without tiles are left out."""
    return read_coverage(store, source, zoom, mission.squares(zoom))
