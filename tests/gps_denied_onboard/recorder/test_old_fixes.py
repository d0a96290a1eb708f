"""Map fixes of recordings that are older than a field of theirs."""

from __future__ import annotations

import numpy as np
import orjson
import pytest

from gps_denied_onboard.messages import PoseFix, RejectReason
from gps_denied_onboard.recorder.kinds import KINDS, MalformedRecordError, encoded, kind_of


def payload(gates: dict[str, float], reason: RejectReason = RejectReason.NONE) -> dict[str, object]:
    fix = PoseFix(5, True, reason, np.ones(3), np.eye(3), np.eye(6), 9, 9, 1.0, True, gates)
    body: dict[str, object] = orjson.loads(encoded(kind_of(fix), fix, "flight"))["payload"]
    del body["unique"]
    return body


@pytest.mark.parametrize(("gates", "unique"), [({"unique": 1.0}, True), ({"unique": 0.0}, False), ({}, False)])
def test_unique_was_one_of_the_gates(gates: dict[str, float], unique: bool) -> None:
    """A fix that said among its gates that it stands on its own still says so."""
    assert KINDS["fix"].message(5, payload(gates)).unique is unique


def test_a_reason_is_one_of_those_that_there_are() -> None:
    """Reasons come back as members; a text that is none is refused."""
    told = payload({}, RejectReason.HEIGHT)
    assert KINDS["fix"].message(5, told).reason is RejectReason.HEIGHT
    with pytest.raises(MalformedRecordError, match="whim"):
        KINDS["fix"].message(5, {**told, "reason": "whim"})
