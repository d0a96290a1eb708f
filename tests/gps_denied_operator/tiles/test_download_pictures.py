"""What a plain server sends in other forms than JPEG: stored as the picture that it is, or refused."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime

import cv2
import numpy as np
import pytest

from gps_denied_onboard.tiles import codec
from gps_denied_onboard.tiles.config import TilesConfig
from gps_denied_onboard.tiles.store import TileStore
from gps_denied_operator.tiles.admission import Admission
from gps_denied_operator.tiles.download import DownloadReport, TileDownloader
from gps_denied_operator.tiles.feeds import Offer

from .providers import X0, Y0, ZOOM, area

NOW = datetime(2026, 6, 1, tzinfo=UTC)


class Plain:
    """A feed of one tile that promises no digest."""

    name = "plain"

    def __init__(self, data: bytes) -> None:
        self._data = data

    def offers(self, places: Sequence[tuple[int, int]]) -> list[Offer]:
        return [Offer(x, y, NOW, 0.4, None, 0) for x, y in places]

    def fetch(self, x: int, y: int) -> bytes | None:
        del x, y
        return self._data

    def close(self) -> None: ...


def got(store: TileStore, data: bytes) -> DownloadReport:
    admission = Admission(store, TilesConfig(), lambda: NOW)
    return TileDownloader(store, Plain(data), admission, 4).download_tiles_for_area(area(1))


def png(side: int) -> tuple[bytes, np.ndarray]:
    """A smooth grey picture with its left quarter transparent."""
    grey = np.add.outer(np.arange(side), np.arange(side)).astype(float) * 200.0 / (2 * side) + 20.0
    alpha = np.full((side, side), 255, dtype=np.uint8)
    alpha[:, : side // 4] = 0
    grey8 = grey.astype(np.uint8)
    return cv2.imencode(".png", np.dstack([grey8, grey8, grey8, alpha]))[1].tobytes(), grey8


@pytest.mark.parametrize("side", [256, 512])
def test_a_png_is_stored_with_its_hole(store: TileStore, side: int) -> None:
    """Its grey as JPEG, what is transparent as no data, the share that is there in the row; finer ones are scaled."""
    data, grey = png(side)
    grey = grey[:: side // 256, :: side // 256]
    assert got(store, data).downloaded == 1
    (record,) = store.query_tiles("provider", ZOOM, X0, Y0, X0 + 1, Y0 + 1)
    image, valid = codec.decode_tile(*store.read(record))
    assert record.valid_fraction == 0.75
    assert not valid[:, :64].any()
    assert valid[:, 64:].all()
    assert float(np.abs(image[:, 72:].astype(float) - grey[:, 72:]).mean()) < 2.0


@pytest.mark.parametrize("data", [png(300)[0], b"no picture", b""])
def test_what_is_no_tile_is_counted_as_damaged(store: TileStore, data: bytes) -> None:
    """A picture of another size, other bytes or none: nothing is stored."""
    report = got(store, data)
    assert (report.downloaded, report.rejected_damaged) == (0, 1)
    assert store.totals()[0] == 0
