"""The ground that the odometry's tests fly over, painted once."""

from __future__ import annotations

import pytest

from .ground import Ground


@pytest.fixture(scope="session")
def ground() -> Ground:
    """Gently rolling country."""
    return Ground(seed=3, relief_m=2.0)
