"""`tiles serve`: the store in a browser, and as XYZ tiles of all zooms for a ground station. Loopback, reading only."""

from __future__ import annotations

from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.middleware import Middleware
from starlette.middleware.trustedhost import TrustedHostMiddleware
from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, Response
from starlette.routing import Route

from gps_denied_onboard.tiles.records import TileRecord
from gps_denied_onboard.tiles.store import TileStore
from gps_denied_operator.tiles.overview import overview
from gps_denied_operator.tiles.preview_page import preview_page
from gps_denied_operator.tiles.pyramid import Pyramid

TILES_MAX = 20_000
HEADERS = {
    "content-security-policy": "default-src 'self'; img-src 'self' data:; "
    "style-src 'unsafe-inline'; script-src 'unsafe-inline'",
    "x-content-type-options": "nosniff",
    "cache-control": "no-store",
}


class Preview:
    """The application over one store."""

    def __init__(self, store: TileStore) -> None:
        self._store = store
        self._pyramid = Pyramid(store)
        # Another site's page must not read the map through a name of its own that leads here. Names below localhost
        # belong to nobody else (RFC 6761); the newest QGroundControl asks under no other name of this machine.
        hosts = Middleware(TrustedHostMiddleware, allowed_hosts=["127.0.0.1", "localhost", "*.localhost"])
        self.app = Starlette(
            routes=[
                Route("/", self._page),
                Route("/api/overview", self._overview),
                Route("/api/tiles", self._tiles),
                Route("/tiles/{source}/{zoom:int}/{x:int}/{y:int}.jpg", self._tile),
            ],
            middleware=[hosts],
        )

    async def _page(self, _request: Request) -> Response:
        return HTMLResponse(preview_page(), headers=HEADERS)

    async def _overview(self, _request: Request) -> Response:
        return JSONResponse(await run_in_threadpool(overview, self._store), headers=HEADERS)

    async def _tiles(self, request: Request) -> Response:
        query = request.query_params
        try:
            zoom, *box = (int(query[name]) for name in ("zoom", "x0", "y0", "x1", "y1"))
            source = query["source"]
        except (KeyError, ValueError):
            return JSONResponse({"error": "give source, zoom, x0, y0, x1, y1"}, 422)
        if not all(-(1 << 30) < value < 1 << 30 for value in box) or not 0 <= zoom <= 24:
            return JSONResponse({"error": "no such box"}, 422)
        found = await run_in_threadpool(self._store.query_tiles, source, zoom, box[0], box[1], box[2], box[3])
        tiles = [[record.key.x, record.key.y, record.freshness, _day(record)] for record in found[:TILES_MAX]]
        return JSONResponse({"tiles": tiles, "all": len(found) <= TILES_MAX}, headers=HEADERS)

    async def _tile(self, request: Request) -> Response:
        place = request.path_params
        data = await run_in_threadpool(self._pyramid.tile, place["source"], place["zoom"], place["x"], place["y"])
        if data is None:
            return JSONResponse({"error": "no such tile"}, 404)
        return Response(data, media_type="image/jpeg", headers=HEADERS)


def _day(record: TileRecord) -> str | None:
    """The day on which a tile's picture was taken."""
    return record.captured_at.date().isoformat() if record.captured_at else None
