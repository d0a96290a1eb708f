"""Why a map fix was not taken: in words, with the number and the limit that it was flown with."""

from __future__ import annotations

from dataclasses import asdict, replace

import numpy as np
import pytest

from gps_denied_onboard.config import Config
from gps_denied_onboard.fusion.reasons import FilterReason
from gps_denied_onboard.messages import AidRecord, PoseFix, RejectReason
from gps_denied_operator.report.refusals import DEFAULT_LIMITS, REFUSED, evidence, limits_of, refusal

FIX = PoseFix(
    1, False, "tilt", np.zeros(3), np.eye(3), np.eye(6), 61, 70, 2.0, False,
    {"inliers": 61.0, "inlier_ratio": 0.57, "tilt_rad": 0.63, "rival": 0.95, "texture": 1.5},
)  # fmt: skip


@pytest.mark.parametrize(
    ("reason", "says"),
    [
        ("tilt", "the pose is tilted more than the aircraft flies: 0.63 rad (at most 0.45)"),
        ("few_inliers", "too few patches agree on one pose: 61 (at least 16)"),
        ("inlier_ratio", "too small a share of the patches agrees: 57 % (at least 9 %)"),
        ("no_texture", "the picture shows too little texture: 1.5 grey levels (at least 3.0)"),
        ("rival", "another place fits nearly as well: 95 % of the support (at most 90 %)"),
        ("score", "the patches are not alike enough"),  # the number is not in the record
        ("outside_map", "the search found no map there"),
        ("some_new_reason", "some new reason"),
        ("", "no reason is recorded"),
    ],
)
def test_reasons_in_words(reason: str, says: str) -> None:
    """Each reason with its number and limit; what is not known is not made up."""
    assert refusal(replace(FIX, reason=reason), None, DEFAULT_LIMITS) == says


def test_every_reason_of_the_localiser_has_words() -> None:
    """Each reason that a fix can be refused for is told in words."""
    assert {str(reason) for reason in RejectReason if reason} == set(REFUSED)


def test_what_the_fusion_said() -> None:
    """A fix that matched but contradicts the state, or is held, is refused by the fusion; a fused one by nobody."""
    found = replace(FIX, accepted=True, reason="")
    aid = AidRecord(1, "fix", (), (), (), (), 3.24, False, "innovation")
    assert refusal(found, aid, DEFAULT_LIMITS) == "it contradicts the fused position: test ratio 3.2 (at most 1)"
    assert refusal(found, replace(aid, reason=FilterReason.OUTSIDE_GATE), DEFAULT_LIMITS).startswith("it contradicts")
    held = replace(aid, reason="held until other fixes agree (rival)")
    assert refusal(found, held, DEFAULT_LIMITS).startswith("held until other fixes agree (rival), test ratio 3.2")
    assert refusal(found, replace(aid, accepted=True, reason="fused"), DEFAULT_LIMITS) == ""
    assert refusal(found, None, DEFAULT_LIMITS) == ""


def test_limits_are_those_of_the_flight() -> None:
    """The header's configuration decides, its learned gates where the learned matcher flew; else the defaults."""
    config = asdict(Config())
    assert limits_of(config) == DEFAULT_LIMITS == limits_of({})
    config["gates"]["tilt_max_rad"] = 0.6
    assert "(at most 0.60)" in refusal(FIX, None, limits_of(config))
    config["strategies"]["matching"] = "learned"
    assert limits_of(config)["tilt_max_rad"] == config["learned"]["gates"]["tilt_max_rad"]
    config["learned"]["gates"]["rival_ratio_max"] = 0.8
    assert "(at most 80 %)" in refusal(replace(FIX, reason="rival"), None, limits_of(config))
    assert limits_of({"gates": "nonsense"}) == DEFAULT_LIMITS


def test_the_evidence_tells_the_chance_of_being_wrong_where_it_is_recorded() -> None:
    """The chance comes first; a record without it has none."""
    assert evidence(FIX) == "61 agreeing, 57 % first pass, rival 0.95"
    told = evidence(replace(FIX, wrong_probability=2e-5))
    assert told.startswith("chance that it is wrong 1 in 50,000, 61 agreeing")
    assert evidence(replace(FIX, gates={}, wrong_probability=0.25)) == "chance that it is wrong 25.0 %"
