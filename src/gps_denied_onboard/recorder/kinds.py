"""The one table of record kinds: name, message class, JSON schema, and how a payload becomes a message again."""

from __future__ import annotations

import dataclasses
import math
import operator
import types
import typing
from collections.abc import Callable, Mapping
from enum import IntEnum, StrEnum
from typing import Any

import numpy as np
import orjson

from gps_denied_onboard.messages import (
    AidRecord,
    AidSource,
    AirspeedSample,
    Alert,
    AttitudeSample,
    BaroSample,
    FloatArray,
    GpsSample,
    ImuSample,
    InferenceRecord,
    NavState,
    PoseFix,
    Quaternion,
    RangefinderSample,
    RelocHint,
    TakeoffOrigin,
    ThermalSample,
    TruthSample,
    Vector3,
)
from gps_denied_onboard.recorder import records
from gps_denied_onboard.recorder.records import FrameRecord as FrameRecord

SCHEMA_VERSION = 1
MAX_T_NS = 2**63 - 1


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
FLIGHT_CLASSES: dict[str, type[Any]] = {
    "header": records.HeaderRecord,
    "footer": records.FooterRecord,
    "overrun": records.OverrunRecord,
    "segment_rollover": records.SegmentRolloverRecord,
    "log": records.LogRecord,
    "clock": records.ClockRecord,
    "moved": records.MovedRecord,
    "job_taken": records.JobTakenRecord,
    "fix": PoseFix,
    "tick": records.TickRecord,
    "navstate": NavState,
    "aid": AidRecord,
    "spoofing_gate": AidRecord,
    "alert": Alert,
    "change": records.ChangeRecord,
    "thermal": ThermalSample,
    "inference": InferenceRecord,
    "thumbnail": records.ThumbnailRecord,
    "autopilot_out": records.AutopilotOutRecord,
    "status": records.StatusRecord,
    "tile": records.TileRecord,
    "key_fingerprint": records.KeyFingerprintRecord,
    "picture": records.PictureRecord,
}
"""What only a flight writes; RECORD_CLASSES are what a simulated recording has as well."""
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


NOT_FINITE = {"NaN": math.nan, "Infinity": math.inf, "-Infinity": -math.inf}
"""JSON has no word for these; they are written as these texts."""


def _number(value: Any) -> float:
    if type(value) is float or type(value) is int:
        if not math.isfinite(value):
            raise MalformedRecordError(f"{value!r} is not finite")
        return float(value)
    if type(value) is str and value in NOT_FINITE:
        return NOT_FINITE[value]
    raise MalformedRecordError(f"{value!r:.80} is not a number")


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


def _truth_value(value: Any) -> bool:
    if type(value) is not bool:
        raise MalformedRecordError(f"{value!r:.80} is neither true nor false")
    return value


def _numbers(value: Any) -> tuple[float, ...]:
    if type(value) is not list:
        raise MalformedRecordError(f"{value!r:.80} is not a list of numbers")
    return tuple(_number(v) for v in value)


def _array(value: Any) -> FloatArray:
    """A vector or a matrix."""
    if type(value) is not list:
        raise MalformedRecordError(f"{value!r:.80} is not an array")
    if value and type(value[0]) is list:
        rows = [_numbers(row) for row in value]
        if any(len(row) != len(rows[0]) for row in rows):
            raise MalformedRecordError("rows of an array differ in length")
        return np.array(rows, dtype=np.float64)
    return np.array(_numbers(value), dtype=np.float64)


def _named_numbers(value: Any) -> dict[str, float]:
    return {str(name): _number(v) for name, v in _json(value).items()}


def _json(value: Any) -> dict[str, Any]:
    if type(value) is not dict:
        raise MalformedRecordError(f"{value!r:.80} is not an object")
    return value


def _list_schema(length: int) -> dict[str, Any]:
    return {"type": "array", "items": {"type": "number"}, "minItems": length, "maxItems": length}


