"""The provider's API as an ASGI application."""

from __future__ import annotations

import json
import uuid
from collections.abc import Mapping
from typing import Any

from starlette.applications import Starlette
from starlette.datastructures import UploadFile
from starlette.exceptions import HTTPException
from starlette.formparsers import MultiPartException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from gps_denied_sim.provider.catalogue import Catalogue
from gps_denied_sim.provider.faults import App, Receive, Scope, Send
from gps_denied_sim.provider.flights import Json
from gps_denied_sim.provider.heights import ProviderHeights
from gps_denied_sim.provider.ingest import BYTES_MAX, FIELDS, Ingest, key_bytes
from gps_denied_sim.provider.openapi import DESCRIPTION

KEY_HEADER = "x-api-key"
INVENTORY_MAX = 5000
INVENTORY_BYTES_MAX = 2_000_000
PAGE_TILES = 1000
BATCH_MAX = 100
ZOOM_MAX = 24


class Provider:
    """All routes over one catalogue, one ingest, the planned flights by id and heights, if any. `api_key` empty: nobody
    is asked."""

    def __init__(
        self, catalogue: Catalogue, ingest: Ingest, api_key: str, flights: Mapping[str, Json],
        heights: ProviderHeights | None = None,
    ) -> None:  # fmt: skip
        self._catalogue, self.ingest, self._api_key, self._flights = catalogue, ingest, api_key, flights
        self._heights = heights
        self._app = Starlette(
            routes=[
                Route("/openapi.json", self._openapi),
                Route("/api/satellite/tiles/inventory", self._inventory, methods=["POST"]),
                Route("/api/satellite/tiles", self._listing, methods=["GET"]),
                Route("/api/satellite/tiles/ingest", self._take, methods=["POST"]),
                Route("/api/satellite/flights/{flight_id}/keys", self._key, methods=["POST"]),
                Route("/api/flights/{flight_id}", self._flight, methods=["GET"]),
                Route("/tiles/{zoom}/{x}/{y}", self._no_tile, methods=["GET"]),
                Route("/api/heights", self._describe_heights, methods=["GET"]),
                Route("/heights/{zoom}/{x}/{y}", self._height_tile, methods=["GET"]),
            ],
            exception_handlers={HTTPException: _refusal},
        )

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve tiles at once, everything else through the routes."""
        if scope["type"] == "http" and scope["path"] != "/openapi.json":
            status = self._stranger(scope)
            if status:
                answer = JSONResponse({"error": "API key missing" if status == 401 else "API key refused"}, status)
                await answer(scope, receive, send)
                return
            if scope["method"] == "GET" and scope["path"].startswith("/tiles/"):
                await self._tile(scope, receive, send)
                return
        app: App = self._app
        await app(scope, receive, send)

    def _stranger(self, scope: Scope) -> int:
        """Return 401 without a key, 403 with a wrong one, else 0."""
        if not self._api_key:
            return 0
        given = [value.decode("latin-1") for name, value in scope["headers"] if name == KEY_HEADER.encode()]
        return 401 if not given else 0 if given[0] == self._api_key else 403

    async def _tile(self, scope: Scope, receive: Receive, send: Send) -> None:
        parts = scope["path"].split("/")[2:]
        data = None
        if len(parts) == 3 and all(part.isascii() and part.isdigit() and len(part) < 10 for part in parts):
            data = self._catalogue.read((int(parts[0]), int(parts[1]), int(parts[2])))
        if data is None:
            await JSONResponse({"error": "no such tile"}, 404)(scope, receive, send)
            return
        headers = [(b"content-type", b"image/jpeg"), (b"content-length", str(len(data)).encode())]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": data})

    async def _no_tile(self, _request: Request) -> Response:
        return JSONResponse({"error": "no such tile"}, 404)

    async def _describe_heights(self, _request: Request) -> Response:
        if self._heights is None:
            raise HTTPException(404, "no heights here")
        return JSONResponse(self._heights.description())

    async def _height_tile(self, request: Request) -> Response:
        parts = [request.path_params[name] for name in ("zoom", "x", "y")]
        data = None
        if self._heights is not None and all(p.isascii() and p.isdigit() and len(p) < 10 for p in parts):
            data = self._heights.tile(*map(int, parts))
        if data is None:
            raise HTTPException(404, "no heights there")
        return Response(data, media_type="image/png")

    async def _openapi(self, _request: Request) -> Response:
        return JSONResponse(DESCRIPTION)

    async def _inventory(self, request: Request) -> Response:
        body = await _json_body(request)
        entries = body.get("tiles") if isinstance(body, dict) else None
        if not isinstance(entries, list) or len(entries) > INVENTORY_MAX:
            raise HTTPException(422, f"tiles must be a list of at most {INVENTORY_MAX}")
        found = []
        for entry in entries:
            offered = self._catalogue.offered(_place(entry))
            if offered is not None:
                found.append(offered.as_json())
        return JSONResponse({"tiles": found})

    async def _listing(self, request: Request) -> Response:
        query = request.query_params
        try:
            west, south, east, north = (float(part) for part in query["bbox"].split(","))
            zoom, start = int(query["zoom"]), int(query.get("cursor", "0"))
            if not (-180 <= west <= east <= 180 and -90 <= south <= north <= 90 and 0 <= zoom <= ZOOM_MAX):
                raise ValueError("the box or the zoom is not on the map")
            if not 0 <= start < 1 << 40:
                raise ValueError("no such page")
        except (KeyError, ValueError) as error:
            raise HTTPException(422, f"bbox=west,south,east,north, zoom and cursor: {error}") from error
        places = self._catalogue.inside((west, south, east, north), zoom)
        page = [self._catalogue.offered(place) for place in places[start : start + PAGE_TILES]]
        more = str(start + PAGE_TILES) if start + PAGE_TILES < len(places) else None
        return JSONResponse({"tiles": [tile.as_json() for tile in page if tile], "next": more})

    async def _key(self, request: Request) -> Response:
        try:
            flight_id = str(uuid.UUID(request.path_params["flight_id"]))
            fingerprint = self.ingest.register(flight_id, key_bytes(await _json_body(request)))
        except ValueError as error:
            raise HTTPException(422, str(error)) from error
        return JSONResponse({"fingerprint": fingerprint}, 201)

    async def _flight(self, request: Request) -> Response:
        try:
            flight_id = str(uuid.UUID(request.path_params["flight_id"]))
        except ValueError as error:
            raise HTTPException(422, "a flight's id is a UUID") from error
        if flight_id not in self._flights:
            raise HTTPException(404, "no such flight")
        return JSONResponse(self._flights[flight_id])

    async def _take(self, request: Request) -> Response:
        if not request.headers.get("content-type", "").startswith("multipart/form-data"):
            raise HTTPException(422, "give multipart/form-data")
        try:
            form = await request.form(max_files=BATCH_MAX, max_fields=BATCH_MAX * 12, max_part_size=BYTES_MAX + 1)
        except (MultiPartException, HTTPException, UnicodeDecodeError, ValueError) as error:
            raise HTTPException(422, f"not a form that can be read: {error}") from error
        blobs = form.getlist("tile_blob")
        columns = {name: form.getlist(name) for name in (*FIELDS, "signature")}
        texts = all(isinstance(value, str) for values in columns.values() for value in values)
        if not blobs or not texts or any(len(values) != len(blobs) for values in columns.values()):
            raise HTTPException(422, "each tile needs tile_blob, signature and all of its fields once")
        answers = []
        for number, blob in enumerate(blobs):
            content = await blob.read() if isinstance(blob, UploadFile) else blob.encode()
            fields = {name: str(columns[name][number]) for name in FIELDS}
            verdict = self.ingest.judge(fields, content, str(columns["signature"][number]))
            answers.append({"index": number, "status": verdict.status, "reason": verdict.reason})
        return JSONResponse({"batch_id": str(uuid.uuid4()), "tiles": answers}, 202)


def _place(entry: Any) -> tuple[int, int, int]:
    zoom, x, y = (entry.get(name) if isinstance(entry, dict) else None for name in ("zoom", "x", "y"))
    if not (type(zoom) is int and type(x) is int and type(y) is int):
        raise HTTPException(422, "each tile needs whole numbers zoom, x, y")
    if not (0 <= zoom <= ZOOM_MAX and min(x, y) >= 0 and max(x, y) < 1 << ZOOM_MAX):
        raise HTTPException(422, "no such place")
    return zoom, x, y


async def _json_body(request: Request) -> Any:
    data = await request.body()
    if len(data) > INVENTORY_BYTES_MAX:
        raise HTTPException(413, "too much")
    try:
        return json.loads(data)
    except (ValueError, RecursionError) as error:
        raise HTTPException(422, "not JSON") from error


async def _refusal(_request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    return JSONResponse({"error": error.detail}, error.status_code, headers=error.headers)
