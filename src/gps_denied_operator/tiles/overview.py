"""What a tile store holds, for people."""

from __future__ import annotations

from typing import Any

from gps_denied_onboard.tiles.budget import missions
from gps_denied_onboard.tiles.store import TileStore
from gps_denied_onboard.tiles.uploads import WAITING

BY_SOURCE = """
    SELECT source, zoom, count(*), sum(size_bytes), count(*) FILTER (WHERE freshness = 'downgraded'),
        count(*) FILTER (WHERE voting_status = 'pending'), min(captured_at), max(captured_at)
    FROM tiles GROUP BY source, zoom ORDER BY source, zoom
"""


def overview(store: TileStore) -> dict[str, Any]:
    """Return counts for all and for each source and zoom; the only reader of the whole table, never in flight."""
    tiles, size_bytes = store.totals()
    with store.connection() as connection:
        rows = connection.execute(BY_SOURCE).fetchall()
        waiting = connection.execute(f"SELECT count(*) FROM tiles WHERE {WAITING}").fetchone()
    sources = [
        {
            "source": row[0], "zoom": row[1], "tiles": row[2], "bytes": int(row[3]), "downgraded": row[4],
            "pending": row[5], "captured_first": row[6].isoformat() if row[6] else None,
            "captured_last": row[7].isoformat() if row[7] else None,
            "bounds_tiles": store.bounds(row[0], row[1]),
        }
        for row in rows
    ]  # fmt: skip
    return {
        "root": str(store.root), "tiles": tiles, "bytes": size_bytes, "sources": sources,
        "missions": missions(store), "waiting": waiting[0] if waiting else 0,
    }  # fmt: skip
