"""Boxes on the map as an operator types them."""

from __future__ import annotations

import pytest

from gps_denied_onboard.errors import UserError
from gps_denied_operator.tiles.options import box_of


@pytest.mark.parametrize(
    ("text", "box"),
    [
        ("36.4,48.5,36.5,48.6", (36.4, 48.5, 36.5, 48.6)),
        ("217.5,62,217.75,62.1", (-142.5, 62.0, -142.25, 62.1)),
    ],
)
def test_a_box_is_west_south_east_north(text: str, box: tuple[float, ...]) -> None:
    """Longitudes that are counted from 0 to 360 are those to the west."""
    assert box_of(text) == box


@pytest.mark.parametrize(
    "text", ["48.5,36.4,48.6", "36.5,48.5,36.4,48.6", "179,62,181,63", "36.4,95,36.5,96", "a,b,c,d"]
)
def test_what_is_no_box_is_refused_with_the_order(text: str) -> None:
    """Sides in another order, beyond the map, or across the 180th meridian."""
    with pytest.raises(UserError, match="give west,south,east,north"):
        box_of(text)