FieldType = tuple[Callable[[Any], Any], dict[str, Any]]

# Annotation -> (reads the JSON value or raises MalformedRecordError, its JSON schema).
_FIELD_TYPES: dict[Any, FieldType] = {
    float: (_number, {"type": "number"}),
    int: (_integer, {"type": "integer"}),
    str: (_text, {"type": "string"}),
    bool: (_truth_value, {"type": "boolean"}),
    Vector3: (_vector3, _list_schema(3)),
    Quaternion: (_quaternion, _list_schema(4)),
    Vector3 | None: (_optional_vector3, {"anyOf": [_list_schema(3), {"type": "null"}]}),
    tuple[float, ...]: (_numbers, {"type": "array", "items": {"type": "number"}}),
    FloatArray: (_array, {"type": "array", "items": {"type": ["number", "array"]}}),
    dict[str, float]: (_named_numbers, {"type": "object"}),
    dict[str, Any]: (_json, {"type": "object"}),
}


def _field_type(hint: Any) -> FieldType:
    """How a field of this annotation is read; enumerations and records inside records are made here."""
    if isinstance(hint, types.UnionType) and hint not in _FIELD_TYPES:
        read, schema = _field_type(next(a for a in typing.get_args(hint) if a is not type(None)))
        return lambda v: None if v is None else read(v), {"anyOf": [schema, {"type": "null"}]}
    if isinstance(hint, type) and issubclass(hint, StrEnum):
        return lambda v: _member(hint, v), {"enum": [member.value for member in hint]}
    if isinstance(hint, type) and issubclass(hint, IntEnum):
        return lambda v: _number_member(hint, v), {"type": "integer"}
    if dataclasses.is_dataclass(hint) and isinstance(hint, type):
        inside = Fields(hint, ())
        return lambda v: inside.made(_json(v)), {"type": "object", "properties": inside.schemas}
    return _FIELD_TYPES[hint]


def _member(choices: type[StrEnum], value: Any) -> StrEnum:
    try:
        return choices(_text(value))
    except ValueError as error:
        raise MalformedRecordError(str(error)) from error


def _number_member(choices: type[IntEnum], value: Any) -> IntEnum:
    try:
        return choices(_integer(value))
    except ValueError as error:
        raise MalformedRecordError(str(error)) from error


class Fields:
    """The fields of a record class but those of the envelope, and how they are read from JSON."""

    def __init__(self, record_class: type[Any], envelope: tuple[str, ...]) -> None:
        hints = typing.get_type_hints(record_class)
        fields = [field for field in dataclasses.fields(record_class) if field.name not in envelope]
        types_of = {field.name: _field_type(hints[field.name]) for field in fields}
        self._class = record_class
        self.names = tuple(field.name for field in fields)
        self.schemas = {name: schema for name, (_, schema) in types_of.items()}
        self._readers = tuple((name, read) for name, (read, _) in types_of.items())
        self._optional = frozenset(
            f.name
            for f in fields
            if f.default is not dataclasses.MISSING or f.default_factory is not dataclasses.MISSING
        )
        self.required = [name for name in self.names if name not in self._optional]

    def made(self, payload: Mapping[str, Any], **envelope: Any) -> Any:
        """The record of a payload; unknown keys are ignored, missing ones that have a default take it."""
        try:
            values = {
                name: read(payload[name])
                for name, read in self._readers
                if name in payload or name not in self._optional
            }
        except (KeyError, TypeError) as error:
            raise MalformedRecordError(f"{self._class.__name__}: no {error}") from error
        return self._class(**envelope, **values)


def _fix_payload(payload: Mapping[str, Any]) -> Mapping[str, Any]:
    """A map fix as recorded before `unique` was a field of its own."""
    if "unique" in payload:
        return payload
    return {**payload, "unique": _json(payload.get("gates", {})).get("unique") == 1.0}


UPGRADES: dict[str, Callable[[Mapping[str, Any]], Mapping[str, Any]]] = {"fix": _fix_payload}
"""By kind: payloads of older recordings as they are written now."""


