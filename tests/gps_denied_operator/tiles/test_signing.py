"""Signatures: over every field, by a key that is wiped."""

from __future__ import annotations

import base64
import contextlib
import gc
import logging
import warnings
from datetime import UTC, datetime
from uuid import UUID

import pytest

from gps_denied_operator.tiles.signing import SIGNED_FIELDS, SigningSession, canonical_payload
from gps_denied_sim.provider import ingest

from .providers import picture

FLIGHT = UUID("6fd1f3a2-6a4c-4f9e-9b8e-2f5c5b1f9a10")
NOW = datetime(2026, 6, 1, tzinfo=UTC)
FIELDS = {
    "zoomLevel": "18", "latitude": "48.50000000", "longitude": "37.80000000", "tile_size_meters": "101.300",
    "tile_size_pixels": "256", "capture_timestamp": "2026-05-31T12:00:00+00:00", "flight_id": str(FLIGHT),
    "companion_id": "companion-1", "quality_metadata": '{"sharpness":41.5}',
}  # fmt: skip


def verdict(session: SigningSession, fields: dict[str, str], blob: bytes, signed: bytes) -> str:
    provider = ingest.Ingest(lambda: NOW)
    provider.register(str(FLIGHT), session.public_key)
    return provider.judge(fields, blob, base64.b64encode(session.sign(signed)).decode()).reason


def test_both_sides_sign_the_same_bytes() -> None:
    """Operator and provider, written apart, agree on the canonical payload and its fields."""
    assert SIGNED_FIELDS == ingest.FIELDS
    assert canonical_payload(FIELDS, b"x") == ingest.canonical_payload(FIELDS, b"x")


@pytest.mark.parametrize("name", [*SIGNED_FIELDS, "tile_blob"])
def test_a_signature_covers_every_field(name: str) -> None:
    """A tile with any one field altered after signing is refused for its signature; untouched it is taken."""
    altered = dict(FIELDS)
    blob = picture(1)
    with SigningSession(FLIGHT) as session:
        signed = canonical_payload(FIELDS, blob)
        assert verdict(session, FIELDS, blob, signed) == ""
        if name == "tile_blob":
            blob = picture(2)
        elif name == "flight_id":
            altered[name] = str(UUID(int=5))
        else:
            altered[name] = FIELDS[name].translate(str.maketrans("12345678", "23456781"))
            assert altered[name] != FIELDS[name]
        assert verdict(session, altered, blob, signed) == "signature"


def test_the_key_is_wiped_at_the_end_also_by_an_error() -> None:
    """The buffer that held the key is zeros after the session, however it ended; signing then is refused."""
    buffer = bytearray(range(32))
    session = SigningSession(FLIGHT, buffer)
    assert len(session.sign(b"x")) == 64
    assert any(buffer)
    with contextlib.suppress(ZeroDivisionError), session:
        raise ZeroDivisionError
    assert buffer == bytes(32)
    with pytest.raises(RuntimeError, match="ended"):
        session.sign(b"x")


def test_a_session_that_was_never_ended_warns(caplog: pytest.LogCaptureFixture) -> None:
    """Dropped without an end, the session wipes its key, warns and logs."""
    buffer = bytearray(range(32))
    with warnings.catch_warnings(record=True) as caught, caplog.at_level(logging.WARNING):
        warnings.simplefilter("always")
        SigningSession(FLIGHT, buffer)
        gc.collect()
    assert buffer == bytes(32)
    assert any("never ended" in str(warning.message) for warning in caught)
    assert any("never ended" in message for message in caplog.messages)
