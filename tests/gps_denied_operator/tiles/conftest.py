"""Fixtures of the import tests."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from gps_denied_onboard.tiles.store import TileStore
from gps_denied_operator.tiles.importer import ImportReport, import_map
from gps_denied_operator.tiles.makers import open_map

Import = Callable[..., ImportReport]


@pytest.fixture
def store(tmp_path: Path, database_url: str) -> Iterator[TileStore]:
    """Return an empty store."""
    with TileStore.open(tmp_path / "store", database_url) as store:
        yield store


@pytest.fixture
def put(store: TileStore) -> Import:
    """Return a function that imports a map into the store."""

    def put(path: Path, zoom: int | None = None, rows: str = "auto", **options: Any) -> ImportReport:
        with closing(open_map(path, zoom, rows)) as maker:
            return import_map(store, maker, path, **options)

    return put
