"""The frame of a chart over the distance along a route, for a laptop's width or a phone's; SVG; pure."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass

from gps_denied_operator.report.html import PHONE_PX


@dataclass(frozen=True, slots=True)
class RouteAxis:
    """A drawing `wide` pixels across that shows a route of `length_km`."""

    wide: float
    length_km: float

    @property
    def small(self) -> bool:
        """Whether it is a phone's."""
        return self.wide <= PHONE_PX

    @property
    def left(self) -> float:
        """Where the route begins."""
        return 46.0 if self.small else 84.0

    @property
    def right(self) -> float:
        """Where the route ends."""
        return self.wide - (10.0 if self.small else 16.0)

    @property
    def beside(self) -> float:
        """Space between the axis and its numbers."""
        return 6.0 if self.small else 10.0

    def x(self, distance_m: float) -> float:
        """Where a place along the route is."""
        return self.left + distance_m / 1000.0 / self.length_km * (self.right - self.left)

    def lines(self, levels: Iterable[tuple[float, float]], foot: float) -> str:
        """Lines and numbers. levels: a value and its height on the chart."""
        return "".join(
            f'<path d="M{self.left},{at:.1f} H{self.right}" class="grid"/><text x="{self.left - self.beside}" '
            f'y="{at + 5:.1f}" text-anchor="end" class="soft">{value:g}</text>'
            for value, at in levels
        ) + "".join(
            f'<path d="M{self.x(1000 * v):.1f},{foot} v5" class="axis"/>'
            f'<text x="{self.x(1000 * v):.1f}" y="{foot + 20}" text-anchor="middle" class="soft">{v:g}</text>'
            for v in ticks(self.length_km, 4 if self.small else 8)
        )

    def names(self, upwards: str, height: float, top: float, foot: float) -> str:
        """What the two axes are."""
        middle, edge = (top + foot) / 2, 12 if self.small else 20
        return (
            f'<text x="{(self.left + self.right) / 2}" y="{height - 4}" text-anchor="middle">'
            f'distance along the route, km</text><text x="{edge}" y="{middle}" text-anchor="middle" '
            f'transform="rotate(-90 {edge} {middle})">{upwards}</text>'
        )


def ticks(most: float, count: int) -> list[float]:
    """Round numbers from 0 up to `most`, about `count` of them."""
    power = 10.0 ** math.floor(math.log10(most / count))
    step = next(m * power for m in (1.0, 2.0, 5.0, 10.0) if m * power * count >= most)
    return [round(k * step, 6) for k in range(int(most / step) + 1)]
