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
from gps_denied_onboard.untrusted.json import of_kind, read_json

BYTES_MAX = 4 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class MissionFile:
    """A mission: names, the take-off place (the flight's origin) and the box that it may fly in; degrees."""

    mission_id: str
    flight_id: str
    takeoff_latitude_deg: float
    takeoff_longitude_deg: float
    bbox_deg: tuple[float, float, float, float]
    """West, south, east, north."""
    paths_deg: tuple[tuple[tuple[float, float], ...], ...] = ()
    """The planned paths, latitude and longitude of each point; () where only the box is known."""

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
        if not self.paths_deg:
            del tree["paths_deg"]
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
    if not isinstance(tree, dict) or set(tree) - {"paths_deg"} != names:
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
        paths = read_paths(tree.get("paths_deg", []))
        box_deg = (west, south, east, north)
        return MissionFile(tree["mission_id"], tree["flight_id"], latitude, longitude, box_deg, paths)
    except UserError as error:
        raise UserError(f"mission file {path}: {error}") from None


def read_paths(tree: object) -> tuple[tuple[tuple[float, float], ...], ...]:
    """Paths of a parsed JSON list of lists of [latitude, longitude]. UserError where it is something else."""
    try:
        paths = tuple(
            tuple((of_kind(a, float, "a latitude"), of_kind(b, float, "a longitude")) for a, b in path)
            for path in of_kind(tree, list, "the paths")
        )
    except (TypeError, ValueError, UntrustedError):
        raise UserError("paths_deg must be lists of pairs of degrees: run `build-cache` again.") from None
    if not all(abs(a) <= 90.0 and abs(b) <= 180.0 for path in paths for a, b in path):
        raise UserError("paths_deg holds what is no latitude and longitude: correct the plan.")
    return paths
