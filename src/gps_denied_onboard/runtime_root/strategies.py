"""Strategies as data: choice and name to class. An image links a subset, named in its composition file."""

from __future__ import annotations

import importlib
import importlib.util
import os
import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from gps_denied_onboard.errors import StrategyNotLinkedError, UserError

STRATEGIES: dict[str, dict[str, str]] = {
    "odometry": {"planar": "gps_denied_onboard.odometry.planar:PlanarOdometry"},
    "place": {"grid": "gps_denied_onboard.place.grid:GridPlace"},
    "matching": {
        "classic": "gps_denied_onboard.matching.classic:ClassicMatcher",
        "learned": "gps_denied_onboard.matching.learned:LearnedMatcher",
    },
    "inference": {
        "onnxruntime": "gps_denied_onboard.inference.onnxruntime:OnnxRuntime",
        "tensorrt": "gps_denied_onboard.inference.tensorrt:TensorRtRuntime",
    },
    "pose": {"plane": "gps_denied_onboard.localiser:Localiser"},
    "fusion": {
        "isam2": "gps_denied_onboard.fusion.isam2:Isam2",
        "eskf": "gps_denied_onboard.fusion.eskf:Eskf",
    },
    "autopilot": {
        "ardupilot": "gps_denied_onboard.autopilot.link:ArduPilotLink",
        "inav": "gps_denied_onboard.autopilot.inav_link:InavLink",
    },
}

NEEDS: dict[tuple[str, str], str] = {("inference", "tensorrt"): "tensorrt"}
"""Libraries that the board brings, not the image: without them a strategy is not linked, whatever the image names."""

COMPOSITION_ENV = "GPS_DENIED_COMPOSITION"


@dataclass(frozen=True, slots=True)
class Composition:
    """What an image links: `linked[choice]` are names. A source tree links all that it holds."""

    image: str
    linked: dict[str, tuple[str, ...]]


def load_composition(path: Path | None = None) -> Composition:
    """The composition of `path`, else of the file that GPS_DENIED_COMPOSITION names, else of the source tree."""
    named = path or (Path(os.environ[COMPOSITION_ENV]) if os.environ.get(COMPOSITION_ENV) else None)
    if named is None:
        return Composition("source tree", {choice: tuple(names) for choice, names in STRATEGIES.items()})
    try:
        tree = tomllib.loads(named.read_text(encoding="utf-8"))
        image, strategies = tree["image"], tree["strategies"]
        linked = {choice: tuple(strategies.get(choice, ())) for choice in STRATEGIES}
    except (OSError, tomllib.TOMLDecodeError, KeyError, TypeError, AttributeError) as error:
        raise UserError(f"composition file {named} cannot be used: {error}. Restore it from the image.") from error
    return Composition(str(image), linked)


def resolve(choice: str, name: str, composition: Composition) -> Any:
    """The class of a strategy. StrategyNotLinkedError when this image does not link it."""
    linked = tuple(n for n in composition.linked.get(choice, ()) if n in STRATEGIES[choice] and _can_load(choice, n))
    if name not in linked:
        raise StrategyNotLinkedError(choice, name, composition.image, linked)
    module, _, attribute = STRATEGIES[choice][name].partition(":")
    return getattr(importlib.import_module(module), attribute)


def _can_load(choice: str, name: str) -> bool:
    library = NEEDS.get((choice, name))
    return library is None or importlib.util.find_spec(library) is not None
