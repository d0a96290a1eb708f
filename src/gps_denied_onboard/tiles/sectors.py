"""Sector polygons: read from GeoJSON, kept in the tile store's database."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import shapely
from psycopg.types.json import Jsonb

from gps_denied_onboard.errors import UserError
from gps_denied_onboard.tiles.config import SECTOR_CLASSES
from gps_denied_onboard.tiles.freshness import Sector
from gps_denied_onboard.tiles.store import TileStore
from gps_denied_onboard.untrusted import UntrustedError
from gps_denied_onboard.untrusted.bounded import read_file
from gps_denied_onboard.untrusted.json import field, read_json
from gps_denied_onboard.untrusted.text import shown

BYTES_MAX = 16 * 1024 * 1024


def load_sectors(store: TileStore) -> list[Sector]:
    """Return the store's sectors by name."""
    with store.connection() as connection:
        rows = connection.execute("SELECT name, sector_class, polygon FROM sectors ORDER BY name").fetchall()
    return [Sector(str(name), str(sector_class), polygon) for name, sector_class, polygon in rows]


def replace_sectors(store: TileStore, sectors: Sequence[Sector]) -> None:
    """Put these in the place of all sectors that the store knows, at once."""
    with store.connection() as connection:
        connection.execute("DELETE FROM sectors")
        for sector in sectors:
            connection.execute(
                "INSERT INTO sectors (name, sector_class, polygon) VALUES (%s, %s, %s)",
                (sector.name, sector.sector_class, Jsonb(sector.polygon)),
            )


def read_geojson(path: Path) -> list[Sector]:
    """Read the sectors of a GeoJSON FeatureCollection, properties `name` and `class`. UserError says what to mend."""
    try:
        features = field(read_json(read_file(path, BYTES_MAX), "it", BYTES_MAX), "features", list, "it")
    except FileNotFoundError:
        raise UserError(f"{path} does not exist; give a GeoJSON file of sector polygons.") from None
    except (OSError, UntrustedError) as error:
        raise UserError(f"{path} is not a GeoJSON FeatureCollection ({error}); give one of sector polygons.") from error
    sectors = [_sector(path, number, feature) for number, feature in enumerate(features, 1)]
    names = [sector.name for sector in sectors]
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise UserError(f"{path} holds two sectors named '{shown(twice[0], 80)}'; give each its own name.")
    return sectors


def _sector(path: Path, number: int, feature: object) -> Sector:
    properties = feature.get("properties") if isinstance(feature, dict) else None
    geometry = feature.get("geometry") if isinstance(feature, dict) else None
    if not isinstance(properties, dict) or not isinstance(geometry, dict):
        raise UserError(f"{path}: feature {number} lacks properties or geometry; give it both.")
    sector_class = properties.get("class")
    if sector_class not in SECTOR_CLASSES:
        told = shown(repr(sector_class), 80)
        raise UserError(f"{path}: feature {number} has class {told}; use {' or '.join(SECTOR_CLASSES)}.")
    try:
        shape = shapely.from_geojson(json.dumps(geometry))
    except (shapely.GEOSException, ValueError, TypeError) as error:
        why = shown(error, 160)
        raise UserError(f"{path}: feature {number} has no geometry that can be read ({why}); correct it.") from error
    west, south, east, north = shape.bounds if not shape.is_empty else (0.0, 0.0, 0.0, 0.0)
    if shape.geom_type not in {"Polygon", "MultiPolygon"} or shape.is_empty or not shape.is_valid:
        raise UserError(f"{path}: feature {number} is not a valid polygon; draw its outline without crossings.")
    if min(west, -east) < -180.0 or min(south, -north) < -90.0:
        raise UserError(f"{path}: feature {number} leaves the earth; give longitude, latitude in degrees.")
    return Sector(str(properties.get("name") or f"sector {number}"), str(sector_class), geometry)