class Kind:
    """How one kind is written and read. The envelope carries `t_ns`; the payload all other fields under their names.

    `number` is the kind's place in the table.
    """

    def __init__(self, name: str, number: int, message_class: type[Any]) -> None:
        self.name = name
        self.number = number
        self.message_class = message_class
        self._fields = Fields(message_class, ("t_ns",))
        self._get = operator.attrgetter(*self._fields.names)
        self.schema = self._json_schema()

    def payload(self, message: Any) -> dict[str, Any]:
        """The payload of a message of this kind."""
        names, values = self._fields.names, self._get(message)
        return dict(zip(names, values if len(names) > 1 else (values,), strict=True))

    def message(self, t_ns: int, payload: Mapping[str, Any]) -> Any:
        """The message of a payload; keys that the kind does not know are ignored. Raises MalformedRecordError."""
        upgrade = UPGRADES.get(self.name)
        return self._fields.made(payload if upgrade is None else upgrade(payload), t_ns=t_ns)

    def _json_schema(self) -> bytes:
        fields = self._fields
        return orjson.dumps(
            {
                "title": f"gps_denied.{self.name}",
                "type": "object",
                "properties": {
                    "schema_version": {"type": "integer"},
                    "kind": {"const": self.name},
                    "t_ns": {"type": "integer"},
                    "producer": {"type": "string"},
                    "payload": {"type": "object", "properties": fields.schemas, "required": fields.required},
                },
                "required": ["schema_version", "kind", "t_ns", "producer", "payload"],
            }
        )


KINDS: dict[str, Kind] = {
    name: Kind(name, number, message_class)
    for number, (name, message_class) in enumerate({**RECORD_CLASSES, **FLIGHT_CLASSES}.items())
}
KIND_BY_NUMBER: tuple[Kind, ...] = tuple(KINDS.values())
KIND_OF_CLASS: dict[type[Any], Kind] = {kind.message_class: kind for kind in reversed(KINDS.values())}
"""The kind of a class; of an AidRecord "aid", though some are written as "spoofing_gate" (see `kind_of`)."""

_OPTIONS = orjson.OPT_SERIALIZE_NUMPY


def kind_of(message: Any) -> Kind:
    """The kind under which a message is recorded. KeyError for what is no record."""
    kind = KIND_OF_CLASS[type(message)]
    if kind.name == "aid" and message.source == AidSource.GPS_GATE:
        return KINDS["spoofing_gate"]
    return kind


def encoded(kind: Kind, message: Any, producer: str) -> bytes:
    """The envelope as JSON. Numbers come back bit by bit; those that are not finite are written as texts."""
    body = {
        "schema_version": SCHEMA_VERSION,
        "kind": kind.name,
        "t_ns": message.t_ns,
        "producer": producer,
        "payload": kind.payload(message),
    }
    data = orjson.dumps(body, default=_plain, option=_OPTIONS)
    return orjson.dumps(_spelled(body), option=_OPTIONS) if b"null" in data else data


def _plain(value: Any) -> Any:
    if isinstance(value, np.ndarray):  # not contiguous: orjson takes no such arrays
        return value.tolist()
    raise TypeError(f"{type(value)} cannot be recorded")


def _spelled(value: Any) -> Any:
    """The same with plain types, numbers that are not finite as texts."""
    if isinstance(value, np.ndarray):
        value = value.tolist()
    if isinstance(value, float) and not math.isfinite(value):
        return "NaN" if math.isnan(value) else "Infinity" if value > 0.0 else "-Infinity"
    if isinstance(value, dict):
        return {key: _spelled(v) for key, v in value.items()}
    if isinstance(value, list | tuple):
        return [_spelled(v) for v in value]
    if dataclasses.is_dataclass(value):
        return {f.name: _spelled(getattr(value, f.name)) for f in dataclasses.fields(value)}
    return value
