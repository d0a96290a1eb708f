"""A column's name is its plain words and its unit, wherever the unit stands."""

from __future__ import annotations

import pytest

from gps_denied_operator.scoring.units import scale_of, split_unit


@pytest.mark.parametrize(
    ("cell", "plain", "unit"),
    [
        ("alt (AMSL) [ft]", "alt", "ft"),
        ("alt () [ft]", "alt", "ft"),
        ("alt (ft MSL)", "alt", "ft"),
        (" GPSLatitude [deg] ", "gps_latitude", "deg"),
        ("time(UTC)", "time", ""),
    ],
)
def test_what_is_no_unit_is_passed_over(cell: str, plain: str, unit: str) -> None:
    """Brackets with nothing or with a datum in them hide no unit behind them."""
    assert split_unit(cell) == (plain, unit)


@pytest.mark.parametrize(
    ("what", "plain", "name", "scale"),
    [
        ("time", "timeus", "time", 1e-6),
        ("latitude", "late7", "lat", 1e-7),
        ("altitude", "altft", "alt", None),
        ("altitude", "alt_ft", "alt", 0.3048),
        ("time", "t_ms", "t_ms", 1e-3),
        ("time", "time", "time", 1.0),
    ],
)
def test_a_unit_behind_the_name(what: str, plain: str, name: str, scale: float | None) -> None:
    """It is joined by _, or stands without where programs write it so; a name may end with one itself."""
    assert scale_of(what, plain, "", name) == scale


def test_a_unit_that_must_be_told() -> None:
    """Where a bare number would be a guess, the plain name alone is no column; with its unit it is one."""
    assert scale_of("angle", "yaw", "", "yaw", needs_unit=True) is None
    assert scale_of("angle", "yaw", "deg", "yaw", needs_unit=True) == 1.0
