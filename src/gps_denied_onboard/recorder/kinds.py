"""The one table of record kinds: name, message class, JSON schema, and how a payload becomes a message again."""

from __future__ import annotations

import dataclasses
import math
import operator
import typing
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import orjson

from gps_denied_onboard.messages import (
    AirspeedSample,
    AttitudeSample,
    BaroSample,
    GpsSample,
    ImuSample,
    Quaternion,
    RangefinderSample,
    RelocHint,
    TakeoffOrigin,
    TruthSample,
    Vector3,
)

SCHEMA_VERSION = 1
MAX_T_NS = 2**63 - 1


@dataclass(frozen=True, slots=True)
class FrameRecord:
    """That a picture was taken; the picture itself is the file `name` in the recording's folder of frames."""

    t_ns: int
    index: int
    name: str


Record = (
    ImuSample
    | AttitudeSample
    | AirspeedSample
    | BaroSample
    | RangefinderSample
    | GpsSample
    | TakeoffOrigin
    | RelocHint
    | FrameRecord
    | TruthSample
)

RECORD_CLASSES: dict[str, type[Record]] = {
    "imu": ImuSample,
    "attitude": AttitudeSample,
    "airspeed": AirspeedSample,
    "baro": BaroSample,
    "rangefinder": RangefinderSample,
    "gps": GpsSample,
    "takeoff_origin": TakeoffOrigin,
    "reloc_hint": RelocHint,
    "frame": FrameRecord,
    "truth": TruthSample,
}
TELEMETRY_KINDS = tuple(name for name in RECORD_CLASSES if name not in ("frame", "truth"))

LOCATION_FIX_NAME = "foxglove.LocationFix"
LOCATION_FIX_SCHEMA = orjson.dumps(
    {
        "title": LOCATION_FIX_NAME,
        "type": "object",
        "properties": {
            "timestamp": {
                "type": "object",
                "title": "time",
                "properties": {"sec": {"type": "integer"}, "nsec": {"type": "integer"}},
            },
            "frame_id": {"type": "string"},
            "latitude": {"type": "number"},
            "longitude": {"type": "number"},
            "altitude": {"type": "number"},
            "position_covariance": {"type": "array", "items": {"type": "number"}, "minItems": 9, "maxItems": 9},
            "position_covariance_type": {"title": "foxglove.PositionCovarianceType", "type": "integer"},
        },
    }
)


class MalformedRecordError(ValueError):
    """A record's payload does not hold what its kind promises."""


def _number(value: Any) -> float:
    if type(value) is not float and type(value) is not int:
        raise MalformedRecordError(f"{value!r} is not a number")
    if not math.isfinite(value):
        raise MalformedRecordError(f"{value!r} is not finite")
    return float(value)


def _integer(value: Any) -> int:
    if type(value) is not int:
        raise MalformedRecordError(f"{value!r} is not an integer")
    return value


def _text(value: Any) -> str:
    if type(value) is not str:
        raise MalformedRecordError(f"{value!r} is not a text")
    return value


def _vector3(value: Any) -> Vector3:
    if type(value) is not list or len(value) != 3:
        raise MalformedRecordError(f"{value!r} is not a list of 3 numbers")
    return (_number(value[0]), _number(value[1]), _number(value[2]))


def _quaternion(value: Any) -> Quaternion:
    if type(value) is not list or len(value) != 4:
        raise MalformedRecordError(f"{value!r} is not a list of 4 numbers")
    return (_number(value[0]), _number(value[1]), _number(value[2]), _number(value[3]))


def _optional_vector3(value: Any) -> Vector3 | None:
    return None if value is None else _vector3(value)


def _list_schema(length: int) -> dict[str, Any]:
    return {"type": "array", "items": {"type": "number"}, "minItems": length, "maxItems": length}


# Annotation -> (reads the JSON value or raises MalformedRecordError, its JSON schema).
_FIELD_TYPES: dict[Any, tuple[Callable[[Any], Any], dict[str, Any]]] = {
    float: (_number, {"type": "number"}),
    int: (_integer, {"type": "integer"}),
    str: (_text, {"type": "string"}),
    Vector3: (_vector3, _list_schema(3)),
    Quaternion: (_quaternion, _list_schema(4)),
    Vector3 | None: (_optional_vector3, {"anyOf": [_list_schema(3), {"type": "null"}]}),
}


class Kind:
    """How one kind is written and read. The envelope carries `t_ns`; the payload all other fields under their names."""

    def __init__(self, name: str, message_class: type[Record]) -> None:
        hints = typing.get_type_hints(message_class)
        fields = [field for field in dataclasses.fields(message_class) if field.name != "t_ns"]
        self.name = name
        self.message_class = message_class
        self._names = tuple(field.name for field in fields)
        self._get = operator.attrgetter(*self._names)
        self._readers = tuple((field.name, _FIELD_TYPES[hints[field.name]][0]) for field in fields)
        self._defaults = {f.name: f.default for f in fields if f.default is not dataclasses.MISSING}
        self.schema = self._json_schema({name: _FIELD_TYPES[hints[name]][1] for name in self._names})

    def payload(self, message: Record) -> dict[str, Any]:
        """The payload of a message of this kind."""
        values = self._get(message)
        return dict(zip(self._names, values if len(self._names) > 1 else (values,), strict=True))

    def message(self, t_ns: int, payload: Mapping[str, Any]) -> Record:
        """The message of a payload; keys that the kind does not know are ignored. Raises MalformedRecordError."""
        try:
            values = [
                read(payload[name]) if name in payload or name not in self._defaults else self._defaults[name]
                for name, read in self._readers
            ]
        except (KeyError, TypeError) as error:
            raise MalformedRecordError(f"{self.name}: no {error}") from error
        return self.message_class(t_ns, *values)

    def _json_schema(self, properties: dict[str, Any]) -> bytes:
        required = [name for name in self._names if name not in self._defaults]
        return orjson.dumps(
            {
                "title": f"gps_denied.{self.name}",
                "type": "object",
                "properties": {
                    "schema_version": {"type": "integer"},
                    "kind": {"const": self.name},
                    "t_ns": {"type": "integer"},
                    "producer": {"type": "string"},
                    "payload": {"type": "object", "properties": properties, "required": required},
                },
                "required": ["schema_version", "kind", "t_ns", "producer", "payload"],
            }
        )


KINDS: dict[str, Kind] = {name: Kind(name, message_class) for name, message_class in RECORD_CLASSES.items()}
KIND_OF_CLASS: dict[type[Record], Kind] = {kind.message_class: kind for kind in KINDS.values()}
