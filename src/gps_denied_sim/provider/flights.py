"""The provider's planned flights: a folder of `<flight id>.json`, each as `GET /api/flights/<flight id>` answers it."""

from __future__ import annotations

import json
import uuid
from pathlib import Path
from typing import Any

from gps_denied_onboard.errors import UserError

Json = dict[str, Any]


def load_flights(folder: Path | None) -> dict[str, Json]:
    """Return the flights of a folder by id, none without a folder. UserError names the file that is no flight."""
    flights: dict[str, Json] = {}
    for path in sorted(folder.glob("*.json")) if folder is not None else []:
        try:
            flight = json.loads(path.read_text(encoding="utf-8"))
            flight_id = str(uuid.UUID(path.stem))
            places = [(float(point["latitude"]), float(point["longitude"])) for point in flight["waypoints"]]
        except (OSError, ValueError, TypeError, KeyError) as error:
            raise UserError(
                f"{path} is no flight ({error}); name it <UUID>.json and give it mission_id and waypoints, each with "
                "latitude and longitude in degrees."
            ) from error
        waypoints = [{"latitude": latitude, "longitude": longitude} for latitude, longitude in places]
        mission_id = str(flight.get("mission_id", ""))
        flights[flight_id] = {"flight_id": flight_id, "mission_id": mission_id, "waypoints": waypoints}
    return flights
