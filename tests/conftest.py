"""Fixtures that every part's tests share."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).resolve().parents[1]


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """Return the folder of real photographs and maps, which is handed out beside the checkout and never inside it.

    GPS_DENIED_SHARED names the folder that holds `data`, for a checkout that lives elsewhere.
    """
    named = os.environ.get("GPS_DENIED_SHARED")
    data = (Path(named) if named else REPOSITORY.parent / "shared") / "data"
    if not data.is_dir():
        pytest.skip(f"no real photographs at {data}: put shared/ beside the checkout or name it in GPS_DENIED_SHARED")
    return data
