"""The provider's API in OpenAPI's words; served as /openapi.json."""

from __future__ import annotations

from typing import Any

WHOLE: dict[str, Any] = {"type": "integer", "minimum": 0, "maximum": (1 << 24) - 1}
ZOOM: dict[str, Any] = {"type": "integer", "minimum": 0, "maximum": 24}
PLACE = {"zoom": ZOOM, "x": WHOLE, "y": WHOLE}
TILE = {
    "type": "object",
    "required": ["zoom", "x", "y", "captured_at", "ground_resolution_m_px", "sha256", "bytes"],
    "properties": {
        **PLACE,
        "captured_at": {"type": ["string", "null"]},
        "ground_resolution_m_px": {"type": "number"},
        "sha256": {"type": "string", "pattern": "^[0-9a-f]{64}$"},
        "bytes": {"type": "integer"},
    },
}
ERROR = {"type": "object", "required": ["error"], "properties": {"error": {"type": "string"}}}
VERDICT = {
    "type": "object",
    "required": ["index", "status", "reason"],
    "properties": {
        "index": {"type": "integer"},
        "status": {"enum": ["queued", "rejected", "duplicate", "superseded"]},
        "reason": {"type": "string"},
    },
}
TEXT = {"type": "string", "minLength": 1}


def answers(good: int, schema: dict[str, Any] | None, *refusals: int, picture: str = "image/jpeg") -> dict[str, Any]:
    """Return the responses of an operation: one that is wanted, and refusals."""
    content = {"application/json": {"schema": schema}} if schema else {picture: {}}
    refused = {str(code): {"description": "refused", "content": {"application/json": {"schema": ERROR}}}
               for code in (401, 403, *refusals)}  # fmt: skip
    return {str(good): {"description": "done", "content": content}, **refused}


def listed(schema: dict[str, Any], most: int | None = None) -> dict[str, Any]:
    return {"type": "array", "items": schema} | ({"maxItems": most} if most else {})


def parameter(name: str, where: str, schema: dict[str, Any], *, required: bool = True) -> dict[str, Any]:
    return {"name": name, "in": where, "required": required, "schema": schema}


def body(kind: str, properties: dict[str, Any], required: list[str]) -> dict[str, Any]:
    schema = {"type": "object", "required": required, "properties": properties}
    return {"required": True, "content": {kind: {"schema": schema}}}


ENTRY = {"type": "object", "required": ["zoom", "x", "y"], "properties": PLACE}
NUMBER = {"type": "number"}
FLIGHT = {
    "type": "object",
    "required": ["flight_id", "mission_id", "waypoints"],
    "properties": {
        "flight_id": {"type": "string", "format": "uuid"},
        "mission_id": {"type": "string"},
        "waypoints": {
            "type": "array",
            "items": {"type": "object", "required": ["latitude", "longitude"],
                      "properties": {"latitude": NUMBER, "longitude": NUMBER}},
        },
    },
}  # fmt: skip
HEIGHTS = {
    "type": "object",
    "required": ["encoding", "datum", "sigma_m", "zoom_min", "zoom_max", "version"],
    "properties": {
        "encoding": {"enum": ["terrarium", "mapbox"]}, "datum": {"enum": ["egm96", "egm2008", "ellipsoid"]},
        "sigma_m": NUMBER, "zoom_min": ZOOM, "zoom_max": ZOOM, "version": {"type": "string"},
    },
}  # fmt: skip
INGEST_TEXTS = (
    "zoomLevel", "latitude", "longitude", "tile_size_meters", "tile_size_pixels", "capture_timestamp", "flight_id",
    "companion_id", "quality_metadata", "signature",
)  # fmt: skip
DESCRIPTION: dict[str, Any] = {
    "openapi": "3.1.0",
    "info": {"title": "Satellite tile provider", "version": "1"},
    "components": {"securitySchemes": {"key": {"type": "apiKey", "in": "header", "name": "X-API-Key"}}},
    "security": [{"key": []}],
    "paths": {
        "/tiles/{zoom}/{x}/{y}": {
            "get": {
                "parameters": [parameter("zoom", "path", ZOOM), parameter("x", "path", WHOLE),
                               parameter("y", "path", WHOLE)],
                "responses": answers(200, None, 404),
            }
        },
        "/api/heights": {"get": {"responses": answers(200, HEIGHTS, 404)}},
        "/heights/{zoom}/{x}/{y}": {
            "get": {
                "parameters": [parameter("zoom", "path", ZOOM), parameter("x", "path", WHOLE),
                               parameter("y", "path", WHOLE)],
                "responses": answers(200, None, 404, picture="image/png"),
            }
        },
        "/api/satellite/tiles/inventory": {
            "post": {
                "requestBody": body("application/json", {"tiles": listed(ENTRY, 5000)}, ["tiles"]),
                "responses": answers(200, {"type": "object", "required": ["tiles"],
                                           "properties": {"tiles": listed(TILE)}}, 413, 422),
            }
        },
        "/api/satellite/tiles": {
            "get": {
                "parameters": [parameter("bbox", "query", TEXT), parameter("zoom", "query", ZOOM),
                               parameter("cursor", "query", {"type": "string", "pattern": "^[0-9]{1,9}$"},
                                         required=False)],
                "responses": answers(200, {"type": "object", "required": ["tiles", "next"],
                                           "properties": {"tiles": listed(TILE),
                                                          "next": {"type": ["string", "null"]}}}, 422),
            }
        },
        "/api/satellite/tiles/ingest": {
            "post": {
                "requestBody": body("multipart/form-data",
                                    {"tile_blob": {"type": "string", "format": "binary"}}
                                    | dict.fromkeys(INGEST_TEXTS, TEXT), ["tile_blob", *INGEST_TEXTS]),
                "responses": answers(202, {"type": "object", "required": ["batch_id", "tiles"],
                                           "properties": {"batch_id": {"type": "string", "format": "uuid"},
                                                          "tiles": listed(VERDICT)}}, 422),
            }
        },
        "/api/flights/{flight_id}": {
            "get": {
                "parameters": [parameter("flight_id", "path", {"type": "string", "format": "uuid"})],
                "responses": answers(200, FLIGHT, 404, 422),
            }
        },
        "/api/satellite/flights/{flight_id}/keys": {
            "post": {
                "parameters": [parameter("flight_id", "path", {"type": "string", "format": "uuid"})],
                "requestBody": body("application/json", {"public_key": TEXT}, ["public_key"]),
                "responses": answers(201, {"type": "object", "required": ["fingerprint"],
                                           "properties": {"fingerprint": {"type": "string"}}}, 404, 413, 422),
            }
        },
    },
}  # fmt: skip
