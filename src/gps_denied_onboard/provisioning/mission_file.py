"""The mission file: what the workstation asks of `provision`, as canonical JSON."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from pathlib import Path

import orjson

from gps_denied_onboard.errors import UserError
from gps_denied_onboard.provisioning.cache_manifest import NAME
from gps_denied_onboard.tiles.coverage import squares_of
from gps_denied_onboard.tiles.grid import tile_range
from gps_denied_onboard.untrusted import UntrustedError
from gps_denied_onboard.untrusted.bounded import read_file
from gps_denied_onboard.untrusted.json import read_json

BYTES_MAX = 1024 * 1024


@dataclass(frozen=True, slots=True)
class MissionFile:
    """A mission: names, the take-off place (the flight's origin) and the box that it may fly in; degrees."""

    mission_id: str
    flight_id: str
    takeoff_latitude_deg: float
    takeoff_longitude_deg: float
    bbox_deg: tuple[float, float, float, float]
    """West, south, east, north."""

    def __post_init__(self) -> None:
        for what, name in (("mission_id", self.mission_id), ("flight_id", self.flight_id)):
            if NAME.fullmatch(name) is None:
                raise UserError(f"{what} is '{name[:80]}': use letters, digits, '.', '-' and '_', 64 at most.")
        west, south, east, north = self.bbox_deg
        numbers = (*self.bbox_deg, self.takeoff_latitude_deg, self.takeoff_longitude_deg)
        if not all(math.isfinite(v) for v in numbers) or not (
            -180.0 <= west < east <= 180.0 and -85.0 <= south < north <= 85.0
        ):
            raise UserError(f"bbox_deg {self.bbox_deg} is no box: give west, south, east, north in degrees.")
        if not (west <= self.takeoff_longitude_deg <= east and south <= self.takeoff_latitude_deg <= north):
            raise UserError(
                f"the take-off place {self.takeoff_latitude_deg}, {self.takeoff_longitude_deg} lies outside of the "
                f"mission's box {self.bbox_deg}: correct the plan."
            )

    def squares(self, zoom: int) -> list[tuple[int, int]]:
        """The squares of tiles that the box touches."""
        return squares_of(tile_range(*self.bbox_deg, zoom))

    def to_bytes(self) -> bytes:
        """The file's bytes: the same for the same mission."""
        tree = {**asdict(self), "bbox_deg": list(self.bbox_deg), "schema_version": 1}
        return orjson.dumps(tree, option=orjson.OPT_SORT_KEYS | orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE)


def read_mission(path: Path) -> MissionFile:
    """The mission of a file. UserError says what is wrong with it."""
    try:
        tree = read_json(read_file(path, BYTES_MAX), f"mission file {path}", BYTES_MAX, depth_max=4, text_max=1024)
    except UntrustedError as error:
        raise UserError(f"{error} Give the one that `build-cache` writes.") from None
    except OSError as error:
        raise UserError(f"mission file {path} cannot be read ({error.strerror}); check the path.") from None
    names = {"mission_id", "flight_id", "takeoff_latitude_deg", "takeoff_longitude_deg", "bbox_deg", "schema_version"}
    if not isinstance(tree, dict) or set(tree) != names:
        raise UserError(f"mission file {path} must hold {', '.join(sorted(names))}, nothing else.")
    if tree["schema_version"] != 1:
        raise UserError(f"mission file {path} has version {tree['schema_version']!r}, this program reads 1.")
    box = tree["bbox_deg"]
    numbers = [tree["takeoff_latitude_deg"], tree["takeoff_longitude_deg"], *(box if isinstance(box, list) else [])]
    if len(numbers) != 6 or any(type(v) not in (int, float) for v in numbers):
        raise UserError(f"mission file {path}: the take-off place and the box (four numbers) must be numbers.")
    if not isinstance(tree["mission_id"], str) or not isinstance(tree["flight_id"], str):
        raise UserError(f"mission file {path}: mission_id and flight_id must be texts.")
    latitude, longitude, west, south, east, north = map(float, numbers)
    try:
        return MissionFile(tree["mission_id"], tree["flight_id"], latitude, longitude, (west, south, east, north))
    except UserError as error:
        raise UserError(f"mission file {path}: {error}") from None
