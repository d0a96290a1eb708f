"""A flight by its id, from a real server on loopback."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from gps_denied_operator.missions.api import FlightsApi
from gps_denied_operator.missions.errors import FlightResolutionError
from gps_denied_operator.missions.route import ResolvedFlight, resolve
from gps_denied_operator.tiles.http import RetrySchedule
from gps_denied_sim.provider.faults import Faults
from gps_denied_sim.provider.serve import provider_app, running

from .plans import ROUTE

KEY = "planted-api-key-flights"
FLIGHT_ID = "5a0c3c52-9f0e-4a55-8a3b-1a1d4ac2f7aa"
QUICK = RetrySchedule(attempts=2, wait_first_s=0.01, wait_cap_s=0.02, timeout_s=5.0, body_timeout_s=5.0)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Return a provider's folder: one tile, one flight."""
    (tmp_path / "tiles/18/1").mkdir(parents=True)
    (tmp_path / "tiles/18/1/1.jpg").write_bytes(b"never read")
    (tmp_path / "flights").mkdir()
    waypoints = [{"latitude": latitude, "longitude": longitude} for latitude, longitude in ROUTE]
    flight = {"mission_id": "ridge", "waypoints": waypoints}
    (tmp_path / f"flights/{FLIGHT_ID}.json").write_text(json.dumps(flight))
    return tmp_path


def ask(folder: Path, flight_id: str, key: str = KEY, **faults: float) -> ResolvedFlight:
    app = provider_app(folder / "tiles", KEY, Faults(**faults), flights=folder / "flights")
    with running(app) as port, FlightsApi(f"http://127.0.0.1:{port}", key, None, QUICK) as api:
        return resolve(flight_id=flight_id, api=api)


def test_a_flight_is_fetched_by_its_id(folder: Path) -> None:
    """Route, mission and flight id are those of the API; the key is sent and not shown."""
    flight = ask(folder, FLIGHT_ID.upper())
    assert flight.route_deg.tolist() == [list(point) for point in ROUTE]
    assert (flight.mission_id, flight.flight_id) == ("ridge", FLIGHT_ID)
    assert "127.0.0.1" in flight.source


@pytest.mark.parametrize(
    ("flight_id", "key", "faults", "code", "said"),
    [
        ("11111111-9f0e-4a55-8a3b-1a1d4ac2f7aa", KEY, {}, 90, "knows no flight"),
        ("../keys", KEY, {}, 90, "UUID"),
        (FLIGHT_ID, "wrong", {}, 91, "refused"),
        (FLIGHT_ID, "", {}, 91, "GPS_DENIED_PROVIDER_KEY"),
        (FLIGHT_ID, KEY, {"server_error": 1.0}, 92, "again later"),
        (FLIGHT_ID, KEY, {"garbage": 1.0}, 93, "cannot be read"),
    ],
)
def test_each_failure_has_its_code(
    folder: Path, flight_id: str, key: str, faults: dict[str, float], code: int, said: str
) -> None:
    """Unknown flights, refused keys, broken servers and broken answers are told apart."""
    with pytest.raises(FlightResolutionError, match=said) as caught:
        ask(folder, flight_id, key, **faults)
    assert caught.value.exit_code == code


def test_no_server_is_a_network_failure() -> None:
    """An address where nobody answers is code 92."""
    with FlightsApi("http://127.0.0.1:9", KEY, None, QUICK) as api, pytest.raises(FlightResolutionError) as caught:
        resolve(flight_id=FLIGHT_ID, api=api)
    assert caught.value.exit_code == 92
