"""The provider keeps to its own description, whatever is sent to it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import cv2
import httpx
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from gps_denied_onboard.geometry.terrain import TerrainGrid
from gps_denied_onboard.tiles.terrain_file import write_terrain
from gps_denied_sim.provider.faults import Faults, FaultyApp
from gps_denied_sim.provider.openapi import DESCRIPTION
from gps_denied_sim.provider.serve import provider_app, running

KEY = "planted-api-key-of-the-fuzz-test"


def make_app(folder: Path) -> FaultyApp:
    for x in range(3):
        (folder / "3" / str(x)).mkdir(parents=True)
        for y in range(3):
            picture = np.random.default_rng(x * 3 + y).integers(0, 256, (256, 256), dtype=np.uint8)
            (folder / "3" / str(x) / f"{y}.jpg").write_bytes(cv2.imencode(".jpg", picture)[1].tobytes())
    write_terrain(folder / "a.grid", TerrainGrid(70.0, -179.0, 0.1, 0.1, np.full((90, 90), 300.0, dtype="<f4"), 9.0))
    return provider_app(folder, KEY, Faults(), heights=folder / "a.grid")


@pytest.fixture
def client(tmp_path: Path) -> Iterator[httpx.Client]:
    address = {"headers": {"X-API-Key": KEY}, "trust_env": False}
    with running(make_app(tmp_path)) as port, httpx.Client(base_url=f"http://127.0.0.1:{port}", **address) as client:
        yield client


OPERATIONS = [(path, method) for path, methods in DESCRIPTION["paths"].items() for method in methods]


@pytest.mark.slow
@pytest.mark.parametrize(("path", "method"), OPERATIONS)
def test_every_operation_keeps_to_the_description(tmp_path: Path, path: str, method: str) -> None:
    """Drawn requests, good and bad, get an answer that the description names, never a server error."""
    import schemathesis  # here: it takes seconds
    from schemathesis.checks import not_a_server_error
    from schemathesis.specs.openapi import checks

    wanted = [checks.status_code_conformance, checks.response_schema_conformance, checks.content_type_conformance]
    schema = schemathesis.openapi.from_asgi("/openapi.json", make_app(tmp_path))
    mode = [schemathesis.GenerationMode.POSITIVE, schemathesis.GenerationMode.NEGATIVE]
    operation = schema[path][method.upper()]
    seen = []

    @settings(max_examples=20, deadline=None, derandomize=True, database=None, suppress_health_check=list(HealthCheck))
    @given(case=st.one_of([operation.as_strategy(generation_mode=each) for each in mode]))
    def send(case: Any) -> None:
        response = case.call(headers={"X-API-Key": KEY})
        case.validate_response(response, checks=[not_a_server_error, *wanted])
        seen.append(response.status_code)

    send()
    assert len(seen) >= 10


@pytest.mark.parametrize("body", [b"", b"\xff", b"[" * 100_000, b'{"tiles": 3}', b'{"tiles": [{"zoom": true}]}',
                                  json.dumps({"tiles": [{"zoom": 3, "x": 0, "y": 0}] * 5001}).encode(),
                                  b'{"tiles": [{"zoom": 3, "x": -1, "y": 0}]}'])  # fmt: skip
def test_bad_inventories_are_refused(client: httpx.Client, body: bytes) -> None:
    """Anything but at most 5,000 places is a 422."""
    assert client.post("/api/satellite/tiles/inventory", content=body).status_code == 422


def test_without_the_key_nothing_is_told(client: httpx.Client) -> None:
    """No key is 401, a wrong one 403, on every path of the description; a key's own value is in no answer."""
    del client.headers["X-API-Key"]
    for path, methods in DESCRIPTION["paths"].items():
        for method in methods:
            assert client.request(method, path).status_code == 401
            refused = client.request(method, path, headers={"X-API-Key": "guess"})
            assert (refused.status_code, KEY in refused.text) == (403, False)


def test_paths_that_lead_out_lead_nowhere(client: httpx.Client, tmp_path: Path) -> None:
    """No spelling of a tile's path reaches a file outside of the tiles."""
    (tmp_path / "secret.jpg").write_bytes(b"secret")
    for path in ("3/..%2fsecret/0", "3/../secret", "%2e%2e/3/0", "3/0/0.jpg", "3/0/-1", "3/0/99999999999999", "3/²/0"):
        assert client.get(f"/tiles/{path}").status_code == 404
        assert client.get(f"/heights/{path}").status_code == 404
    assert client.get("/tiles/3/0/0").status_code == 200
    assert client.get("/heights/8/1/50").status_code == 200


def test_listing_pages_through_a_box(client: httpx.Client) -> None:
    """A box gives its tiles with digest and size; outside of it there are none."""
    found = client.get("/api/satellite/tiles", params={"bbox": "-179,70,-140,80", "zoom": "3"}).json()
    assert [(tile["x"], tile["y"]) for tile in found["tiles"]] == [(0, 0), (0, 1)]
    assert found["next"] is None
