"""The flights API: a flight and its route by id. `GET /api/flights/{flight_id}` answers

{"flight_id": UUID, "mission_id": text, "waypoints": [{"latitude": degrees, "longitude": degrees}, ...]}
"""

from __future__ import annotations

import uuid
from dataclasses import dataclass
from pathlib import Path

from gps_denied_onboard.errors import UserError
from gps_denied_onboard.untrusted import UntrustedError
from gps_denied_onboard.untrusted.json import field, in_range, read_json
from gps_denied_onboard.untrusted.text import shown
from gps_denied_operator.missions.errors import (
    FlightAccessError,
    FlightMalformedError,
    FlightNetworkError,
    FlightNotFoundError,
)
from gps_denied_operator.missions.plan_content import Points
from gps_denied_operator.missions.plan_files import FILE_BYTES_MAX
from gps_denied_operator.tiles.feeds import API_KEY_HEADER
from gps_denied_operator.tiles.http import (
    HttpClient,
    ProviderKeyRefusedError,
    ProviderRefusedError,
    ProviderUnavailableError,
    RetrySchedule,
)


@dataclass(frozen=True, slots=True)
class ApiFlight:
    """A flight as the API tells it; `route_deg` are (latitude, longitude)."""

    flight_id: str
    mission_id: str
    route_deg: Points
    source: str


class FlightsApi:
    """One server. Close it, or use it as a context manager."""

    def __init__(self, url: str, api_key: str, ca_file: Path | None, schedule: RetrySchedule) -> None:
        """Check the address; UserError where it is none."""
        self._http = HttpClient(url, {API_KEY_HEADER: api_key} if api_key else {}, ca_file, schedule, connections=1)

    def close(self) -> None:
        self._http.close()

    def __enter__(self) -> FlightsApi:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def flight(self, flight_id: str) -> ApiFlight:
        """Ask for a flight. FlightResolutionError, by its class, says why there is none."""
        try:
            wanted = str(uuid.UUID(flight_id))
        except ValueError:
            raise FlightNotFoundError(f"'{flight_id[:60]}' is not a flight's id: give the UUID that it has.") from None
        try:
            body = self._http.get(f"/api/flights/{wanted}", FILE_BYTES_MAX)
        except ProviderKeyRefusedError as error:
            raise FlightAccessError(str(error)) from error
        except (ProviderRefusedError, ProviderUnavailableError) as error:
            raise FlightNetworkError(str(error)) from error
        except UserError as error:
            raise FlightMalformedError(str(error)) from error
        if body is None:
            raise FlightNotFoundError(f"{self._http.shown} knows no flight {wanted}; check the id, or plan it there.")
        return _read(body, wanted, self._http.shown)


def _read(body: bytes, wanted: str, source: str) -> ApiFlight:
    broken = f"The answer of {source} about flight {wanted}"
    try:
        answer = read_json(body, "it", FILE_BYTES_MAX)
        told = str(uuid.UUID(field(answer, "flight_id", str, "it")))
        mission_id = field(answer, "mission_id", str, "it")
        points = field(answer, "waypoints", list, "it")
        route = [
            (in_range(field(point, "latitude", float, "a waypoint"), -90.0, 90.0, "a latitude"),
             in_range(field(point, "longitude", float, "a waypoint"), -180.0, 180.0, "a longitude"))
            for point in points
        ]  # fmt: skip
    except (UntrustedError, ValueError) as error:
        why = f"{broken} cannot be read ({shown(error, 160)}); report it to its operator."
        raise FlightMalformedError(why) from error
    if told != wanted:
        raise FlightMalformedError(f"{broken} is about {told}; report it to its operator.")
    return ApiFlight(told, mission_id, route, f"{source} flight {wanted}")
