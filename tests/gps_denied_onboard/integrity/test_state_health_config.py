"""Limits of the state's health that make no sense are refused with the key's name."""

from __future__ import annotations

import pytest

from gps_denied_onboard.errors import UserError
from gps_denied_onboard.integrity.state_health_config import SHARES, StateHealthConfig


@pytest.mark.parametrize("name", SHARES)
def test_a_share_of_one_or_more_is_refused(name: str) -> None:
    """A probability of one would be a state that is wrong for certain, or a memory that never fades."""
    with pytest.raises(UserError, match=f"state_health.{name} must be less than 1"):
        StateHealthConfig(**{name: 1.0})  # type: ignore[arg-type]


def test_a_silence_that_does_not_grow_is_refused() -> None:
    """The doubt of a state that nothing confirms must widen."""
    with pytest.raises(UserError, match="silence_growth must be more than 1"):
        StateHealthConfig(silence_growth=1.0)


def test_a_risk_as_often_as_it_is_looked_at_is_refused() -> None:
    """The risk of one look would be one or more."""
    with pytest.raises(UserError, match="integrity_risk_per_hour must be less"):
        StateHealthConfig(integrity_risk_per_hour=900.0, independent_per_hour=360.0)
