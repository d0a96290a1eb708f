"""The table of kinds: every one of them comes back bit by bit, and what a newer version adds is carried through."""

from __future__ import annotations

import dataclasses
import math
import random
import types
import typing
from enum import IntEnum, StrEnum
from pathlib import Path
from typing import Any

import numpy as np
import orjson
import pytest

from gps_denied_onboard.messages import FloatArray, PoseFix, RejectReason
from gps_denied_onboard.recorder.kinds import KIND_BY_NUMBER, KINDS, encoded, kind_of
from gps_denied_onboard.recorder.reader import FlightReader
from gps_denied_onboard.recorder.segment import Segment

AWKWARD = (0.1, -0.0, 1e-300, 123456789.123456789, math.nan, math.inf, -math.inf, 2.0)


def value_of(hint: Any, rng: random.Random) -> Any:
    """Any value of a field's type, the awkward ones among them."""
    number = lambda: rng.choice(AWKWARD)  # noqa: E731
    if isinstance(hint, types.UnionType):
        return value_of(typing.get_args(hint)[0], rng) if rng.random() < 0.7 else None
    if hint == FloatArray:
        return np.array([[number() for _ in range(3)] for _ in range(3)]).T  # not contiguous
    if typing.get_origin(hint) is tuple:
        inner = typing.get_args(hint)
        return tuple(number() for _ in range(4 if inner[-1] is Ellipsis else len(inner)))
    if typing.get_origin(hint) is dict:
        return {"a": 1.5, "b": 2.5}
    if isinstance(hint, type) and issubclass(hint, StrEnum | IntEnum):
        return rng.choice(list(hint))
    if dataclasses.is_dataclass(hint) and isinstance(hint, type):
        return made(hint, rng)
    plain = {int: rng.randrange(-5, 2**60), float: number(), str: 'a "word" \u2028', bool: True}
    return plain[hint]


def made(record_class: type[Any], rng: random.Random) -> Any:
    hints = typing.get_type_hints(record_class)
    values = {f.name: value_of(hints[f.name], rng) for f in dataclasses.fields(record_class)}
    return record_class(**{**values, **({"t_ns": rng.randrange(2**50)} if "t_ns" in values else {})})


def bits(value: Any) -> Any:
    """Something that is equal only for equal bits."""
    if isinstance(value, np.ndarray):
        return ("array", value.shape, np.ascontiguousarray(value).tobytes())
    if isinstance(value, float):
        return np.float64(value).tobytes()
    if isinstance(value, dict):
        return {k: bits(v) for k, v in value.items()}
    if isinstance(value, tuple | list):
        return tuple(bits(v) for v in value)
    if dataclasses.is_dataclass(value):
        return tuple(bits(getattr(value, f.name)) for f in dataclasses.fields(value))
    return value


@pytest.mark.parametrize("name", sorted(KINDS))
def test_every_kind_comes_back_bit_by_bit(name: str) -> None:
    """Whatever a record of a kind holds, numbers that are not finite included, is there again after reading."""
    kind = KINDS[name]
    for seed in range(20):
        message = made(kind.message_class, random.Random(seed))
        body = orjson.loads(encoded(kind, message, "test"))
        assert set(body) == {"schema_version", "kind", "t_ns", "producer", "payload"}
        assert (body["kind"], body["producer"]) == (name, "test")
        assert bits(kind.message(body["t_ns"], body["payload"])) == bits(message)


def test_every_kind_reaches_its_channel(tmp_path: Path) -> None:
    """A segment gives back each kind under its own name, in the order in which they were added."""
    segment = Segment(tmp_path, 0, {"flight_id": "x"})
    rng = random.Random(1)
    for number, kind in enumerate(KIND_BY_NUMBER):
        message = made(kind.message_class, rng)
        segment.add(number, message.t_ns, number, encoded(kind, message, "test"))
    segment.flush()
    segment.finish()
    found = list(FlightReader(tmp_path).records())
    assert [record.kind for record in found] == list(KINDS)
    assert [record.sequence for record in found] == list(range(len(KINDS)))


def test_decisions_of_the_spoofing_gate_have_a_kind_of_their_own() -> None:
    """An aid record of the gate is recorded as spoofing_gate, any other as aid."""
    record = made(KINDS["aid"].message_class, random.Random(0))
    assert kind_of(dataclasses.replace(record, source="gps_gate")).name == "spoofing_gate"
    assert kind_of(dataclasses.replace(record, source="fix")).name == "aid"


def test_what_a_newer_version_wrote_is_carried_through(tmp_path: Path) -> None:
    """Unknown keys and kinds stay as they are for whoever cuts them out; known messages are read without them."""
    body = {"schema_version": 9, "kind": "baro", "t_ns": 5, "producer": "n", "payload": {"altitude_amsl_m": 1.0}}
    body["payload"]["colour"] = {"deep": [1]}  # type: ignore[index]
    segment = Segment(tmp_path, 0, {})
    segment.add(KINDS["baro"].number, 5, 0, orjson.dumps(body))
    segment.flush()
    segment.finish()
    reader = FlightReader(tmp_path)
    assert next(reader.records()).payload["colour"] == {"deep": [1]}
    assert [m.altitude_amsl_m for m in reader.messages({"baro"})] == [1.0]
    assert reader.problems == ()


def test_a_fix_of_real_shape_fits_a_slot() -> None:
    """A map fix with all its gates is far below the size of a ring's slot."""
    gates = {f"gate_number_{k}": 0.123456789012345678 for k in range(40)}
    fix = PoseFix(1, True, RejectReason.NONE, np.ones(3) / 3, np.eye(3) / 7, np.eye(6) / 3, 1, 1, 0.1, False, gates)
    assert len(encoded(kind_of(fix), fix, "flight")) < 4096 * 0.75
