"""Fixtures of the import tests."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from gps_denied_onboard.tiles.config import TilesConfig
from gps_denied_onboard.tiles.store import TileStore
from gps_denied_operator.tiles.admission import Admission
from gps_denied_operator.tiles.importer import ImportReport, import_map
from gps_denied_operator.tiles.makers import open_map

Import = Callable[..., ImportReport]


@pytest.fixture
def store(tmp_path: Path, database_url: str) -> Iterator[TileStore]:
    """Return an empty store."""
    with TileStore.open(tmp_path / "store", database_url) as store:
        yield store


@pytest.fixture
def admission(store: TileStore) -> Admission:
    """Return gate and budget as they are without a configuration, on a day of 2026."""
    return Admission(store, TilesConfig(), lambda: datetime(2026, 6, 1, tzinfo=UTC))


@pytest.fixture
def put(store: TileStore, admission: Admission) -> Import:
    """Return a function that imports a map into the store."""

    def put(path: Path, zoom: int | None = None, rows: str = "auto", **options: Any) -> ImportReport:
        with closing(open_map(path, zoom, rows)) as maker:
            return import_map(store, maker, path, admission, **options)

    return put
