"""A flown track as a drawing without a script."""

from __future__ import annotations

import math
from collections.abc import Sequence


def track_svg(track: Sequence[tuple[float, float, float]]) -> str:
    """A receiver's (seconds, latitude, longitude) as a line, north up, with a scale bar; nothing for fewer than two."""
    if len(track) < 2:
        return ""
    wide, high, edge = 1000.0, 420.0, 24.0
    latitude = math.radians(sum(lat for _, lat, _ in track) / len(track))
    points = [(lon * 111_320.0 * math.cos(latitude), lat * 111_200.0) for _, lat, lon in track]
    west, east = min(x for x, _ in points), max(x for x, _ in points)
    south, north = min(y for _, y in points), max(y for _, y in points)
    px_per_m = min((wide - 2 * edge) / max(east - west, 10.0), (high - 2 * edge) / max(north - south, 10.0))
    left = (wide - (east - west) * px_per_m) / 2.0
    top = (high - (north - south) * px_per_m) / 2.0
    line = " ".join(f"{left + (x - west) * px_per_m:.1f},{top + (north - y) * px_per_m:.1f}" for x, y in points)
    lengths = [a * 10.0**k for k in range(6) for a in (1.0, 2.0, 5.0)]
    bar_m = max((m for m in lengths if m * px_per_m <= 240.0), default=1.0)
    x0, y0 = line.split(" ")[0].split(",")
    return (
        f'<svg viewBox="0 0 {wide:g} {high:g}" class="plot north" role="img" '
        'aria-label="track of the receiver, north up">'
        f'<polyline points="{line}" fill="none" style="stroke: var(--anchored)" stroke-width="2"/>'
        f'<circle cx="{x0}" cy="{y0}" r="5" style="fill: var(--ink)"/>'
        f'<path d="M12,{high - 12} h{bar_m * px_per_m:.1f}" style="stroke: var(--ink)" stroke-width="2"/>'
        f'<text class="sized" style="--size: 16px" x="16" y="{high - 18}">{bar_m:g} m</text></svg>'
    )
