"""What stands along a route's axis: places where they are, round numbers under them, for a laptop and for a phone."""

from __future__ import annotations

import re

import pytest

from gps_denied_operator.missions.route_axis import RouteAxis, ticks


@pytest.mark.parametrize(("wide", "left", "right"), [(960.0, 84.0, 944.0), (360.0, 46.0, 350.0)])
def test_a_place_lies_where_its_number_stands(wide: float, left: float, right: float) -> None:
    """From the axis' beginning to its end, evenly; each number and its mark are under the place of that kilometre."""
    axis = RouteAxis(wide, 12.0)
    assert (axis.x(0.0), axis.x(6000.0), axis.x(12_000.0)) == (left, (left + right) / 2, right)
    drawn = axis.lines([(5.0, 100.0)], 208.0)
    marks = [float(x) for x in re.findall(r'<path d="M([\d.]+),208.0 v5"', drawn)]
    numbers = re.findall(r'<text x="([\d.]+)" y="228.0" text-anchor="middle" class="soft">([\d.]+)</text>', drawn)
    assert [float(x) for x, _ in numbers] == marks == [round(axis.x(1000.0 * float(km)), 1) for _, km in numbers]
    assert [float(km) for _, km in numbers][:2] == ([0.0, 5.0] if wide == 360.0 else [0.0, 2.0])
    assert f'<path d="M{left},100.0 H{right}" class="grid"/>' in drawn
    assert f'<text x="{left - axis.beside}" y="105.0" text-anchor="end" class="soft">5</text>' in drawn


@pytest.mark.parametrize(
    ("most", "count", "expected"),
    [
        (8.0, 8, [0.0, 1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0, 8.0]),
        (8.1, 8, [0.0, 2.0, 4.0, 6.0, 8.0]),
        (1.25, 4, [0.0, 0.5, 1.0]),
        (39.0, 4, [0.0, 10.0, 20.0, 30.0]),
        (0.03, 4, [0.0, 0.01, 0.02, 0.03]),
    ],
)
def test_numbers_are_round_and_few(most: float, count: int, expected: list[float]) -> None:
    """One, two or five of a power of ten, as many as there is room for, none beyond the end."""
    assert ticks(most, count) == expected


def test_names_stand_beside_their_axes() -> None:
    """The route's name in the middle under it, the other one upright at the edge, halfway up the chart."""
    named = RouteAxis(960.0, 12.0).names("metres", 250.0, 46.0, 208.0)
    assert '<text x="514.0" y="246.0" text-anchor="middle">distance along the route, km</text>' in named
    assert 'x="20" y="127.0" text-anchor="middle" transform="rotate(-90 20 127.0)">metres' in named
    assert 'x="12" y="127.0"' in RouteAxis(360.0, 12.0).names("metres", 250.0, 46.0, 208.0)
