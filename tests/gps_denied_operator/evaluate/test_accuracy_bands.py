"""Accuracy and size of the ellipse stay in the bands of accuracy_bands.csv; `tools/accuracy_bands.py` writes them."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from types import ModuleType

import pytest

TOOL = Path(__file__).parents[3] / "tools" / "accuracy_bands.py"


@pytest.fixture(scope="module")
def bands() -> ModuleType:
    """The program that writes the bands, as a module."""
    spec = importlib.util.spec_from_file_location("accuracy_bands", TOOL)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.slow
@pytest.mark.parametrize("run", ["cruise", "gusts", "blackout", "video"])
def test_figures_stay_in_their_bands(bands: ModuleType, run: str) -> None:
    """Error, ellipse, coverage and false positions of a short flight, or of the real video, are as they were."""
    if run == bands.VIDEO and not bands.ISLAMABAD.is_dir():
        pytest.skip(f"no real pictures at {bands.ISLAMABAD}")
    assert bands.outside(bands.measure(run), bands.read_bands()[run]) == []


def test_figure_outside_its_band_is_named(bands: ModuleType) -> None:
    """Too good is told as too bad is."""
    kept = {"error_m.median": (2.0, 3.0), "coverage_95": (0.9, 1.0)}
    assert bands.outside({"error_m.median": 2.5, "coverage_95": 0.95}, kept) == []
    for median in (1.9, 3.1):
        assert bands.outside({"error_m.median": median, "coverage_95": 0.95}, kept) == [
            f"error_m.median is {median}, its band is 2 to 3"
        ]
