"""The table of a route's gaps: beginning, end and length of each, the first twenty, and how many there are more."""

from __future__ import annotations

import re

import pytest

from gps_denied_operator.missions.route_chart import route_section
from gps_denied_operator.missions.route_map import RouteMap, RoutePoint


def route(gaps: int) -> RouteMap:
    """A point each kilometre, with so many gaps of a kilometre and as much map between them."""
    points = [
        RoutePoint(1000.0 * k, 48.0, 37.0 + 0.01 * k, 0.0 if k % 2 else 1.0, old=False) for k in range(2 * gaps + 1)
    ]
    return RouteMap(tuple(points), None, None, (37.0, 48.0, 38.0, 48.1), 0.0)


@pytest.mark.parametrize(("gaps", "more"), [(0, ""), (20, ""), (21, "1 gaps more."), (23, "3 gaps more.")])
def test_gaps_are_listed_and_counted(gaps: int, more: str) -> None:
    """From, to and length in kilometres and where each begins; nothing is said of gaps where there are none."""
    section = route_section(route(gaps), 0.4)
    rows = re.findall(r"<tr><td class='r'>([\d.]+)</td><td class='r'>([\d.]+)</td><td class='r'>([\d.]+)", section)
    assert rows == [(f"{2 * k + 1}.00", f"{2 * k + 2}.00", "1.00") for k in range(min(gaps, 20))]
    assert re.findall(r"\d+ gaps more\.", section) == [more][: bool(more)]
    assert ("Without map" in section) is (gaps > 0)
    assert "None" not in section
    assert ("<td>48.00000, 37.01000</td>" in section) is (gaps > 0)
