"""The map that the aircraft carries: Web-Mercator tiles of the world's map look around a flown route."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np

from gps_denied_onboard.geometry.geodesy import TILE_SIZE_PX, LocalFrame
from gps_denied_onboard.messages import FloatArray, ImageArray
from gps_denied_sim.render.appearance import warp
from gps_denied_sim.render.world import GroundPicture

ZOOM = 18
BLOCK = 4
JPEG_QUALITY = 82
NODE_PX = 32


def tiles_around(
    frame: LocalFrame, position_enu_m: FloatArray, buffer_m: float, whole_box: bool
) -> list[tuple[int, int]]:
    """(x, y) of the zoom-18 tiles within `buffer_m` of positions (N, 3), or of their bounding box; in row order."""
    path = position_enu_m[:, :2]
    low, high = path.min(axis=0) - buffer_m, path.max(axis=0) + buffer_m
    corners = np.array([[low[0], low[1], 0.0], [low[0], high[1], 0.0], [high[0], low[1], 0.0], [high[0], high[1], 0.0]])
    pixels = frame.mercator_px_from_enu(corners, ZOOM) / TILE_SIZE_PX
    first, last = np.floor(pixels.min(axis=0)).astype(int), np.floor(pixels.max(axis=0)).astype(int)
    xs, ys = np.arange(first[0], last[0] + 1), np.arange(first[1], last[1] + 1)
    grid = np.stack(np.meshgrid(xs, ys), axis=-1).reshape(-1, 2)
    if not whole_box:
        centres = frame.enu_from_mercator_px((grid + 0.5) * float(TILE_SIZE_PX), ZOOM, 0.0)[:, :2]
        step = max(1, len(path) // 600)
        thin = np.concatenate([path[::step], path[-1:]])
        nearest = np.full(len(centres), np.inf)
        for p in thin:
            nearest = np.minimum(nearest, np.square(centres - p).sum(axis=1))
        grid = grid[nearest <= (buffer_m + 70.0) ** 2]
    return [(int(x), int(y)) for x, y in grid]


class TilePainter:
    """Makes tile pictures from the map look of a world whose origin is `frame`'s."""

    def __init__(self, ground: GroundPicture, frame: LocalFrame) -> None:
        self._ground, self._frame = ground, frame

    def block(self, x: int, y: int) -> ImageArray:
        """(1024, 1024, 3) BGR of the 4 x 4 tiles from tile (x, y) on."""
        import cv2

        size = BLOCK * TILE_SIZE_PX
        count = size // NODE_PX + 4
        at = (np.arange(count) - 1.5) * NODE_PX
        nodes = np.stack(np.meshgrid(x * TILE_SIZE_PX + at, y * TILE_SIZE_PX + at), axis=-1)
        points = self._frame.enu_from_mercator_px(nodes, ZOOM, self._frame.altitude_m)[..., :2]
        points = warp(self._ground.look, points, self._ground.world.seed)
        flat = points.reshape(-1, 2)
        low, high = flat.min(axis=0), flat.max(axis=0)
        mosaic, x0, y0 = self._ground.mosaic(float(low[0]), float(low[1]), float(high[0]), float(high[1]))
        r = self._ground.resolution_m
        maps = []
        for values in ((points[..., 0] - x0) / r, (y0 - points[..., 1]) / r):
            full = cv2.resize(
                values.astype(np.float32), (count * NODE_PX, count * NODE_PX), interpolation=cv2.INTER_CUBIC
            )
            a = 2 * NODE_PX
            maps.append(np.ascontiguousarray(full[a : a + size, a : a + size]))
        out = cv2.remap(mosaic, maps[0], maps[1], cv2.INTER_LINEAR)
        return np.asarray(out, dtype=np.uint8)

    def tiles(self, wanted: list[tuple[int, int]]) -> Iterator[tuple[int, int, bytes]]:
        """x, y and JPEG bytes of each wanted tile, block by block."""
        import cv2

        blocks: dict[tuple[int, int], list[tuple[int, int]]] = {}
        for x, y in wanted:
            blocks.setdefault((y // BLOCK, x // BLOCK), []).append((x, y))
        for row, column in sorted(blocks):
            picture = self.block(column * BLOCK, row * BLOCK)
            for x, y in blocks[row, column]:
                c, r = (x - column * BLOCK) * TILE_SIZE_PX, (y - row * BLOCK) * TILE_SIZE_PX
                tile = picture[r : r + TILE_SIZE_PX, c : c + TILE_SIZE_PX]
                encoded, data = cv2.imencode(".jpg", tile, [cv2.IMWRITE_JPEG_QUALITY, JPEG_QUALITY])
                assert encoded
                yield x, y, data.tobytes()


def write_tiles(painter: TilePainter, wanted: list[tuple[int, int]], folder: Path) -> Iterator[int]:
    """Write `<folder>/18/<x>/<y>.jpg` for every wanted tile, yielding the number written so far."""
    made: set[int] = set()
    for count, (x, y, data) in enumerate(painter.tiles(wanted), start=1):
        column = folder / str(ZOOM) / str(x)
        if x not in made:
            column.mkdir(parents=True, exist_ok=True)
            made.add(x)
        (column / f"{y}.jpg").write_bytes(data)
        yield count
