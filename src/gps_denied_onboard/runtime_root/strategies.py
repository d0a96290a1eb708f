"""Strategies as data: choice and name to class. An image links a subset, named in its composition file."""

from __future__ import annotations

import importlib
import importlib.util
from pathlib import Path
from typing import Any

from gps_denied_onboard.errors import StrategyNotLinkedError
from gps_denied_onboard.runtime_root.composition import Composition as Composition
from gps_denied_onboard.runtime_root.composition import read_composition

STRATEGIES: dict[str, dict[str, str]] = {
    "odometry": {
        "planar": "gps_denied_onboard.odometry.planar:PlanarOdometry",
        "features": "gps_denied_onboard.odometry.features:FeaturesOdometry",
        "okvis2": "gps_denied_onboard.odometry.okvis2:Okvis2Odometry",
    },
    "place": {"grid": "gps_denied_onboard.localisation.place_search:GridPlace"},
    "matching": {
        "classic": "gps_denied_onboard.localisation.matching.classic:ClassicMatcher",
        "learned": "gps_denied_onboard.localisation.matching.learned:LearnedMatcher",
    },
    "inference": {
        "onnxruntime": "gps_denied_onboard.inference.onnxruntime:OnnxRuntime",
        "tensorrt": "gps_denied_onboard.inference.tensorrt:TensorRtRuntime",
    },
    "pose": {"plane": "gps_denied_onboard.localisation.localiser:Localiser"},
    "fusion": {
        "isam2": "gps_denied_onboard.fusion.isam2:Isam2",
        "eskf": "gps_denied_onboard.fusion.eskf:Eskf",
    },
    "autopilot": {
        "ardupilot": "gps_denied_onboard.autopilot.mavlink.link:ArduPilotLink",
        "inav": "gps_denied_onboard.autopilot.msp.link:InavLink",
    },
}

NEEDS: dict[tuple[str, str], str] = {
    ("inference", "tensorrt"): "tensorrt",
    ("odometry", "okvis2"): "gps_denied_onboard._okvis2",
}
"""Modules of libraries that the board brings, not the image: without them a strategy is not linked, whatever the image
names. `_okvis2` is built where CMake finds OKVIS2."""


def load_composition(path: Path | None = None) -> Composition:
    """The composition that counts (see `read_composition`); a source tree links all that it holds."""
    linked_all = Composition("source tree", {choice: tuple(names) for choice, names in STRATEGIES.items()})
    return read_composition(STRATEGIES, path) or linked_all


def resolve(choice: str, name: str, composition: Composition) -> Any:
    """The class of a strategy. StrategyNotLinkedError when this image does not link it, or its library is absent."""
    linked = tuple(n for n in composition.linked.get(choice, ()) if n in STRATEGIES[choice] and _can_load(choice, n))
    if name not in linked:
        missing = NEEDS.get((choice, name), "") if name in composition.linked.get(choice, ()) else ""
        raise StrategyNotLinkedError(choice, name, composition.image, linked, missing)
    module, _, attribute = STRATEGIES[choice][name].partition(":")
    return getattr(importlib.import_module(module), attribute)


def _can_load(choice: str, name: str) -> bool:
    library = NEEDS.get((choice, name))
    return library is None or importlib.util.find_spec(library) is not None
