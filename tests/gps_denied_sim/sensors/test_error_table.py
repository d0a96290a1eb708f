"""The simulated sensors' errors stand in one table with their sources, and share no number with the estimator."""

from __future__ import annotations

import ast
import dataclasses
import math
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from gps_denied_onboard.config import Config
from gps_denied_sim.sensors.error_table import SensorError
from gps_denied_sim.sensors.imu_parts import flicker, vibration

from ...source_trees import nodes_of, tree_of

ROOT = Path(__file__).resolve().parents[3]
SENSORS = ROOT / "src" / "gps_denied_sim" / "sensors"
PAGE = ROOT / "_docs" / "simulated-errors.md"
DRAWS_OF_ANOTHER_KIND = {"telemetry.py": {0.0, 0.1, 0.2, 0.9, 1.0, 1.7, 2.0, 3.5}}
"""Of the file: axes of the GPS, the accuracy that it claims, and how well the place of take-off is known."""
ESTIMATOR = ("fusion", "odometry", "pose", "place", "matching", "belief", "integrity")
UNITS = {
    "mps2": "m/s2", "radps": "rad/s", "rad": "rad", "m": "m", "mps": "m/s", "s": "s", "hz": "Hz", "deg": "degrees",
    "degrees": "degrees", "sigma": "1",
}  # fmt: skip


def estimator_figures() -> Iterator[tuple[str, str, float]]:
    """Yield (name, unit, value) of every number that the estimator's configuration holds."""
    waiting: list[tuple[str, object]] = [(name, getattr(Config(), name, None)) for name in ESTIMATOR]
    for name, table in waiting:
        if not dataclasses.is_dataclass(table):
            continue
        for field in dataclasses.fields(table):
            value = getattr(table, field.name)
            if dataclasses.is_dataclass(value):
                waiting.append((f"{name}.{field.name}", value))
            elif isinstance(value, float):
                words = field.name.removesuffix("_max").removesuffix("_min").split("_")
                yield f"{name}.{field.name}", UNITS.get(words[-1], words[-1]), value


def test_every_figure_has_a_source() -> None:
    """A range in a unit, and where it comes from: a document, or the word assumption with what it rests on."""
    for figure in (error.value for error in SensorError):
        assert 0.0 <= figure.low <= figure.high, figure.what
        assert math.isfinite(figure.high)
        assert figure.source
        assert figure.unit


def test_no_figure_is_the_estimators() -> None:
    """No end of a range, nor its middle, is a number of the same unit in the estimator's configuration."""
    known = list(estimator_figures())
    assert {"fusion.autopilot_tilt_time_s", "fusion.gyro_bias_sigma_radps"} <= {name for name, _, _ in known}
    shared = [
        (figure.what, name)
        for figure in (error.value for error in SensorError)
        for name, unit, value in known
        for end in (figure.low, figure.high, (figure.low + figure.high) / 2.0)
        if unit == figure.unit and end and math.isclose(end, value, rel_tol=1e-6)
    ]
    assert shared == []


def test_the_sensors_import_nothing_of_the_estimator() -> None:
    """Of the onboard package they know geometry and messages alone."""
    for file in SENSORS.glob("*.py"):
        for node in nodes_of(tree_of(file)):
            if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("gps_denied_onboard."):
                part = (node.module or "").split(".")[1]
                assert part in {"geometry", "messages", "errors"}, (file.name, node.module)


def test_no_sigma_stands_outside_the_table() -> None:
    """What the sensors draw errors with comes from the table: no other number is in a call of `normal` or `wander`."""
    strays = []
    for file in SENSORS.glob("*.py"):
        for node in nodes_of(tree_of(file)):
            name = getattr(getattr(node, "func", None), "attr", getattr(getattr(node, "func", None), "id", ""))
            if isinstance(node, ast.Call) and name in {"normal", "wander", "flicker"}:
                numbers = {n.value for n in ast.walk(node) if isinstance(n, ast.Constant) and type(n.value) is float}
                strays += [(file.name, node.lineno, x) for x in numbers - DRAWS_OF_ANOTHER_KIND.get(file.name, {0.0})]
    assert strays == []


def test_the_page_shows_the_table() -> None:
    """_docs/simulated-errors.md has a row for each figure, as the source has it."""
    text = PAGE.read_text(encoding="utf-8")
    for figure in (error.value for error in SensorError):
        spread = f"{figure.low:g}" if figure.low == figure.high else f"{figure.low:g} to {figure.high:g}"
        assert f"| {figure.what} | {spread} | {figure.unit} | {figure.source} |" in text


@pytest.mark.parametrize("averaged_s", [3.0, 30.0, 100.0])
def test_bias_instability_is_flat(averaged_s: float) -> None:
    """The Allan deviation of the flicker stays within a factor of two of its sigma over two decades."""
    dt_s, sigma = 0.1, 5e-5
    noise = flicker(np.random.default_rng(3), sigma, 60_000, dt_s)
    each = round(averaged_s / dt_s)
    means = noise[: len(noise) // each * each].reshape(-1, each, 3).mean(axis=1)
    deviation = math.sqrt(0.5 * float(np.mean(np.diff(means, axis=0) ** 2)))
    assert 0.5 * sigma < deviation < 2.0 * sigma


def test_vibration_is_loud_and_leads_nowhere() -> None:
    """Some centimetres to decimetres per second squared in each sample, and nothing of it in the velocity."""
    for seed in range(8):
        shaken = vibration(np.random.default_rng(seed), 12_000, 0.01)
        assert 0.002 < float(shaken.std()) < 1.5
        assert float(np.abs(np.cumsum(shaken, axis=0) * 0.01).max()) < 0.15
